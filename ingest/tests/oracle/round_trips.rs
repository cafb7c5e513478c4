//! Buying and selling back in honest pools: it costs fees, and no capital.

use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};
use proptest::prelude::*;

use crate::scene::{A, B, Scene, address};

const FEE: f64 = 0.002_5;

/// The honest pool of A, with so many dollars on either side, as an exchange works it: `x` times `y`
/// stays. Its trades are told to the scene, worth what a trader pays and gets.
struct Curve {
    pool: Pubkey,
    tokens: f64,
    dollars: f64,
}

impl Curve {
    fn new(pool: Pubkey, dollars: f64, price: f64) -> Self {
        Self {
            pool,
            tokens: dollars / price,
            dollars,
        }
    }

    fn price(&self) -> f64 {
        self.dollars / self.tokens
    }

    /// Buys for so many dollars, and returns the tokens.
    fn buy(&mut self, scene: &mut Scene, dollars: f64) -> f64 {
        let put = dollars * (1.0 - FEE);
        let tokens = self.tokens * put / (self.dollars + put);
        self.dollars += put;
        self.tokens -= tokens;
        scene.swap(self.pool, A, USDC, tokens, dollars / tokens, true);
        tokens
    }

    /// Sells so many tokens, and returns the dollars.
    fn sell(&mut self, scene: &mut Scene, tokens: f64) -> f64 {
        let put = tokens * (1.0 - FEE);
        let dollars = self.dollars * put / (self.tokens + put);
        self.tokens += put;
        self.dollars -= dollars;
        scene.swap(self.pool, A, USDC, tokens, dollars / tokens, false);
        dollars
    }

    /// So many dollars there and back, upwards or downwards, in so many trades back.
    fn round_trip(&mut self, scene: &mut Scene, dollars: f64, up: bool, parts: u32) {
        if up {
            let tokens = self.buy(scene, dollars);
            for _ in 0..parts {
                self.sell(scene, tokens / f64::from(parts));
            }
        } else {
            let got = self.sell(scene, dollars / self.price());
            for _ in 0..parts {
                self.buy(scene, got / f64::from(parts));
            }
        }
    }
}

/// Honest trades for SOL and the stablecoins.
fn anchors(scene: &mut Scene, round: u64) {
    for (pool, base, quote, price) in [
        (1, WSOL, USDC, 150.0),
        (2, WSOL, USDT, 150.0),
        (3, USDT, USDC, 1.0),
    ] {
        let buy = (round + pool) % 3 != 0;
        scene.swap(address(pool), base, quote, 480.0 / price, price, buy);
    }
}

/// How an attack goes on in each slot.
#[derive(Clone, Copy, Debug)]
struct Trip {
    /// So many dollars.
    usd: f64,
    up: bool,
    /// Trades back.
    parts: u32,
    /// Before the honest trade, or after it.
    first: bool,
    /// One slot in so many has an honest trade.
    honest: u64,
    /// So much of it is not undone, and is in the next slot.
    kept: f64,
    pools: u64,
}

/// How far the told price goes from those that the pools have at the ends of slots.
fn farthest(trip: Trip) -> f64 {
    let mut scene = Scene::empty();
    let pools = 0..trip.pools;
    let mut pools: Vec<Curve> = pools
        .map(|pool| Curve::new(address(40 + pool), 48_000.0, 2.0))
        .collect();
    let (mut far, mut low, mut high): (f64, f64, f64) = (0.0, 2.0, 2.0);
    for round in 0..450 {
        anchors(&mut scene, round);
        let attacked = round >= 300;
        for curve in &mut pools {
            if attacked && trip.first {
                attack(&mut scene, curve, trip, round);
            }
            if round % trip.honest == 0 {
                if (round / trip.honest) % 2 == 0 {
                    curve.buy(&mut scene, 480.0);
                } else {
                    let tokens = 480.0 / curve.price();
                    curve.sell(&mut scene, tokens);
                }
            }
            if attacked && !trip.first {
                attack(&mut scene, curve, trip, round);
            }
            low = low.min(curve.price());
            high = high.max(curve.price());
        }
        scene.next_slot();
        if attacked {
            let told = scene.oracle.estimate_of(A).unwrap().usd;
            far = far.max((told / high - 1.0).max(low / told - 1.0));
        } else {
            low = pools[0].price();
            high = low;
        }
    }
    far
}

fn attack(scene: &mut Scene, curve: &mut Curve, trip: Trip, round: u64) {
    let (up, kept) = (trip.up, trip.usd * trip.kept);
    if kept > 0.0 {
        if (round % 2 == 0) == up {
            curve.buy(scene, kept);
        } else {
            let tokens = kept / curve.price();
            curve.sell(scene, tokens);
        }
    }
    curve.round_trip(scene, trip.usd, up, trip.parts);
}

#[test]
fn a_round_trip_within_a_slot_does_not_show() {
    for usd in [300.0, 480.0, 1_000.0, 5_000.0, 20_000.0] {
        for (up, parts, first) in [
            (true, 1, true),
            (true, 1, false),
            (false, 1, true),
            (false, 1, false),
            (true, 2, true),
            (true, 9, false),
            (false, 9, true),
        ] {
            for (honest, pools) in [(1, 1), (1, 4), (3, 1), (10, 1)] {
                let trip = Trip {
                    usd,
                    up,
                    parts,
                    first,
                    honest,
                    kept: 0.0,
                    pools,
                };
                let far = farthest(trip);
                assert!(far < 0.005, "{trip:?}: {far}");
            }
        }
    }
}

#[test]
fn what_is_left_of_a_round_trip_counts_for_what_it_moved() {
    for kept in [0.001, 0.01, 0.1] {
        for (usd, up, first) in [
            (1_000.0, true, true),
            (5_000.0, false, false),
            (5_000.0, true, true),
        ] {
            for honest in [1, 10] {
                let trip = Trip {
                    usd,
                    up,
                    parts: 1,
                    first,
                    honest,
                    kept,
                    pools: 1,
                };
                let far = farthest(trip);
                assert!(far < 0.008, "{trip:?}: {far}");
            }
        }
    }
}

#[test]
fn round_trips_do_not_move_sol_nor_what_is_paid_with_it() {
    let mut scene = Scene::honest();
    for round in 0..150 {
        scene.honest_slot(round, 1.0);
        for (quote, pool) in [(USDC, 1), (USDT, 2)] {
            for buy in [true, false] {
                scene.swap(address(pool), WSOL, quote, 4_000.0 / 150.0, 151.5, buy);
            }
        }
        for buy in [false, true] {
            scene.swap(address(5), B, WSOL, 5_000.0, 0.013, buy);
        }
        scene.assert_within(0.003, "round trips");
    }
}

#[test]
fn whoever_undoes_every_honest_trade_makes_no_price() {
    let mut scene = Scene::honest();
    for round in 0..150 {
        anchors(&mut scene, round);
        scene.swap(address(4), A, USDC, 240.0, 2.0, round % 2 == 0);
        scene.swap(address(4), A, USDC, 240.0, 2.04, round % 2 != 0);
        scene.next_slot();
        let told = scene.oracle.estimate_of(A).unwrap().usd;
        assert!((told / 2.0 - 1.0).abs() < 0.005, "{round}: {told}");
    }
}

/// Buying in one slot and selling in the next one, in an honest pool. Others may trade in between, at
/// the attacker's cost; here nobody does.
#[test]
fn a_price_that_stands_from_one_slot_to_the_next_is_one() {
    println!("bought in one slot, sold in the next: the price told, and that of the pool");
    let mut figures = Vec::new();
    for usd in [240.0, 480.0, 960.0, 2_400.0] {
        let mut scene = Scene::empty();
        let mut curve = Curve::new(address(40), 48_000.0, 2.0);
        let (mut told, mut low, mut high, mut fees): (f64, f64, f64, f64) = (0.0, 2.0, 2.0, 0.0);
        let mut bought = 0.0;
        let mut percent = None;
        for round in 0..450_u32 {
            anchors(&mut scene, round.into());
            let tokens = 240.0;
            if round % 2 == 0 {
                curve.buy(&mut scene, 480.0);
            } else {
                curve.sell(&mut scene, tokens);
            }
            if round >= 300 {
                if round % 2 == 0 {
                    bought = curve.buy(&mut scene, usd);
                } else {
                    curve.sell(&mut scene, bought);
                }
                fees += usd * FEE;
            }
            low = low.min(curve.price());
            high = high.max(curve.price());
            scene.next_slot();
            if round >= 300 {
                let now = scene.oracle.estimate_of(A).unwrap().usd;
                let off = (now / 2.0 - 1.0).abs();
                if off > 0.01 && percent.is_none() {
                    percent = Some((round - 300, fees));
                }
                told = told.max(off);
                assert!(now < high * 1.006 && now > low / 1.006, "{usd}: {now}");
            }
        }
        figures.push((told * 100.0, (high / 2.0 - 1.0) * 100.0, percent));
        println!(
            "${usd}: told within {:.2} %, the pool from {:.2} % to {:+.2} %; 1 % after {percent:?} slots and dollars",
            told * 100.0,
            (low / 2.0 - 1.0) * 100.0,
            (high / 2.0 - 1.0) * 100.0
        );
    }
    assert_told(&figures);
}

/// What is told and what the pool shows at most, in percent, and after how many slots and dollars it is one.
type Figures = (f64, f64, Option<(u32, f64)>);

/// The documentation has those of the first three.
fn assert_told(figures: &[Figures]) {
    let [
        (least, _, None),
        (some, pool, Some((after, fees))),
        (more, deeper, Some((sooner, paid))),
        ..,
    ] = figures
    else {
        panic!("{figures:?}");
    };
    let sentence = format!(
        "$240 move the price by {least:.2} % at most, $480 by 1 % after {after} slots and {some:.1} % at most \
         (the pool itself by {pool:.1} %), $960 by 1 % after {sooner} slots and {more:.1} % at most ({deeper:.1} %), \
         for ${fees:.0} and ${paid:.0} of fees up to that percent."
    );
    let page = include_str!("../../../docs/prices.md");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&sentence), "{sentence}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_price_stays_where_the_pool_is_at_the_ends_of_slots(
        usd in 100.0_f64..30_000.0,
        up in any::<bool>(),
        first in any::<bool>(),
        parts in 1_u32..12,
        honest in 1_u64..6,
        kept in 0.0_f64..0.02,
        pools in 1_u64..4,
    ) {
        let trip = Trip { usd, up, parts, first, honest, kept, pools };
        let far = farthest(trip);
        prop_assert!(far < 0.008, "{trip:?}: {far}");
    }
}
