//! Prices of tokens in dollars, from the trades of a window, resistant to manipulation by a
//! trader's own trades.
//!
//! Pure: no clock, no I/O, nothing shared. Trades are [added](Oracle::add) in about the order of
//! the chain; now and then the estimates that changed are [taken](Oracle::estimates).
//!
//! How an estimate is made:
//!
//! 1. A pool's price is the weighted median over its last slots, each slot the median of what is
//!    left of its trades once opposing ones have cancelled out.
//! 2. A token's price is the weighted median over its pools, each voting for its price and for both
//!    ends of its spread. A pool weighs what it has turned over, but no more than a multiple of the
//!    funds that were seen to stay in it for a while; less while it is new, since others trade in
//!    its stead, and the more often it contradicted them.
//! 3. What is paid with may be any token whose own price rests on more than this one's, so that no
//!    price ever rests on itself, and counts no more than what there is behind that. Stablecoins
//!    are held against each other and against their peg.
//! 4. The published price follows by at most a band for each slot with trades.
//!
//! Amounts are raw throughout, and so are prices: dollars for one base unit, as logarithms.
//! Decimals matter only when a price is published.

mod anchor;
mod clock;
mod decimals;
mod estimate;
mod flow;
mod learning;
mod leg_value;
mod median;
mod net_trades;
mod observation;
mod pool;
mod pool_list;
mod pool_trade;
mod pricing;
mod rhythm;
mod stablecoins;
mod token;
mod weights;
mod window;

use std::collections::HashMap;

use perijove_core::Pubkey;
use perijove_core::market::{SOL_DECIMALS, STABLE_DECIMALS, STABLES, WSOL};

use crate::project::by_clock;

pub use estimate::Estimate;
pub use observation::{Leg, Observation};
pub use token::MOST_UNCERTAIN;

use anchor::{Anchors, pegged};
use clock::StreamClock;
use leg_value::{LegValue, trade_usd};
use pool::{PoolKey, PoolState};
use pool_trade::PoolTrade;
use token::TokenState;

/// The least that is given and taken in a trade that counts, in dollars.
const LEAST_USD: f64 = 0.5;

/// How much later than the clock a trade may be, in milliseconds: so far clocks may disagree. It
/// counts as one of now.
const LATER: i64 = 60_000;

/// How much earlier than the stream a trade may be and still count.
const EARLIER: i64 = 600_000;

/// How often prices based on moved ones are published again, in milliseconds of the stream.
const SWEEP: f64 = 2_000.0;

/// A pool is forgotten after this long without a trade.
const FORGET: f64 = 2.0 * 3_600_000.0;

/// Rounds for prices that depend on other prices.
const ROUNDS: usize = 3;

/// Decimals remembered of tokens that are forgotten.
const PINS: usize = 200_000;

/// Ignored trades, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredTrades {
    /// Too few base units or too little money on one side.
    pub dust: u64,
    /// A slot or time that is impossible or too old.
    pub time: u64,
}

/// The state of all trades of one process.
#[derive(Debug)]
pub struct Oracle {
    clock: StreamClock,
    tokens: HashMap<Pubkey, TokenState>,
    pools: HashMap<PoolKey, PoolState>,
    anchors: Anchors,
    /// Decimals of tokens that are not known otherwise.
    pins: HashMap<Pubkey, u8>,
    /// Tokens that have come up and of which nobody has said yet what was stored of them.
    unsure: Vec<Pubkey>,
    changed: Vec<Pubkey>,
    swept: f64,
    forgotten: f64,
    pub ignored: IgnoredTrades,
}

impl Default for Oracle {
    fn default() -> Self {
        let stables = STABLES.into_iter().map(|mint| {
            let mut token = TokenState::of_known_decimals(STABLE_DECIMALS);
            token.value = Some(pegged(mint));
            (mint, token)
        });
        let tokens = stables.chain([(WSOL, TokenState::of_known_decimals(SOL_DECIMALS))]);
        Self {
            clock: StreamClock::default(),
            tokens: tokens.collect(),
            pools: HashMap::new(),
            anchors: Anchors::default(),
            pins: HashMap::new(),
            unsure: Vec::new(),
            changed: Vec::new(),
            swept: 0.0,
            forgotten: 0.0,
            ignored: IgnoredTrades::default(),
        }
    }
}

impl Oracle {
    /// Takes a trade into account. `now` is the clock's time, in milliseconds since 1970.
    pub fn add(&mut self, trade: &Observation, now: i64) {
        let (base, quote) = (&trade.base, &trade.quote);
        if base.mint == quote.mint || base.raw == 0 || quote.raw == 0 {
            return;
        }
        let late = trade.time < self.clock.newest().saturating_sub(EARLIER);
        let early = trade.time > now.saturating_add(LATER);
        if late || early || trade.position.slot.0 > by_clock(now) {
            self.ignored.time += 1;
            return;
        }
        let trade = &Observation {
            time: trade.time.min(now),
            ..*trade
        };
        self.clock.advance(trade.time, trade.position.slot.0);
        let slot = trade.position.slot.0;
        let (one, other) = (self.observe(base, slot), self.observe(quote, slot));
        let usd = trade_usd(one, other);
        if one == LegValue::Dust
            || other == LegValue::Dust
            || usd.is_some_and(|usd| usd < LEAST_USD)
        {
            self.ignored.dust += 1;
            return;
        }
        let usd = usd.or_else(|| self.usd_by_now(trade));
        self.record(trade, usd);
    }

    /// The value of a trade whose tokens had no price when prices were last computed.
    fn usd_by_now(&mut self, trade: &Observation) -> Option<f64> {
        let now = self.clock.now();
        for leg in [&trade.quote, &trade.base] {
            self.estimate(leg.mint, now);
            let unit = self.tokens.get(&leg.mint).and_then(TokenState::unit);
            if let Some(unit) = unit {
                return Some(as_f64(leg.raw) * unit.exp());
            }
        }
        None
    }

    fn record(&mut self, trade: &Observation, usd: Option<f64>) {
        let (key, swapped) = PoolKey::of(trade);
        let active = self.clock.active();
        let (left, right) = if swapped {
            (&trade.quote, &trade.base)
        } else {
            (&trade.base, &trade.quote)
        };
        let seen = PoolTrade {
            slot: trade.position.slot.0,
            time: trade.time,
            at: self.clock.active_of(trade.time),
            ln: as_f64(right.raw).ln() - as_f64(left.raw).ln(),
            usd: usd.unwrap_or(LEAST_USD),
            left_to_right: trade.base_bought != swapped,
        };
        let pool = self.pools.entry(key);
        let pool = pool.or_insert_with(|| PoolState::new(active));
        pool.add(seen, active);
        let listed = pool.listed;
        self.list(key, listed, self.clock.now());
        for mint in [trade.base.mint, trade.quote.mint] {
            if let Some(token) = self.tokens.get_mut(&mint) {
                token.note(&seen, active);
                if !std::mem::replace(&mut token.changed, true) {
                    self.changed.push(mint);
                }
            }
        }
    }

    /// The estimates that have changed since they were last taken.
    pub fn estimates(&mut self) -> Vec<(Pubkey, Estimate)> {
        let now = self.clock.now();
        let active = now.active;
        let mut changed = std::mem::take(&mut self.changed);
        for mint in &changed {
            if let Some(token) = self.tokens.get_mut(mint) {
                token.changed = false;
            }
        }
        if !changed.is_empty() {
            self.anchor(now);
        }
        if active >= self.swept + SWEEP {
            self.swept = active;
            changed.extend(self.moved());
        }
        changed.retain(|mint| !STABLES.contains(mint));
        // SOL first: nearly everything is paid with it.
        changed.sort_by_key(|mint| *mint != WSOL);
        let mut left = changed.clone();
        for _ in 0..ROUNDS {
            left.retain(|mint| !self.estimate(*mint, now));
        }
        let mut told: Vec<_> = changed
            .into_iter()
            .chain(STABLES)
            .filter_map(|mint| Some((mint, self.estimate_of(mint)?)))
            .collect();
        told.sort_by_key(|(mint, _)| *mint);
        told.dedup_by_key(|(mint, _)| *mint);
        self.forget(active);
        told
    }

    /// Publishes everything again: the receiver has lost it.
    pub fn republish_all(&mut self) {
        let priced = self
            .tokens
            .iter()
            .filter(|(_, token)| token.value.is_some());
        let priced: Vec<Pubkey> = priced.map(|(mint, _)| *mint).collect();
        self.mark_changed(priced);
    }

    /// Publishes these again: they were not received.
    pub fn mark_changed(&mut self, mints: impl IntoIterator<Item = Pubkey>) {
        for mint in mints {
            if let Some(token) = self.tokens.get_mut(&mint)
                && !std::mem::replace(&mut token.changed, true)
            {
                self.changed.push(mint);
            }
        }
    }

    /// The last estimate of a token.
    pub fn estimate_of(&self, mint: Pubkey) -> Option<Estimate> {
        let token = self.tokens.get(&mint)?;
        Estimate::of(token)
    }

    /// The time of the newest trade, in milliseconds since 1970.
    pub fn newest(&self) -> i64 {
        self.clock.newest()
    }

    /// Tokens whose main quote token has moved since their price was computed.
    fn moved(&self) -> Vec<Pubkey> {
        let moved = self.tokens.iter().filter(|(_, token)| {
            let value = token.value.as_ref();
            value.is_some_and(|value| {
                let money = self.tokens.get(&value.via).and_then(TokenState::unit);
                money.is_some_and(|money| (money - value.via_unit).abs() > 1e-3)
            })
        });
        moved.map(|(mint, _)| *mint).collect()
    }

    /// Forgets pools without recent trades, and tokens without pools.
    fn forget(&mut self, active: f64) {
        if active < self.forgotten + FORGET / 10.0 {
            return;
        }
        self.forgotten = active;
        self.pools.retain(|_, pool| pool.last() + FORGET >= active);
        let (pools, pins) = (&self.pools, &mut self.pins);
        self.tokens.retain(|mint, token| {
            token.pools.retain(|key| pools.contains_key(key));
            token.indirect.retain(|key| pools.contains_key(key));
            let listed = !token.pools.is_empty() || !token.indirect.is_empty();
            let kept = listed || token.last + FORGET >= active || is_anchor(*mint);
            if !kept
                && let Some(decimals) = token.decimals.certain()
                && pins.len() < PINS
            {
                pins.insert(*mint, decimals);
            }
            kept
        });
    }
}

fn is_stable(mint: Pubkey) -> bool {
    STABLES.contains(&mint)
}

fn is_anchor(mint: Pubkey) -> bool {
    mint == WSOL || is_stable(mint)
}

/// Whether a trade for `other` may price a token. Quote tokens are priced by quote tokens only.
fn may_tell(mint: Pubkey, other: Pubkey) -> bool {
    if is_stable(mint) {
        is_anchor(other)
    } else if mint == WSOL {
        is_stable(other)
    } else {
        true
    }
}

#[expect(clippy::cast_precision_loss, reason = "a price needs no more digits")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
