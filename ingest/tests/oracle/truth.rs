//! What must not be taken for an attack.

use perijove_core::market::{USDC, USDT, WSOL};

use crate::scene::{A, SLOT_TIME, Scene, address};

/// A deep token in four pools; each slot some of them trade.
fn deep(scene: &mut Scene, round: u64, price: f64) {
    for pool in 0..4 {
        if (round + pool) % 2 == 0 {
            let size = 500.0 + 61.0 * ((round * 5 + pool) % 9) as f64;
            let noise = 1.0 + 0.001 * (((round * 3 + pool) % 5) as f64 - 2.0);
            let price = price * noise;
            scene.swap(
                address(40 + pool),
                A,
                USDC,
                size / price,
                price,
                (round + pool) % 3 == 0,
            );
        }
    }
}

#[test]
fn a_crash_of_forty_percent_in_a_minute_is_followed_within_seconds() {
    let mut scene = Scene::honest();
    for round in 0..750 {
        deep(&mut scene, round, 2.0);
        scene.honest_slot(round, 1.0);
    }
    let mut worst: f64 = 0.0;
    let mut reached = None;
    for round in 0..300_u32 {
        // A minute is 150 slots.
        let share = f64::from(round.min(150)) / 150.0;
        let truth = 2.0 * 0.6_f64.powf(share);
        deep(&mut scene, round.into(), truth);
        for (pool, quote) in [(1, USDC), (2, USDT)] {
            scene.swap(address(pool), WSOL, quote, 3.0, 150.0, round % 3 == 0);
        }
        scene.swap(address(4), A, USDC, 300.0, truth, round % 2 == 0);
        scene.next_slot();
        let price = scene.price(A);
        worst = worst.max((price / truth - 1.0).abs());
        if round >= 150 && reached.is_none() && (price / 1.2 - 1.0).abs() < 0.005 {
            reached = Some(i64::from(round - 150) * SLOT_TIME);
        }
    }
    println!(
        "crash of 40 % in a minute: worst error {:.2} %, reached after {reached:?} ms",
        worst * 100.0
    );
    assert!(worst < 0.05, "{worst}");
    assert!(reached.unwrap() <= 4_000, "{reached:?}");
}

#[test]
fn a_crash_is_followed_where_everybody_trades_both_ways() {
    // As an exchange does that quotes without regard to what was traded.
    let mut random = fastrand::Rng::with_seed(22);
    let mut scene = Scene::honest();
    let (mut worst, mut reached): (f64, _) = (0.0, None);
    for round in 0..600_u32 {
        let truth = 2.0 * 0.6_f64.powf(f64::from(round.clamp(300, 450) - 300) / 150.0);
        for pool in 0..4 {
            for _ in 0..random.u32(0..6) {
                let price = truth * (1.0 + 0.001 * (random.f64() - 0.5));
                let usd = 50.0 + 2_000.0 * random.f64().powi(3);
                scene.swap(
                    address(40 + pool),
                    A,
                    USDC,
                    usd / price,
                    price,
                    random.bool(),
                );
            }
        }
        for (pool, quote) in [(1, USDC), (2, USDT)] {
            scene.swap(address(pool), WSOL, quote, 3.0, 150.0, round % 3 == 0);
        }
        scene.next_slot();
        let price = scene.price(A);
        worst = worst.max((price / truth - 1.0).abs());
        if round >= 450 && reached.is_none() && (price / 1.2 - 1.0).abs() < 0.005 {
            reached = Some(i64::from(round - 450) * SLOT_TIME);
        }
    }
    println!(
        "the same with trades both ways: worst error {:.2} %, reached after {reached:?} ms",
        worst * 100.0
    );
    assert!(worst < 0.05, "{worst}");
    assert!(reached.unwrap() <= 4_000, "{reached:?}");
}

#[test]
fn a_gap_of_forty_percent_is_followed_within_seconds() {
    let mut scene = Scene::honest();
    for round in 0..750 {
        deep(&mut scene, round, 2.0);
        scene.honest_slot(round, 1.0);
    }
    for round in 0..40 {
        deep(&mut scene, round, 1.2);
        scene.swap(address(4), A, USDC, 300.0, 1.2, round % 2 == 0);
        scene.next_slot();
    }
    let price = scene.price(A);
    assert!((price / 1.2 - 1.0).abs() < 0.005, "{price}");
}

#[test]
fn a_stablecoin_that_breaks_is_told_and_the_dollar_stays() {
    for (broken, sol, tether) in [
        // USDT falls: it costs less USDC, and SOL costs more of it.
        (USDT, 150.0, 0.88),
        // USDC falls: SOL costs more of it, and so does USDT.
        (USDC, 150.0 / 0.88, 1.0 / 0.88),
    ] {
        let mut scene = Scene::honest();
        for round in 0..400 {
            let buy = round % 3 == 0;
            scene.swap(address(1), WSOL, USDC, 3.0, sol, buy);
            scene.swap(address(2), WSOL, USDT, 3.0, sol / tether, !buy);
            scene.swap(address(3), USDT, USDC, 500.0, tether, buy);
            scene.next_slot();
        }
        let prices = [WSOL, USDC, USDT].map(|mint| scene.price(mint));
        println!(
            "depeg of {broken}: SOL {:.2}, USDC {:.4}, USDT {:.4}",
            prices[0], prices[1], prices[2]
        );
        let expected = if broken == USDC {
            [150.0, 0.88, 1.0]
        } else {
            [150.0, 1.0, 0.88]
        };
        for (price, expected) in prices.iter().zip(expected) {
            assert!(
                (price / expected - 1.0).abs() < 0.01,
                "{broken}: {prices:?}"
            );
        }
    }
}

#[test]
fn a_pool_that_moves_to_another_program_takes_its_price_along() {
    let mut scene = Scene::honest();
    for round in 0..1_500 {
        scene.honest_slot(round, 1.0);
    }
    for round in 0..300_u32 {
        let price = 2.0 * (1.0 + 0.15 * f64::from(round) / 300.0);
        scene.swap(address(1), WSOL, USDC, 3.0, 150.0, round % 3 == 0);
        scene.swap(address(50), A, USDC, 200.0, price, round % 3 == 0);
        scene.next_slot();
    }
    let price = scene.price(A);
    assert!((price / 2.3 - 1.0).abs() < 0.01, "{price}");
}

#[test]
fn a_halt_of_an_hour_makes_nobodys_word_count_more() {
    let mut scene = Scene::honest();
    for round in 0..750 {
        scene.honest_slot(round, 1.0);
    }
    scene.now += 3_600_000;
    scene.swap(address(666), A, USDC, 1_000.0, 8.0, true);
    scene.assert_honest("the first trade after a halt");
    for round in 0..50 {
        scene.honest_slot(round, 1.1);
    }
    let price = scene.price(A);
    assert!((price / 2.2 - 1.0).abs() < 0.01, "{price}");
}
