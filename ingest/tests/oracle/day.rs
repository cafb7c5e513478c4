//! A simulated day with hostile volume.

use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};

use crate::scene::{A, SLOT_TIME, Scene, address};

/// A day in seconds, of which one slot in so many is simulated: few, but all while prices crash.
const DAY: f64 = 86_400.0;
const PAUSE: f64 = 6.0;
const CRASH: std::ops::Range<f64> = 43_200.0..43_260.0;

/// The deep pools of A, what they are paid with, and what they turn over for one unit of size.
const POOLS: [(u64, Pubkey, f64); 4] = [
    (70, USDC, 900.0),
    (71, WSOL, 1_500.0),
    (72, USDC, 300.0),
    (73, WSOL, 120.0),
];

/// Trades of the last five steps, half a minute, for the ways of making a price that are compared.
#[derive(Default)]
struct Recent(Vec<(u32, f64, f64)>);

impl Recent {
    fn add(&mut self, second: u32, price: f64, usd: f64) {
        self.0.push((second, price, usd));
    }

    fn shrink(&mut self, second: u32) {
        self.0.retain(|(then, ..)| then + 5 > second);
    }

    fn last(&self) -> f64 {
        self.0.last().unwrap().1
    }

    fn vwap(&self) -> f64 {
        let usd: f64 = self.0.iter().map(|trade| trade.2).sum();
        let amount: f64 = self.0.iter().map(|trade| trade.2 / trade.1).sum();
        usd / amount
    }

    fn median(&self) -> f64 {
        let mut prices: Vec<f64> = self.0.iter().map(|trade| trade.1).collect();
        prices.sort_by(f64::total_cmp);
        prices[prices.len() / 2]
    }
}

/// Errors of one way over the day, as shares of the true price.
#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    fn note(&mut self, price: f64, truth: f64) {
        self.0.push((price / truth - 1.0).abs());
    }

    /// The median, the 99th percentile and the worst, in percent.
    fn figures(&mut self) -> [f64; 3] {
        self.0.sort_by(f64::total_cmp);
        let last = self.0.len() - 1;
        [last / 2, last * 99 / 100, last].map(|place| self.0[place] * 100.0)
    }
}

struct Day {
    scene: Scene,
    random: fastrand::Rng,
    recent: Recent,
    truth: f64,
    sol: f64,
}

impl Day {
    fn trade(&mut self, second: u32, pool: u64, quote: Pubkey, usd: f64, price: f64, buy: bool) {
        let paid = if quote == WSOL {
            price / self.sol
        } else {
            price
        };
        self.scene
            .swap(address(pool), A, quote, usd / price, paid, buy);
        self.recent.add(second, price, usd);
    }

    /// The true prices wander; now and then one of them jumps, and once A falls by 40 % in a minute.
    fn wander(&mut self, step: u32, time: f64, pause: f64) {
        let mut random = |share: f64| 1.0 + (self.random.f64() - 0.5) * share;
        self.sol *= random(0.000_4);
        self.truth *= random(0.001);
        if step % 1_000 == 500 {
            self.truth *= random(0.04);
        }
        if CRASH.contains(&time) {
            self.truth *= 0.6_f64.powf(pause / 60.0);
        }
    }

    fn honest(&mut self, second: u32) {
        let (sol, truth) = (self.sol, self.truth);
        for (pool, quote) in [(60, USDC), (61, USDT), (62, USDC)] {
            let size = 5.0 + 20.0 * self.random.f64();
            let noise = 1.0 + (self.random.f64() - 0.5) * 0.001;
            let buy = self.random.bool();
            self.scene
                .swap(address(pool), WSOL, quote, size, sol * noise, buy);
        }
        let buy = self.random.bool();
        self.scene.swap(address(63), USDT, USDC, 2_000.0, 1.0, buy);
        for (pool, quote, size) in POOLS {
            if self.random.f64() < 0.7 {
                let usd = size * (0.2 + 3.0 * self.random.f64().powi(3));
                let noise = 1.0 + (self.random.f64() - 0.5) * 0.004;
                let buy = self.random.bool();
                self.trade(second, pool, quote, usd, truth * noise, buy);
            }
        }
        // A sandwich in the deepest pool.
        if second % 50 == 7 {
            self.trade(second, 71, WSOL, 4_000.0, truth * 1.01, true);
            self.trade(second, 71, WSOL, 1_500.0, truth * 1.03, true);
            self.trade(second, 71, WSOL, 4_000.0, truth * 1.015, false);
        }
    }

    /// Trades of somebody with himself, in pools of his own, so much a second.
    fn hostile(&mut self, second: u32, usd: f64) {
        // Wrong by as much as he likes for minutes, in a direction that changes.
        let lie = if (second / 600) % 2 == 0 { 1.5 } else { 0.6 };
        let truth = self.truth;
        for number in 0..3 {
            let pool = 600 + u64::from(second / 1_800) * 3 + number;
            self.trade(second, pool, USDC, usd / 6.0, truth * lie, true);
            self.trade(second, pool, USDC, usd / 6.0, truth * lie, second % 2 == 0);
        }
        if second % 20 == 3 {
            self.trade(second, 70, USDC, 1.0, truth * 1e6, true);
        }
    }
}

fn day(share: f64) -> [[f64; 3]; 4] {
    let mut day = Day {
        scene: Scene::empty(),
        random: fastrand::Rng::with_seed(15),
        recent: Recent::default(),
        truth: 2.0,
        sol: 150.0,
    };
    let mut errors: [Errors; 4] = Default::default();
    // About what is honestly turned over in a second.
    let honest: f64 = POOLS.iter().map(|pool| 0.7 * 0.95 * pool.2).sum();
    let (mut time, mut step) = (0.0, 0);
    while time < DAY {
        let crashes = (CRASH.start - 30.0..CRASH.end + 30.0).contains(&time);
        let pause = if crashes { 0.4 } else { PAUSE };
        day.wander(step, time, pause);
        day.honest(step);
        if share > 0.0 && step > 300 {
            day.hostile(step, honest * share / (1.0 - share));
        }
        let slots = (pause / 0.4).round() as u32;
        day.scene.slot += u64::from(slots - 1);
        day.scene.now += i64::from(slots - 1) * SLOT_TIME;
        day.scene.next_slot();
        day.recent.shrink(step);
        if step > 300 {
            let truth = day.truth;
            let ours = day.scene.price(A);
            let recent = &day.recent;
            let ways = [ours, recent.last(), recent.vwap(), recent.median()];
            for (errors, price) in errors.iter_mut().zip(ways) {
                errors.note(price, truth);
            }
        }
        time += pause;
        step += 1;
    }
    errors.map(|mut errors| errors.figures())
}

#[test]
fn a_day_with_hostile_volume_moves_the_price_by_little() {
    println!("error against the true price, in % (median / 99th percentile / worst)");
    println!("hostile | oracle | last trade | VWAP 30 s | plain median 30 s");
    for share in [0.0, 0.01, 0.05, 0.2] {
        let figures = day(share);
        let cells =
            figures.map(|[middle, high, worst]| format!("{middle:.2} / {high:.2} / {worst:.2}"));
        println!("{:>5} % | {}", share * 100.0, cells.join(" | "));
        let [ours, last, vwap, _] = figures;
        assert!(ours[0] < 0.06 && ours[1] < 1.1 && ours[2] < 3.0, "{ours:?}");
        if share > 0.0 {
            assert!(last[2] > 30.0 && vwap[2] > ours[2], "{figures:?}");
        }
    }
}
