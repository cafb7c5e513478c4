//! Attacks on tokens that are rarely traded.

use perijove_core::Pubkey;
use perijove_core::market::{USDC, WSOL};
use perijove_ingest::oracle::{Estimate, MOST_UNCERTAIN};

use crate::scene::{SLOT_TIME, Scene, address};

const OWN: u64 = 670;
const HONEST: u64 = 34;

/// What is told of a token, whether or not anybody should use it.
fn told(scene: &mut Scene, token: Pubkey) -> f64 {
    scene.take();
    scene.oracle.estimate_of(token).unwrap().usd
}

#[test]
fn a_price_moves_by_a_band_however_far_the_trades_are_off() {
    let thin = address(961);
    let mut scene = Scene::honest();
    for _ in 0..8 {
        scene.swap(address(32), thin, USDC, 20.0, 1.0, true);
        scene.next_slot();
    }
    assert!((scene.price(thin) - 1.0).abs() < 1e-6);
    let mut before = 1.0;
    scene.swap(address(32), thin, USDC, 20_000.0, 10.0, true);
    for round in 0..40 {
        // As often as he likes within a slot.
        for _ in 0..3 {
            let now = told(&mut scene, thin);
            assert!((now / before).ln() <= 0.050_1, "{round}: {before} {now}");
            scene.swap(address(32), thin, USDC, 0.1, 10.0, round % 2 == 0);
        }
        let within = told(&mut scene, thin);
        assert!(
            (within / before).ln() <= 0.050_1,
            "{round}: {before} {within}"
        );
        before = within;
        scene.next_slot();
        let far = (10.0_f64.ln() - before.ln()).abs() > 0.3;
        assert!(!far || scene.estimate(thin).is_none(), "{round}: used");
    }
}

#[test]
fn a_pool_that_could_not_speak_does_not_make_up_for_it_at_once() {
    let (token, coin) = (address(962), address(963));
    let mut scene = Scene::honest();
    let mut before: Option<Estimate> = None;
    for round in 0..400 {
        scene.honest_slot(round, 1.0);
        if round % 10 == 0 {
            scene.swap(address(HONEST), token, USDC, 3.0, 2.0, round % 3 == 0);
        }
        // Paid with a coin that has no price, until it gets one.
        if round < 300 {
            scene.swap(address(OWN), token, coin, 1.0, 50.0, round % 64 < 32);
        } else {
            scene.swap(address(OWN + 1), coin, USDC, 1_000.0, 1.0, round % 64 < 32);
            scene.swap(address(OWN), token, coin, 1_000.0, 50.0, round % 64 < 32);
        }
        if round > 100 {
            scene.take();
            let now = scene.oracle.estimate_of(token).unwrap();
            if let Some(before) = before {
                let slots = (now.slot.0 - before.slot.0) as f64;
                let moved = (now.usd / before.usd).ln().abs();
                // Its own band, and that of what it is paid with.
                assert!(
                    moved <= 0.100_1 * slots + 1e-9,
                    "{round}: {before:?} {now:?}"
                );
            }
            before = Some(now);
        }
    }
}

/// An honest pool of 480 dollars a minute beside an own one of half an hour, in which so much is
/// held; after `pulses` in the honest pool the own one lies. How far the price went.
fn silence(own: f64, pulse: f64, wait: u64) -> f64 {
    let token = address(964);
    let mut scene = Scene::honest();
    let mut round = 0;
    let mut slot = |scene: &mut Scene, price: f64, honest: bool, pulse: f64| {
        scene.swap(address(1), WSOL, USDC, 2.0, 150.0, round % 3 == 0);
        if honest {
            let buy = (round / 150) % 3 == 0;
            scene.swap(address(HONEST), token, USDC, 480.0, 1.0, buy);
        }
        if pulse > 0.0 {
            scene.swap(address(HONEST), token, USDC, pulse, 1.0, round % 2 == 0);
        }
        scene.wash(address(OWN), (token, USDC), own, price);
        round += 1;
        scene.next_slot();
    };
    for number in 0..4_500 {
        slot(&mut scene, 1.0, number % 150 == 0, 0.0);
    }
    for _ in 0..50 {
        slot(&mut scene, 1.0, false, pulse);
    }
    for _ in 0..wait {
        slot(&mut scene, 1.0, false, 0.0);
    }
    let mut far: f64 = 0.0;
    for _ in 0..25 {
        slot(&mut scene, 1.2, false, 0.0);
        let price = scene.estimate(token).map_or(1.0, |told| told.usd);
        far = far.max((price - 1.0).abs());
    }
    far
}

#[test]
fn small_trades_do_not_put_an_honest_pool_to_sleep() {
    for own in [50.0, 200.0] {
        for pulse in [0.0, 0.6, 5.0, 50.0, 480.0] {
            for wait in [25, 75] {
                let far = silence(own, pulse, wait);
                assert!(far < 0.01, "{own} {pulse} {wait}: moved by {far}");
            }
        }
    }
}

#[test]
fn small_trades_do_not_keep_a_pool_awake_whose_liquidity_has_gone() {
    let token = address(965);
    let mut scene = Scene::honest();
    for round in 0..1_500 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(HONEST), token, USDC, 240.0, 2.0, round % 3 == 0);
    }
    for round in 0..750 {
        scene.honest_slot(round, 1.0);
        // It has moved; somebody trades cents in what is left.
        scene.swap(address(HONEST + 1), token, USDC, 240.0, 2.0, round % 3 == 0);
        let lie = if round < 300 { 2.0 } else { 3.0 };
        scene.swap(address(HONEST), token, USDC, 0.6, lie, round % 2 == 0);
        let price = scene.price(token);
        assert!((price / 2.0 - 1.0).abs() < 0.01, "{round}: {price}");
    }
}

#[test]
fn money_that_moves_out_again_within_a_slot_makes_nothing_certain() {
    let fake = address(966);
    let mut scene = Scene::honest();
    for round in 0..400 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(OWN), fake, USDC, 10_000.0, 2.0, true);
        let within = scene.estimate(fake);
        assert!(round < 64 || within.is_none(), "{round}: {within:?}");
        scene.swap(address(OWN), fake, USDC, 10_000.0, 2.0, false);
    }
    scene.take();
    let told = scene.oracle.estimate_of(fake).unwrap();
    assert!(told.uncertain >= MOST_UNCERTAIN, "{told:?}");
    assert!(scene.now > SLOT_TIME);
}
