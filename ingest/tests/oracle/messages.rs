//! Messages with wrong fields, and how old a price is said to be.

use perijove_core::market::{USDC, USDT, WSOL};
use perijove_ingest::oracle::Leg;

use crate::scene::{A, B, SLOT_TIME, Scene, address, leg, raw};

#[test]
fn the_first_messages_of_a_token_do_not_decide_its_decimals() {
    let new = address(990);
    let mut scene = Scene::honest();
    for said in [0, 9, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6] {
        for _ in 0..20 {
            let base = Leg {
                decimals: Some(said),
                ..leg(new, raw(new, 500.0))
            };
            scene.trade(address(95), base, leg(USDC, raw(USDC, 1_000.0)), true);
            scene.take();
            let told = scene.oracle.estimate_of(new);
            assert!(
                told.is_none_or(|told| (told.usd / 2.0 - 1.0).abs() < 0.01),
                "{said}: {told:?}"
            );
        }
        scene.next_slot();
    }
    assert_eq!(scene.estimate(new).unwrap().decimals, 6);
}

#[test]
fn decimals_outlast_hours_of_silence() {
    let rare = address(991);
    let mut scene = Scene::honest();
    for round in 0..10 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(96), rare, USDC, 100.0, 2.0, true);
    }
    // Three hours in steps of two seconds.
    for round in 0..5_400 {
        scene.honest_slot(round, 1.0);
        scene.now += 2_000 - SLOT_TIME;
    }
    assert_eq!(scene.estimate(rare), None, "it is forgotten");
    let base = Leg {
        decimals: Some(0),
        ..leg(rare, raw(rare, 100.0))
    };
    scene.trade(address(96), base, leg(USDC, raw(USDC, 200.0)), true);
    let told = scene.estimate(rare).unwrap();
    assert!((told.usd / 2.0 - 1.0).abs() < 0.01, "{told:?}");
}

#[test]
fn a_small_trade_elsewhere_makes_no_price_newer() {
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
        // Two percent of what the main pool does.
        scene.swap(address(97), A, USDC, 5.0, 2.0, round % 3 == 0);
    }
    let stopped = scene.now;
    for round in 0..300 {
        let buy = round % 3 == 0;
        scene.swap(address(1), WSOL, USDC, 2.0, 150.0, buy);
        scene.swap(address(97), A, USDC, 0.3, 2.0, buy);
        scene.next_slot();
        let told = scene.oracle.estimate_of(A).unwrap();
        assert!(told.since <= stopped, "{round}: {told:?}");
        if round > 60 {
            break;
        }
    }
}

#[test]
fn a_stablecoin_is_as_old_as_what_says_its_worth() {
    let scam = address(992);
    let mut scene = Scene::honest();
    let before = scene.estimate(USDT).unwrap();
    let stopped = scene.now;
    for round in 0..300 {
        let buy = round % 3 == 0;
        scene.swap(address(1), WSOL, USDC, 2.0, 150.0, buy);
        scene.swap(address(98), scam, USDT, 10_000.0, 7.0, buy);
        scene.next_slot();
    }
    let told = scene.estimate(USDT).unwrap();
    assert!(told.since <= stopped, "{told:?}");
    assert!(
        told.turnover <= before.turnover * 1.01,
        "{told:?} {before:?}"
    );
    assert!(told.pools <= 2, "{told:?}");
    let usdc = scene.estimate(USDC).unwrap();
    assert!(usdc.since > stopped, "{usdc:?}");
}

#[test]
fn clocks_may_disagree_by_as_much_as_the_docs_say() {
    for behind in [0, 15_000, 59_000] {
        let mut scene = Scene::empty();
        scene.behind = behind;
        for round in 0..150 {
            scene.honest_slot(round, 1.0);
        }
        assert_eq!(scene.oracle.ignored.time, 0, "{behind}");
        scene.assert_honest("a clock that is behind");
    }
}

#[test]
fn a_trade_from_the_future_puts_no_other_pool_to_sleep() {
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(666), A, USDC, 50.0, 2.0, round % 64 < 32);
    }
    for round in 0..60 {
        scene.honest_slot(round, 1.0);
        let mut trade = scene.observation(address(666), A, USDC, 50.0, 3.0, true);
        trade.time += 55_000;
        scene.oracle.add(&trade, scene.now);
        for (mint, expected) in [(A, 2.0), (B, 2.25)] {
            let told = scene.price(mint);
            assert!((told / expected - 1.0).abs() < 0.01, "{mint}: {told}");
        }
    }
}
