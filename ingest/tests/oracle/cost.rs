//! What it costs to move a price by a percent, by kind of attack.

use perijove_core::Pubkey;
use perijove_core::market::{PYUSD, USDC, USDS, USDT, WSOL};

use crate::scene::{A, Scene, address};

/// What is done with the money. All of it is turned over in each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    /// Own pools of the token for USDC.
    OwnPools,
    /// Own pools of the token for a coin of one's own, and of that for USDC.
    OwnCoin,
    /// Own pools of USDT, for USDC and for SOL, in which it is dearer.
    Tether,
    /// The same with two stablecoins in which little is traded.
    ThinStablecoins,
    /// Own pools of SOL for USDC, to move SOL itself.
    Sol,
}

/// One pool shows no more than this in a slot.
const OF_A_POOL: f64 = 25_000.0;

/// A lie, as a share of the truth.
const LIE: f64 = 1.2;

impl Attack {
    /// A slot of it, which tells the truth times so much.
    fn slot(self, scene: &mut Scene, usd: f64, times: f64) {
        let coin = address(899);
        let pools = |own: u64, usd: f64| {
            let each = OF_A_POOL.min(usd);
            let count = (usd / each).round() as u64;
            (0..count).map(move |pool| (address(own + pool), each))
        };
        match self {
            Self::OwnPools => {
                for (pool, usd) in pools(700, usd) {
                    scene.wash(pool, (A, USDC), usd, 2.0 * times);
                }
            }
            Self::OwnCoin => {
                for (pool, usd) in pools(700, usd / 2.0) {
                    scene.wash(pool, (coin, USDC), usd, 1.0);
                }
                for (pool, usd) in pools(800, usd / 2.0) {
                    scene.wash(pool, (A, coin), usd, 2.0 * times);
                }
            }
            Self::Sol => {
                for (pool, usd) in pools(700, usd) {
                    scene.wash(pool, (WSOL, USDC), usd, 150.0 * times);
                }
            }
            Self::Tether => {
                for (pool, usd) in pools(700, usd / 2.0) {
                    scene.wash(pool, (USDT, USDC), usd, times);
                }
                for (pool, usd) in pools(800, usd / 2.0) {
                    scene.wash(pool, (WSOL, USDT), usd, 150.0 / times);
                }
            }
            Self::ThinStablecoins => {
                for (number, coin) in [PYUSD, USDS].into_iter().enumerate() {
                    for (pool, usd) in pools(700 + 100 * number as u64, usd / 2.0) {
                        scene.wash(pool, (WSOL, coin), usd, 150.0 / times);
                    }
                }
            }
        }
    }

    /// The token that is to move, and what it costs in truth.
    const fn victim(self) -> (Pubkey, f64) {
        match self {
            Self::Sol => (WSOL, 150.0),
            _ => (A, 2.0),
        }
    }

    /// Whether so many dollars move the victim by a percent within a minute, after so many of honesty.
    fn moves(self, usd: f64, minutes_of_honesty: u64) -> bool {
        let mut scene = Scene::honest();
        let honest = minutes_of_honesty * 150;
        for round in 0..honest + 150 {
            scene.honest_slot(round, 1.0);
            let lies = round >= honest;
            self.slot(&mut scene, usd, if lies { LIE } else { 1.0 });
            if lies {
                let (victim, truth) = self.victim();
                let told = scene.oracle.estimate_of(victim).unwrap().usd;
                if (told / truth - 1.0).abs() > 0.01 {
                    return true;
                }
            }
        }
        false
    }

    /// The least that does.
    fn price_of_a_percent(self, minutes_of_honesty: u64) -> Option<f64> {
        let sums = [1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0, 300_000.0];
        sums.into_iter()
            .find(|usd| self.moves(*usd, minutes_of_honesty))
    }
}

/// What each attack costs after so many minutes of honesty: 0, 2 and 10.
type Costs = [Option<f64>; 3];

/// The table of docs/prices.md.
const TOLD: [(Attack, &str, Costs); 5] = [
    (
        Attack::OwnPools,
        "own pools of the token for USDC",
        [None, Some(30_000.0), Some(100_000.0)],
    ),
    (
        Attack::OwnCoin,
        "own pools for a coin of one's own, and of that for USDC",
        [None, Some(100_000.0), Some(100_000.0)],
    ),
    (
        Attack::Tether,
        "the dollar: own pools of USDT for USDC and for SOL",
        [None, Some(300_000.0), None],
    ),
    (
        Attack::ThinStablecoins,
        "the dollar: own pools of PYUSD and USDS for SOL",
        [None; 3],
    ),
    (
        Attack::Sol,
        "SOL itself: own pools of it for USDC",
        [None, Some(100_000.0), Some(100_000.0)],
    ),
];

/// A cell of that table.
fn cell(cost: Option<f64>) -> String {
    match cost {
        Some(usd) => format!("${} 000", usd / 1_000.0),
        None => "not with $300 000".to_owned(),
    }
}

#[test]
fn a_percent_costs_funds_and_time() {
    println!("each honest pool: 480 dollars a slot, 4.3 million an hour");
    let page = include_str!("../../../docs/prices.md");
    for (attack, name, told) in TOLD {
        let found = [0, 2, 10].map(|minutes| attack.price_of_a_percent(minutes));
        println!("{attack:?}, honest for 0, 2, 10 minutes before: {found:?} dollars for 1 %");
        assert_eq!(found, told, "{attack:?}");
        let row = format!("| {name} | {} |", told.map(cell).join(" | "));
        assert!(page.contains(&row), "{attack:?}: no row {row}");
    }
}
