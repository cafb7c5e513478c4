//! One token: its pools, and its price.

use perijove_core::Pubkey;

use crate::oracle::decimals::Decimals;
use crate::oracle::pool::PoolKey;
use crate::oracle::pool_trade::PoolTrade;
use crate::oracle::window::Window;

/// Pools of one token that are considered: so many for SOL or a stablecoin, and for others.
pub(super) const MOST_POOLS: usize = 64;
pub(super) const MOST_INDIRECT: usize = 32;

/// Maximum change of the published price per slot with trades.
pub(super) const BAND: f64 = 0.05;

/// The most slots that it may make up for at once.
pub(super) const MOST_STEPS: u32 = 64;

/// A price with a greater uncertainty does not count: nothing else is priced by it, and it may
/// jump.
pub const MOST_UNCERTAIN: f64 = 0.25;

/// What is known of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenState {
    pub(super) decimals: Decimals,
    pub(super) pools: Vec<PoolKey>,
    pub(super) indirect: Vec<PoolKey>,
    /// What the least of either weighs, and when that was found out.
    pub(super) least: [Option<(f64, f64)>; 2],
    pub(super) value: Option<TokenPrice>,
    pub(super) window: Window,
    /// Has had trades since its price was last made.
    pub(super) changed: bool,
    /// Its last trade of any kind, in active time.
    pub(super) last: f64,
    pub(super) newest: Option<PoolTrade>,
    /// The weight of its trades for SOL and stablecoins.
    pub(super) direct: f64,
    /// Over how many prices its own leads to SOL or a stablecoin.
    pub(super) depth: u8,
}

/// The value of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenPrice {
    /// The logarithm of dollars for a base unit.
    pub(super) unit: f64,
    /// How far off it may be: a share of it, or a difference of logarithms.
    pub(super) uncertain: f64,
    pub(super) slot: u64,
    /// The time of its own last trade, and of the oldest of those it rests on.
    pub(super) time: i64,
    pub(super) since: i64,
    pub(super) trades: f64,
    pub(super) usd: f64,
    pub(super) pools: usize,
    /// The funds and the turnover behind it, in dollars: whatever is priced by it has no more.
    pub(super) evidence: f64,
    pub(super) capital: f64,
    /// It, or one before it, was certain enough to be used: it moves by a band from there.
    pub(super) held: bool,
    /// What it is mostly paid with, and what that was worth then.
    pub(super) via: Pubkey,
    pub(super) via_unit: f64,
}

impl TokenState {
    pub(super) fn of_known_decimals(decimals: u8) -> Self {
        Self {
            decimals: Decimals::pinned(decimals),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, seen: &PoolTrade, active: f64) {
        self.window.add(seen.usd, active);
        self.last = active;
        if self.newest.is_none_or(|newest| newest.slot <= seen.slot) {
            self.newest = Some(*seen);
        }
    }

    /// The value of a base unit, if it is certain enough to price other tokens by it.
    pub(super) fn unit(&self) -> Option<f64> {
        let value = self.value.as_ref();
        value
            .filter(|value| value.uncertain < MOST_UNCERTAIN)
            .map(|value| value.unit)
    }
}
