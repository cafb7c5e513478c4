//! The price of a token: the prices of its pools, weighed against each other.

use perijove_core::Pubkey;

use crate::oracle::clock::Now;
use crate::oracle::median::{Vote, median_and_spread, quantile};
use crate::oracle::pool::PoolKey;
use crate::oracle::token::{BAND, MOST_STEPS, MOST_UNCERTAIN, TokenPrice, TokenState};
use crate::oracle::weights::Weighed;
use crate::oracle::{Oracle, is_anchor};

/// Pools below this share of the weight are not counted in the estimate.
pub(super) const TOLD: f64 = 0.01;

/// Uncertainty of a price with one dollar behind it; with a hundred times as much it is a tenth. Of
/// 25 % with twenty dollars, of 1 % with twelve thousand.
const DOUBT: f64 = 1.1;
const MOST_DOUBT: f64 = 0.5;

/// With an intermediate price of this uncertainty, a trade counts half.
const ROUTE: f64 = 0.02;

/// Prices within this share of each other agree.
pub(super) const AGREE: f64 = 0.02;

/// The price of a token in one pool.
struct PoolQuote {
    key: PoolKey,
    /// Dollars for a base unit, as a logarithm.
    unit: f64,
    spread: f64,
    slots: usize,
    weight: f64,
    /// Turnover that counts, and funds behind it.
    capital: f64,
    evidence: f64,
    /// What was traded in the window.
    trades: f64,
    usd: f64,
    /// The last trade.
    slot: u64,
    time: i64,
    /// Slots since it was last held against the others.
    fresh: u32,
    via: Pubkey,
    via_price: TokenPrice,
}

/// Sums over some pools.
pub(super) struct PoolTotals {
    pub(super) trades: f64,
    pub(super) usd: f64,
    pub(super) pools: usize,
    pub(super) slot: u64,
    pub(super) time: i64,
    pub(super) fresh: u32,
}

impl PoolTotals {
    fn of<'q>(quotes: impl Iterator<Item = &'q PoolQuote>) -> Self {
        let mut all = Self::default();
        for quote in quotes {
            all.add((quote.trades, quote.usd), (quote.slot, quote.time));
            all.fresh = all.fresh.max(quote.fresh);
        }
        all
    }

    /// Adds a pool: what was traded in the window, and the last trade.
    pub(super) fn add(&mut self, (trades, usd): (f64, f64), (slot, time): (u64, i64)) {
        self.trades += trades;
        self.usd += usd;
        self.pools += usize::from(trades >= 0.5);
        self.slot = self.slot.max(slot);
        self.time = self.time.max(time);
    }

    /// How many bands a price may have moved since it was that of a slot.
    pub(super) fn steps(&self, since: u64) -> f64 {
        let passed = u32::try_from(self.slot.saturating_sub(since)).unwrap_or(u32::MAX);
        f64::from(self.fresh.min(passed).min(MOST_STEPS))
    }
}

impl Default for PoolTotals {
    fn default() -> Self {
        Self {
            trades: 0.0,
            usd: 0.0,
            pools: 0,
            slot: 0,
            time: i64::MIN,
            fresh: 0,
        }
    }
}

impl Oracle {
    /// Computes the price of a token that is not a stablecoin. Returns whether it has one.
    pub(super) fn estimate(&mut self, mint: Pubkey, now: Now) -> bool {
        let quotes = self.quotes(mint, now);
        let Some((target, spread)) = agreed(&quotes) else {
            return false;
        };
        let whole: f64 = quotes.iter().map(|quote| quote.weight).sum();
        let close = (3.0 * spread).max(AGREE);
        let agree = quotes
            .iter()
            .filter(|quote| (quote.unit - target).abs() <= close);
        let evidence: f64 = agree.clone().map(|quote| quote.evidence).sum();
        let capital: f64 = agree.map(|quote| quote.capital).sum();
        let heavy = quotes.iter().filter(|quote| quote.weight >= TOLD * whole);
        let Some(main) = quotes
            .iter()
            .max_by(|one, other| one.weight.total_cmp(&other.weight))
        else {
            return false;
        };
        let slots: usize = heavy.clone().map(|quote| quote.slots).sum();
        let since = usual_time(quotes.iter().map(|quote| (quote.time, quote.weight)));
        let own = doubt(evidence, slots).max(spread / 2.0);
        let mut uncertain = own.hypot(main.via_price.uncertain);
        let seen = PoolTotals::of(heavy);
        let Some(token) = self.tokens.get_mut(&mint) else {
            return false;
        };
        let mut unit = target;
        // Whatever is told moves by bands, also while nobody should use it.
        let known = token.value.filter(|known| known.held);
        if let Some(known) = known {
            // Its money has been banded already.
            let carried = if known.via == main.via {
                known.unit + main.via_price.unit - known.via_unit
            } else {
                known.unit
            };
            let band = BAND * seen.steps(known.slot);
            unit = target.clamp(carried - band, carried + band);
            uncertain = uncertain.max((target - unit).abs());
        }
        token.value = Some(TokenPrice {
            unit,
            uncertain,
            slot: seen.slot,
            time: seen.time,
            since: since.unwrap_or(seen.time).min(main.via_price.since),
            trades: seen.trades,
            usd: seen.usd,
            pools: seen.pools,
            evidence,
            capital,
            held: known.is_some() || uncertain < MOST_UNCERTAIN,
            via: main.via,
            via_unit: main.via_price.unit,
        });
        self.judge(&quotes, target, close);
        true
    }

    /// What the pools of a token say, as far as they may.
    fn quotes(&mut self, mint: Pubkey, now: Now) -> Vec<PoolQuote> {
        let Some(token) = self.tokens.get(&mint) else {
            return Vec::new();
        };
        let weighed = self.weigh(token.pools.iter().chain(&token.indirect), now);
        let direct = weighed
            .iter()
            .filter(|weighed| is_anchor(weighed.key.other(mint)))
            .map(Weighed::weight)
            .sum();
        let told = weighed
            .iter()
            .filter_map(|weighed| self.quote(mint, token, weighed, now));
        let mut quotes: Vec<PoolQuote> = told.collect();
        let depths = quotes.iter().map(|quote| self.depth_by(quote.via));
        let depth = depths.min().unwrap_or(u8::MAX);
        limit(&mut quotes);
        if let Some(token) = self.tokens.get_mut(&mint) {
            token.direct = direct;
            token.depth = depth;
        }
        quotes
    }

    /// What one of its pools says.
    fn quote(
        &self,
        mint: Pubkey,
        token: &TokenState,
        weighed: &Weighed<'_>,
        now: Now,
    ) -> Option<PoolQuote> {
        let Weighed { key, pool, .. } = weighed;
        let via = key.other(mint);
        let money = self.tokens.get(&via)?;
        let via_unit = money.unit()?;
        if !rests_on_more(token, via, money) {
            return None;
        }
        let (price, newest) = (pool.price()?, pool.newest()?);
        let via_price = money.value?;
        let capital = weighed.funds.capital;
        let sums = pool.window().sums(now.active);
        let doubt = via_price.uncertain / ROUTE;
        Some(PoolQuote {
            key: *key,
            unit: if key.left == mint {
                price.ln
            } else {
                -price.ln
            } + via_unit,
            spread: price.spread,
            slots: price.slots,
            weight: weighed.weight() / (1.0 + doubt * doubt),
            capital,
            evidence: weighed.evidence(),
            trades: sums.trades,
            usd: sums.usd.min(capital),
            slot: newest.slot,
            time: newest.time,
            fresh: pool.fresh(),
            via,
            via_price,
        })
    }

    fn depth_by(&self, via: Pubkey) -> u8 {
        if is_anchor(via) {
            return 1;
        }
        let money = self.tokens.get(&via);
        money.map_or(u8::MAX, |money| money.depth.saturating_add(1))
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

/// Limits what is paid with a token to what there is behind the token itself, all its pools
/// together: of a coin of one's own that is paid with at a million dollars apiece, nothing counts
/// but the dollars that were paid for it.
fn limit(quotes: &mut [PoolQuote]) {
    let mut vias: Vec<Pubkey> = quotes
        .iter()
        .map(|quote| quote.via)
        .filter(|via| !is_anchor(*via))
        .collect();
    vias.sort_unstable();
    vias.dedup();
    for via in vias {
        let (mut capital, mut evidence) = (0.0, 0.0);
        for quote in quotes.iter().filter(|quote| quote.via == via) {
            capital += quote.capital;
            evidence += quote.evidence;
        }
        let of_via = quotes.iter_mut().filter(|quote| quote.via == via);
        for quote in of_via {
            let share = (quote.via_price.capital / capital).min(1.0);
            quote.weight *= share;
            quote.capital *= share;
            quote.usd *= share;
            quote.evidence *= (quote.via_price.evidence / evidence).min(1.0);
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

/// When half of the weight had traded for the last time: a trade in a pool that hardly counts makes
/// no price newer.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "milliseconds since 1970, exact in 53 bits"
)]
pub(super) fn usual_time(times: impl Iterator<Item = (i64, f64)>) -> Option<i64> {
    let mut votes: Vec<Vote> = times.map(|(time, weight)| (time as f64, weight)).collect();
    quantile(&mut votes, 0.5).map(|time| time as i64)
}

/// Uncertainty of a price based on this many dollars and slots.
fn doubt(evidence: f64, slots: usize) -> f64 {
    let by_money = (DOUBT / evidence.max(1.0).sqrt()).min(MOST_DOUBT);
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
