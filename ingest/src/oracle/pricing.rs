//! The price of a token: the prices of its pools, weighed against each other.

use perijove_core::Pubkey;

use crate::oracle::median::{Vote, median_and_spread};
use crate::oracle::pool::{PoolKey, PoolState};
use crate::oracle::token::{BAND, TokenPrice, TokenState};
use crate::oracle::{Oracle, is_anchor, is_stable};

/// Pools below this share of the weight are not counted in the estimate.
const TOLD: f64 = 0.01;

/// With this many dollars behind it, a price counts half.
const DOUBT: f64 = 1.0;

/// With an intermediate price of this uncertainty, a trade counts half.
const ROUTE: f64 = 0.02;

/// Prices within this share of each other agree.
const AGREE: f64 = 0.02;

/// The price of a token in one pool.
struct PoolQuote {
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

/// Sums over some pools.
struct PoolTotals {
    trades: f64,
    usd: f64,
    pools: usize,
    slot: u64,
    time: i64,
    /// Slots since they were last held against each other.
    fresh: u32,
}

impl PoolTotals {
    fn of<'p>(pools: impl Iterator<Item = &'p PoolState>, active: f64) -> Self {
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
    /// Computes the price of a token that is not a stablecoin. Returns whether it has one.
    pub(super) fn estimate(&mut self, mint: Pubkey, active: f64) -> bool {
        let quotes = self.quotes(mint, active);
        let Some((target, spread)) = agreed(&quotes) else {
            return false;
        };
        let whole: f64 = quotes.iter().map(|quote| quote.weight).sum();
        let close = (3.0 * spread).max(AGREE);
        let evidence: f64 = quotes
            .iter()
            .filter(|quote| (quote.unit - target).abs() <= close)
            .map(|quote| quote.evidence)
            .sum();
        let heavy = quotes.iter().filter(|quote| quote.weight >= TOLD * whole);
        let Some(main) = quotes
            .iter()
            .max_by(|one, other| one.weight.total_cmp(&other.weight))
        else {
            return false;
        };
        let slots: usize = heavy.clone().map(|quote| quote.slots).sum();
        let own = doubt(evidence, slots).max(spread / 2.0);
        let mut uncertain = own.hypot(main.via_uncertain);
        let seen = PoolTotals::of(heavy.filter_map(|quote| self.pools.get(&quote.key)), active);
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
        token.value = Some(TokenPrice {
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
        self.judge(&quotes, target, close);
        true
    }

    /// What the pools of a token say, as far as they may.
    fn quotes(&mut self, mint: Pubkey, active: f64) -> Vec<PoolQuote> {
        let Some(token) = self.tokens.get(&mint) else {
            return Vec::new();
        };
        let mut quotes = Vec::with_capacity(token.pools.len());
        let (mut direct, mut depth) = (0.0, u8::MAX);
        for key in &token.pools {
            let (via, left_to_right) = if key.left == mint {
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
            let Some(price) = pool.price() else {
                continue;
            };
            depth = depth.min(if is_anchor(via) {
                1
            } else {
                money.depth.saturating_add(1)
            });
            let doubt = value.uncertain / ROUTE;
            quotes.push(PoolQuote {
                key: *key,
                unit: if left_to_right { price.ln } else { -price.ln } + via_unit,
                spread: price.spread,
                slots: price.slots,
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
        quotes
    }

    /// Notes which pools agree with what came out.
    fn judge(&mut self, quotes: &[PoolQuote], target: f64, close: f64) {
        for quote in quotes {
            if let Some(pool) = self.pools.get_mut(&quote.key) {
                pool.judge((quote.unit - target).abs() <= close);
            }
        }
    }
}

/// The weighted median, and the distance of the quartiles. Each pool votes for its price and both
/// ends of its spread.
fn agreed(quotes: &[PoolQuote]) -> Option<(f64, f64)> {
    let mut votes: Vec<Vote> = Vec::with_capacity(3 * quotes.len());
    for quote in quotes {
        for unit in [
            quote.unit - quote.spread / 2.0,
            quote.unit,
            quote.unit + quote.spread / 2.0,
        ] {
            votes.push((unit, quote.weight));
        }
    }
    median_and_spread(&mut votes)
}

/// Uncertainty of a price based on this many dollars and slots.
fn doubt(evidence: f64, slots: usize) -> f64 {
    let by_money = 0.5 * DOUBT / (DOUBT + evidence);
    let slots = u32::try_from(slots).unwrap_or(u32::MAX).max(1);
    by_money.max(0.02 / f64::from(slots))
}

/// Whether the price of a quote token is based on more than that of the token, so that it is not
/// based on the token itself.
fn rests_on_more(token: &TokenState, via: Pubkey, money: &TokenState) -> bool {
    if is_anchor(via) {
        return true;
    }
    if money.direct > 0.0 || token.direct > 0.0 {
        return money.direct > token.direct;
    }
    money.depth < token.depth || token.value.is_none()
}
