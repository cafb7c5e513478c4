//! Attacks by pools of one's own: their turnover, their number, and the money that they are paid
//! with.

use perijove_core::market::{USDC, WSOL};
use perijove_ingest::oracle::Observation;

use crate::scene::{A, SLOT_TIME, Scene, address};

const OWN: u64 = 680;

/// Trades of every other slot arrive later by so many slots, as those of a partition that lags.
struct Lagging {
    scene: Scene,
    waiting: Vec<(u64, Observation)>,
    lag: u64,
}

impl Lagging {
    fn swap(&mut self, pool: u64, price: f64, usd: f64, buy: bool) {
        let scene = &mut self.scene;
        let trade = scene.observation(address(pool), A, USDC, usd / price, price, buy);
        if scene.slot % 2 == 1 {
            self.waiting.push((scene.slot + self.lag, trade));
        } else {
            scene.oracle.add(&trade, scene.now);
        }
    }

    fn next_slot(&mut self) {
        let (slot, now) = (self.scene.slot, self.scene.now);
        let oracle = &mut self.scene.oracle;
        self.waiting.retain(|(due, trade)| {
            let waits = *due > slot;
            if !waits {
                oracle.add(trade, now);
            }
            waits
        });
        self.scene.next_slot();
    }
}

#[test]
fn wash_trades_between_partitions_show_no_money() {
    for lag in [0, 1, 5, 40, 200] {
        let mut stream = Lagging {
            scene: Scene::honest(),
            waiting: Vec::new(),
            lag,
        };
        let mut far: f64 = 0.0;
        for round in 0..1_800 {
            let honest = 450.0 + 37.0 * f64::from(round % 7);
            stream.swap(4, 2.0, honest, round % 6 < 4);
            let lie = if round < 1_500 { 2.0 } else { 2.4 };
            // A thousand dollars to and fro: bought in one partition, sold in the other.
            let buy = stream.scene.slot % 2 == 0;
            stream.swap(OWN, lie, 1_000.0, buy);
            let pools = [(1, WSOL, 150.0), (3, perijove_core::market::USDT, 1.0)];
            for (pool, base, price) in pools {
                let buy = round % 3 == 0;
                stream
                    .scene
                    .swap(address(pool), base, USDC, 400.0 / price, price, buy);
            }
            stream.next_slot();
            if let Some(told) = stream.scene.estimate(A) {
                far = far.max((told.usd / 2.0 - 1.0).abs());
            }
        }
        println!("wash trades between partitions {lag} slots apart: moved by {far}");
        assert!(far < 0.01, "{lag}: moved by {far}");
    }
}

#[test]
fn a_pool_whose_first_trade_was_small_counts_once_it_is_deep() {
    for (token, price) in [(A, 2.0), (WSOL, 150.0)] {
        let mut scene = Scene::honest();
        // A dollar for a start, then so many others that there is no more room.
        scene.swap(address(90), token, USDC, 1.0 / price, price, true);
        for pool in 0..200 {
            scene.swap(
                address(2_000 + pool),
                token,
                USDC,
                5.0 / price,
                price,
                pool % 2 == 0,
            );
        }
        scene.next_slot();
        // The price falls where the liquidity is; the others are not traded in.
        for round in 0..1_500_u64 {
            let falling = price * (1.0 - 0.2 * (round as f64 / 1_500.0));
            scene.swap(
                address(90),
                token,
                USDC,
                5_000.0 / falling,
                falling,
                round % 64 < 40,
            );
            scene.swap(
                address(3),
                perijove_core::market::USDT,
                USDC,
                400.0,
                1.0,
                round % 3 == 0,
            );
            scene.next_slot();
        }
        let told = scene.price(token);
        assert!((told / price / 0.8 - 1.0).abs() < 0.01, "{token}: {told}");
    }
}

#[test]
fn new_pools_do_not_push_out_honest_ones() {
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
    }
    for round in 0..400 {
        scene.honest_slot(round, 1.0);
        for pool in 0..50 {
            let pool = 3_000 + (round * 50 + pool) % 1_000;
            scene.swap(address(pool), A, USDC, 20.0, 2.6, round % 40 < 20);
            scene.swap(address(pool), WSOL, USDC, 0.3, 110.0, round % 40 < 20);
        }
        scene.assert_honest("a crowd of new pools");
    }
}

#[test]
fn dollars_of_ones_own_coin_count_for_what_was_paid_for_it() {
    let (coin, victim) = (address(985), address(986));
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
        if round % 20 == 0 {
            scene.swap(address(35), victim, USDC, 100.0, 1.0, round % 60 == 0);
        }
        // Fifty dollars say that it is worth a thousand; then it is paid with by the million.
        scene.wash(address(OWN), (coin, USDC), 50.0, 1_000.0);
        for pool in 1..11 {
            let lie = if round < 300 { 1e-3 } else { 1.5e-3 };
            let pool = address(OWN + pool);
            scene.swap(pool, victim, coin, 1e9, lie, round % 64 < 32);
            scene.swap(address(pool_of(round)), A, coin, 1e5, 3e-3, round % 64 < 32);
        }
        scene.assert_honest("an own coin");
        if round > 100 {
            let told = scene.price(victim);
            assert!((told - 1.0).abs() < 0.01, "{round}: {told}");
        }
    }
}

const fn pool_of(round: u64) -> u64 {
    700 + round % 100
}

#[test]
fn a_token_for_ones_own_coin_is_as_uncertain_as_the_coin() {
    let (coin, fake) = (address(987), address(988));
    let mut scene = Scene::honest();
    for round in 0..600 {
        scene.honest_slot(round, 1.0);
        scene.wash(address(OWN), (coin, USDC), 50.0, 1_000.0);
        for pool in 1..11 {
            scene.swap(
                address(OWN + pool),
                fake,
                coin,
                1_000.0,
                1_000.0,
                round % 64 < 32,
            );
        }
    }
    scene.take();
    let told = scene.oracle.estimate_of(fake).unwrap();
    // Fifty dollars are behind all of it, not ten milliards.
    assert!(told.uncertain > 0.1, "{told:?}");
    assert!(told.turnover < 50_000.0, "{told:?}");
    assert!(scene.now > SLOT_TIME);
}
