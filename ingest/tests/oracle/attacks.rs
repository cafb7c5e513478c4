//! Single attacks after an honest minute. None of them moves a price by a percent.

use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};
use perijove_ingest::oracle::{Leg, MOST_UNCERTAIN};

use crate::scene::{A, B, Scene, address, leg, raw};

const OWN: u64 = 666;

#[test]
fn one_trade_at_an_absurd_price_changes_nothing() {
    let dollar = |mint| leg(mint, raw(mint, 1.0));
    let million = |mint| leg(mint, raw(mint, 1e6));
    let dust = |mint| leg(mint, 1);
    for victim in [A, B, WSOL, USDT] {
        for quote in [USDC, USDT, WSOL] {
            if quote == victim {
                continue;
            }
            for pool in [1, 2, 3, 4, 5, OWN].map(address) {
                for (what, given, taken) in [
                    ("a base unit for a dollar", dust(victim), dollar(quote)),
                    ("a million for a dollar", million(victim), dollar(quote)),
                    ("dust for dust", dust(victim), dust(quote)),
                    ("a million for dust", million(victim), dust(quote)),
                    (
                        "a thousand units for a million",
                        leg(victim, 1_000),
                        million(quote),
                    ),
                    ("huge for huge", million(victim), leg(quote, u64::MAX)),
                ] {
                    let mut scene = Scene::honest();
                    scene.trade(pool, given, taken, true);
                    scene.assert_honest(&format!("{what}: {victim} for {quote} in {pool}"));
                    scene.next_slot();
                    scene.assert_honest(&format!("{what}, a slot later"));
                }
            }
        }
    }
}

#[test]
fn one_trade_after_few_honest_ones_changes_nothing() {
    for honest in [2.0, 100.0, 2_000.0] {
        let mut scene = Scene::empty();
        // As few as it takes to be sure of the decimals.
        for _ in 0..5 {
            let honest = honest / 5.0;
            scene.swap(address(1), WSOL, USDC, honest / 150.0, 150.0, true);
            scene.swap(address(4), A, USDC, honest / 2.0, 2.0, true);
            scene.swap(address(5), B, WSOL, honest / 2.25, 0.015, true);
            scene.next_slot();
        }
        for pool in [4, OWN].map(address) {
            scene.trade(pool, leg(A, 1), leg(USDC, 1_000_000), true);
            scene.next_slot();
            scene.swap(pool, A, USDC, 1e6, 1e-6, false);
            scene.next_slot();
            scene.trade(pool, leg(WSOL, 1), leg(USDC, 1_000_000), true);
            scene.trade(pool, leg(WSOL, 1), leg(USDT, 1_000_000), true);
            scene.next_slot();
        }
        for (mint, expected) in [(WSOL, 150.0), (A, 2.0), (B, 2.25)] {
            // Of two dollars against one, nothing is told rather than anything wrong.
            let told = scene.estimate(mint);
            assert!(told.is_some() || honest < 100.0, "{honest}: {mint}");
            let off = told.map_or(0.0, |told| (told.usd / expected - 1.0).abs());
            assert!(off < 1e-6, "{honest}: {mint} {told:?}");
        }
    }
}

#[test]
fn a_thousand_honest_trades_are_not_outdone_by_one_unit_in_the_same_slot() {
    let mut scene = Scene::honest();
    for _ in 0..1_000 {
        scene.swap(address(4), A, USDC, 1_000.0, 2.0, true);
    }
    scene.trade(address(4), leg(A, 1), leg(USDC, 1_000_000), true);
    scene.assert_honest("the last of a slot");
}

#[test]
fn decimals_of_single_messages_are_not_believed() {
    let mut scene = Scene::honest();
    for said in [Some(9), Some(0), None, Some(255), Some(6)] {
        for pool in [4, OWN].map(address) {
            let base = Leg {
                decimals: said,
                ..leg(A, raw(A, 500.0))
            };
            scene.trade(pool, base, leg(USDC, raw(USDC, 1_000.0)), true);
            scene.assert_honest(&format!("{said:?}"));
            scene.next_slot();
        }
    }
    assert_eq!(scene.estimate(A).unwrap().decimals, 6);
}

#[test]
fn slots_and_times_that_cannot_be_are_passed_over_and_stop_nobody() {
    let mut scene = Scene::honest();
    let (slot, now) = (scene.slot, scene.now);
    for (slot, later) in [
        (900_000_000_000, 0),
        (u64::MAX, 0),
        (slot, 3_600_000),
        (slot, now * 999),
        (slot, now / 1_000 - now),
        (slot, -86_400_000),
    ] {
        scene.slot = slot;
        let clock = scene.now;
        scene.now += later;
        let trade_time = scene.now;
        scene.now = clock;
        lie(&mut scene, trade_time);
    }
    scene.slot = slot;
    scene.now = now;
    assert_eq!(scene.oracle.ignored.time, 6);
    scene.assert_honest("odd slots and times");
    for round in 0..5 {
        scene.next_slot();
        scene.honest_slot(round, 1.0);
    }
    let estimate = scene.estimate(A).unwrap();
    assert!(estimate.slot.0 >= slot + 5, "{estimate:?}");
    scene.assert_honest("afterwards");
}

/// A trade at twice the price that says it is of a time.
fn lie(scene: &mut Scene, time: i64) {
    use perijove_core::market::Position;
    use perijove_ingest::oracle::Observation;
    let trade = Observation {
        position: Position {
            slot: scene.slot.into(),
            transaction: 0,
            instruction: 0,
            ordinal: 0,
        },
        time,
        pool: address(4),
        base: leg(A, raw(A, 1_000.0)),
        quote: leg(USDC, raw(USDC, 4_000.0)),
        base_bought: true,
    };
    scene.oracle.add(&trade, scene.now);
}

#[test]
fn sol_has_its_price_from_any_stablecoin_that_is_traded() {
    let mut scene = Scene::honest();
    for round in 0..3_000 {
        let pool = if round % 2 == 0 { 1 } else { 11 };
        scene.swap(address(pool), WSOL, USDC, 2.0, 150.0, round % 3 == 0);
        scene.next_slot();
    }
    // USDT is old, and SOL's last trade was for it.
    scene.swap(address(2), WSOL, USDT, 2.0, 150.0, true);
    let sol = scene.estimate(WSOL).unwrap();
    assert!((sol.usd / 150.0 - 1.0).abs() < 0.001, "{sol:?}");
    assert!(scene.now - sol.since < 10_000, "{sol:?}");
}

#[test]
fn a_token_that_is_traded_only_for_another_token_has_a_price_by_way_of_it() {
    let staked = address(900);
    let (one, two) = (address(901), address(902));
    let mut scene = Scene::honest();
    for round in 0..100 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(21), staked, WSOL, 3.0, 1.25, round % 3 == 0);
        scene.swap(address(22), one, staked, 1_000.0, 0.004, round % 3 == 0);
        scene.swap(address(23), two, one, 1_000.0, 0.5, round % 3 == 1);
    }
    let staked_price = scene.price(staked);
    assert!((staked_price / 187.5 - 1.0).abs() < 0.01, "{staked_price}");
    let price = scene.estimate(one).unwrap();
    assert!((price.usd / 0.75 - 1.0).abs() < 0.01, "{price:?}");
    let far = scene.estimate(two).unwrap();
    assert!((far.usd / 0.375 - 1.0).abs() < 0.01, "{far:?}");
    assert!(far.uncertain >= price.uncertain, "{far:?} {price:?}");
}

#[test]
fn usdc_has_a_price_like_any_other() {
    let usdc = Scene::honest().estimate(USDC).unwrap();
    assert!(
        (usdc.usd - 1.0).abs() < 0.001 && usdc.trades > 100,
        "{usdc:?}"
    );
    assert_eq!(usdc.decimals, 6);
}

#[test]
fn trades_with_oneself_in_an_own_pool_weigh_next_to_nothing() {
    let mut scene = Scene::honest();
    for round in 0..500 {
        scene.honest_slot(round, 1.0);
        // Ten times the honest volume, within a transaction and from slot to slot.
        for _ in 0..5 {
            scene.swap(address(OWN), A, USDC, 2_000.0, 3.0, true);
            scene.swap(address(OWN), A, USDC, 2_000.0, 3.0, false);
        }
        scene.swap(address(OWN + 1), A, USDC, 50.0, 1.0, round % 2 == 0);
        scene.assert_honest("wash trades");
    }
}

#[test]
fn many_own_pools_weigh_no_more_than_the_money_in_them() {
    let mut scene = Scene::honest();
    for round in 0..200 {
        scene.honest_slot(round, 1.0);
        for pool in 0..50 {
            let pool = address(OWN + (round * 50 + pool) % 500);
            scene.swap(pool, A, USDC, 1.0, 4.0, round % 2 == 0);
        }
        scene.assert_honest("own pools");
    }
}

#[test]
fn a_circle_through_own_and_honest_pools_changes_nothing() {
    let coin = address(950);
    let mut scene = Scene::honest();
    for round in 0..200 {
        scene.honest_slot(round, 1.0);
        // USDC to the own coin, to A at thrice its price, and back to USDC at the honest pool.
        scene.swap(address(OWN), coin, USDC, 1_000.0, 1.0, true);
        scene.swap(address(OWN + 1), A, coin, 166.0, 6.0, true);
        scene.swap(address(4), A, USDC, 166.0, 2.0, false);
        scene.swap(address(OWN), coin, USDC, 1_000.0, 1.0, false);
        scene.swap(address(OWN + 1), A, coin, 166.0, 6.0, false);
        scene.assert_honest("a circle");
    }
}

#[test]
fn a_sandwich_does_not_show() {
    let mut scene = Scene::honest();
    for round in 0..100 {
        scene.honest_slot(round, 1.0);
        if round % 10 == 5 {
            scene.swap(address(4), A, USDC, 5_000.0, 2.05, true);
            scene.swap(address(4), A, USDC, 1_000.0, 2.12, true);
            scene.swap(address(4), A, USDC, 5_000.0, 2.06, false);
        }
        scene.assert_honest("a sandwich");
    }
}

#[test]
fn a_large_trade_in_a_thin_pool_is_gone_a_slot_later_and_does_not_show() {
    let thin = address(960);
    let mut scene = Scene::honest();
    for round in 0..60 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(31), thin, WSOL, 100.0, 0.01, round % 2 == 0);
    }
    let before = scene.price(thin);
    scene.swap(address(31), thin, WSOL, 90_000.0, 0.02, true);
    let at_once = scene.price(thin);
    scene.next_slot();
    scene.swap(address(31), thin, WSOL, 100.0, 0.0101, false);
    let after = scene.price(thin);
    for (when, price) in [("at once", at_once), ("after", after)] {
        assert!(
            (price / before - 1.0).abs() < 0.02,
            "{when}: {price} of {before}"
        );
    }
}

#[test]
fn a_token_with_nothing_behind_it_has_no_price() {
    let fake = address(970);
    let mut scene = Scene::honest();
    scene.swap(address(OWN), fake, USDC, 1_000_000.0, 1e-6, true);
    assert_eq!(scene.estimate(fake), None);
    for round in 0..200 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(OWN), fake, USDC, 1_000.0, 100.0, true);
        scene.swap(address(OWN), fake, USDC, 1_000.0, 100.0, false);
    }
    // A hundred thousand dollars each way, and never a dollar in the pool.
    assert_eq!(scene.estimate(fake), None);
    let told = scene.oracle.estimate_of(fake).unwrap();
    assert!(told.uncertain > MOST_UNCERTAIN, "{told:?}");
}

#[test]
fn a_token_that_nobody_pays_money_for_has_no_price() {
    let (one, two): (Pubkey, Pubkey) = (address(980), address(981));
    let mut scene = Scene::honest();
    for round in 0..50 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(33), one, two, 1_000.0, 7.0, true);
    }
    assert_eq!((scene.estimate(one), scene.estimate(two)), (None, None));
}
