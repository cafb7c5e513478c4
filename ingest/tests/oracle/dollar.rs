//! Attacks on the value of a dollar, through which everything is priced.

use perijove_core::market::{PYUSD, USDC, USDS, USDT, WSOL};

use crate::scene::{A, Scene, address};

const OWN: u64 = 660;

/// Own pools in which SOL costs less of some stablecoins than it should: as if they were dearer.
fn cheap_sol(scene: &mut Scene, usd: f64, price: f64) {
    for (pool, coin) in [(OWN, PYUSD), (OWN + 1, USDS)] {
        scene.wash(address(pool), (WSOL, coin), usd, price);
    }
}

#[test]
fn new_pools_of_thin_stablecoins_do_not_set_the_dollar() {
    for alternating in [1, 32] {
        let mut scene = Scene::honest();
        for round in 0..600 {
            scene.honest_slot(round, 1.0);
        }
        for round in 0..300 {
            for (pool, coin) in [(OWN, PYUSD), (OWN + 1, USDS)] {
                let buy = round / alternating % 2 == 0;
                scene.swap(address(pool), WSOL, coin, 8_000.0 / 150.0, 125.0, buy);
            }
            scene.honest_slot(round, 1.0);
            scene.assert_honest("two thin stablecoins");
        }
    }
}

#[test]
fn old_pools_of_thin_stablecoins_set_neither_the_dollar_nor_sol() {
    let mut scene = Scene::honest();
    for round in 0..1_200 {
        // Half an hour and more, in steps of five slots.
        scene.slot += 4;
        scene.now += 1_600;
        scene.honest_slot(round, 1.0);
        if round % 38 == 0 {
            let buy = round / 38 % 3 == 0;
            scene.swap(address(80), PYUSD, USDC, 10_000.0, 1.0, buy);
            scene.swap(address(81), USDS, USDC, 10_000.0, 1.0, !buy);
        }
        cheap_sol(&mut scene, 20_000.0, 150.0);
    }
    for round in 0..150 {
        scene.honest_slot(round, 1.0);
        cheap_sol(&mut scene, 20_000.0, 125.0);
        scene.assert_honest("two thin stablecoins of half an hour");
        for coin in [PYUSD, USDS] {
            let told = scene.price(coin);
            assert!((told - 1.0).abs() < 0.01, "{round}: {told}");
        }
    }
}

#[test]
fn tokens_for_a_thin_stablecoin_keep_their_price() {
    let token = address(955);
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(82), token, PYUSD, 200.0, 3.0, round % 3 == 0);
    }
    for round in 0..150 {
        scene.honest_slot(round, 1.0);
        scene.swap(address(82), token, PYUSD, 200.0, 3.0, round % 3 == 0);
        cheap_sol(&mut scene, 8_000.0, 125.0);
        let told = scene.price(token);
        assert!((told / 3.0 - 1.0).abs() < 0.01, "{told}");
    }
}

#[test]
fn one_of_the_two_routes_to_tether_is_not_enough() {
    let mut scene = Scene::honest();
    // A multiple of what there is in the honest pool of the two stablecoins.
    for round in 0..1_300 {
        let price = if round < 1_200 { 1.0 } else { 1.2 };
        scene.wash(address(OWN), (USDT, USDC), 500_000.0, price);
        scene.honest_slot(round, 1.0);
        for (mint, expected) in [(WSOL, 150.0), (USDC, 1.0), (A, 2.0)] {
            let told = scene.price(mint);
            assert!((told / expected - 1.0).abs() < 0.01, "{mint} {told}");
        }
    }
}
