//! One token: its pools together.

use perijove_core::Pubkey;

use crate::oracle::decimals::Decimals;
use crate::oracle::median::{Vote, median_and_spread};
use crate::oracle::pool::{Pool, PoolKey, Seen};
use crate::oracle::window::Window;
use crate::oracle::{Oracle, is_anchor, is_stable};

/// Pools of one token that are looked at.
pub(super) const MOST_POOLS: usize = 64;

/// The most that the published price follows for each slot with trades.
pub(super) const BAND: f64 = 0.05;

/// A price that may be further off than this share of itself is no price: nothing else is priced
/// by it, and it may jump.
pub const MOST_UNCERTAIN: f64 = 0.25;

/// Pools with less than this share of the weight are not told of.
const TOLD: f64 = 0.01;

/// With so many dollars behind it, a price is believed half.
const DOUBT: f64 = 1.0;

/// With a price of such uncertainty in between, a trade counts half.
const ROUTE: f64 = 0.02;

/// Prices within this share of each other agree.
const AGREE: f64 = 0.02;

/// What is known of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct Token {
    pub(super) decimals: Decimals,
    pub(super) pools: Vec<PoolKey>,
    pub(super) value: Option<Value>,
    pub(super) window: Window,
    /// Has had trades since its price was last made.
    pub(super) changed: bool,
    /// Its last trade of any kind, in active time.
    pub(super) last: f64,
    pub(super) newest: Option<Seen>,
    /// The weight of its trades for SOL and stablecoins.
    pub(super) direct: f64,
    /// Over how many prices its own leads to SOL or a stablecoin.
    pub(super) depth: u8,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
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
    /// What it is mostly paid with, and what that was worth then.
    pub(super) via: Pubkey,
    pub(super) via_unit: f64,
}

impl Token {
    pub(super) fn of_known_decimals(decimals: u8) -> Self {
        Self {
            decimals: Decimals::pinned(decimals),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, seen: &Seen, active: f64) {
        self.window.add(seen.usd, active);
        self.last = active;
        if self.newest.is_none_or(|newest| newest.slot <= seen.slot) {
            self.newest = Some(*seen);
        }
    }

    /// What a base unit is worth, if that is known well enough to price others by it.
    pub(super) fn unit(&self) -> Option<f64> {
        let value = self.value.as_ref();
        value
            .filter(|value| value.uncertain < MOST_UNCERTAIN)
            .map(|value| value.unit)
    }
}

/// A pool's word on a token.
struct Word {
    key: PoolKey,
    /// Dollars for a base unit, as a logarithm.
    unit: f64,
    spread: f64,
    slots: usize,
    weight: f64,
    evidence: f64,
    via: Pubkey,
    via_unit: f64,
    via_uncertain: f64,
    via_since: i64,
}

/// What some pools have seen together.
struct Together {
    trades: f64,
    usd: f64,
    pools: usize,
    slot: u64,
    time: i64,
    /// Slots since they were last held against each other.
    fresh: u32,
}

impl Together {
    fn of<'p>(pools: impl Iterator<Item = &'p Pool>, active: f64) -> Self {
        let mut all = Self {
            trades: 0.0,
            usd: 0.0,
            pools: 0,
            slot: 0,
            time: i64::MIN,
            fresh: 0,
        };
        for pool in pools {
            let sums = pool.window().sums(active);
            all.trades += sums.trades;
            all.usd += sums.usd;
            all.pools += usize::from(sums.trades >= 0.5);
            all.fresh = all.fresh.max(pool.fresh());
            if let Some(newest) = pool.newest() {
                all.slot = all.slot.max(newest.slot);
                all.time = all.time.max(newest.time);
            }
        }
        all
    }
}

impl Oracle {
    /// Makes the price of a token that is no stablecoin. Whether it has one.
    pub(super) fn estimate(&mut self, mint: Pubkey, active: f64) -> bool {
        let words = self.words(mint, active);
        let Some((target, spread)) = agreed(&words) else {
            return false;
        };
        let whole: f64 = words.iter().map(|word| word.weight).sum();
        let close = (3.0 * spread).max(AGREE);
        let evidence: f64 = words
            .iter()
            .filter(|word| (word.unit - target).abs() <= close)
            .map(|word| word.evidence)
            .sum();
        let heavy = words.iter().filter(|word| word.weight >= TOLD * whole);
        let Some(main) = words
            .iter()
            .max_by(|one, other| one.weight.total_cmp(&other.weight))
        else {
            return false;
        };
        let slots: usize = heavy.clone().map(|word| word.slots).sum();
        let own = doubt(evidence, slots).max(spread / 2.0);
        let mut uncertain = own.hypot(main.via_uncertain);
        let seen = Together::of(heavy.filter_map(|word| self.pools.get(&word.key)), active);
        let Some(token) = self.tokens.get_mut(&mint) else {
            return false;
        };
        let mut unit = target;
        if let Some(known) = token.value.filter(|_| token.unit().is_some()) {
            // Its money has been banded already.
            let carried = if known.via == main.via {
                known.unit + main.via_unit - known.via_unit
            } else {
                known.unit
            };
            let band = BAND * f64::from(seen.fresh.min(64));
            unit = target.clamp(carried - band, carried + band);
            uncertain = uncertain.max((target - unit).abs());
        }
        token.value = Some(Value {
            unit,
            uncertain,
            slot: seen.slot,
            time: seen.time,
            since: seen.time.min(main.via_since),
            trades: seen.trades,
            usd: seen.usd,
            pools: seen.pools,
            via: main.via,
            via_unit: main.via_unit,
        });
        self.judge(&words, target, close);
        true
    }

    /// What the pools of a token say, as far as they may.
    fn words(&mut self, mint: Pubkey, active: f64) -> Vec<Word> {
        let Some(token) = self.tokens.get(&mint) else {
            return Vec::new();
        };
        let mut words = Vec::with_capacity(token.pools.len());
        let (mut direct, mut depth) = (0.0, u8::MAX);
        for key in &token.pools {
            let (via, forth) = if key.left == mint {
                (key.right, true)
            } else {
                (key.left, false)
            };
            let (Some(pool), Some(money)) = (self.pools.get(key), self.tokens.get(&via)) else {
                continue;
            };
            let weight = pool.weight(active);
            if is_anchor(via) {
                direct += weight;
            }
            let (Some(via_unit), Some(value)) = (money.unit(), money.value) else {
                continue;
            };
            if !rests_on_more(token, via, money) {
                continue;
            }
            let Some(said) = pool.said() else {
                continue;
            };
            depth = depth.min(if is_anchor(via) {
                1
            } else {
                money.depth.saturating_add(1)
            });
            let doubt = value.uncertain / ROUTE;
            words.push(Word {
                key: *key,
                unit: if forth { said.ln } else { -said.ln } + via_unit,
                spread: said.spread,
                slots: said.slots,
                weight: weight / (1.0 + doubt * doubt),
                evidence: pool.evidence(active),
                via,
                via_unit,
                via_uncertain: if is_stable(via) { 0.0 } else { value.uncertain },
                via_since: value.since,
            });
        }
        if let Some(token) = self.tokens.get_mut(&mint) {
            token.direct = direct;
            token.depth = depth;
        }
        words
    }

    /// Notes which pools agree with what came out.
    fn judge(&mut self, words: &[Word], target: f64, close: f64) {
        for word in words {
            if let Some(pool) = self.pools.get_mut(&word.key) {
                pool.judge((word.unit - target).abs() <= close);
            }
        }
    }
}

/// The weighted median of what is said, and the distance of the quartiles. Each pool says its price
/// and both ends of its spread.
fn agreed(words: &[Word]) -> Option<(f64, f64)> {
    let mut votes: Vec<Vote> = Vec::with_capacity(3 * words.len());
    for word in words {
        for unit in [
            word.unit - word.spread / 2.0,
            word.unit,
            word.unit + word.spread / 2.0,
        ] {
            votes.push((unit, word.weight));
        }
    }
    median_and_spread(&mut votes)
}

/// How far off a price may be that rests on so many dollars and slots.
fn doubt(evidence: f64, slots: usize) -> f64 {
    let by_money = 0.5 * DOUBT / (DOUBT + evidence);
    let slots = u32::try_from(slots).unwrap_or(u32::MAX).max(1);
    by_money.max(0.02 / f64::from(slots))
}

/// Whether the price of a money rests on more than that of the token, so that it does not rest on the
/// token itself.
fn rests_on_more(token: &Token, via: Pubkey, money: &Token) -> bool {
    if is_anchor(via) {
        return true;
    }
    if money.direct > 0.0 || token.direct > 0.0 {
        return money.direct > token.direct;
    }
    money.depth < token.depth || token.value.is_none()
}
