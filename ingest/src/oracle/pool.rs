//! One pool: its last trades, what it weighs, and whether it agrees with the others.

use std::ops::Range;

use perijove_core::Pubkey;

use crate::oracle::clock::Now;
use crate::oracle::flow::{Flow, Funds};
use crate::oracle::median::{Vote, median_and_spread, quantile};
use crate::oracle::net_trades::{merge, net, opposed};
use crate::oracle::observation::Observation;
use crate::oracle::pool_trade::PoolTrade;
use crate::oracle::rhythm::Rhythm;
use crate::oracle::window::Window;

/// Trades remembered, and most of one slot, so that no slot displaces the others. A slot that has
/// begun is kept whole, even beyond the former.
const KEPT: usize = 48;
const OF_A_SLOT: usize = 6;

/// A slot counts at most this multiple of the median slot, however much was traded, and at least a
/// part of it.
const MOST_TIMES: f64 = 1.5;
const LEAST_TIMES: f64 = 0.1;

/// A pool has half its weight when it has been known for this many milliseconds: a pool made to
/// deceive has to be kept honest for as long.
const YOUNG: f64 = 1_200_000.0;
const NEWBORN: f64 = 0.001;

/// Assumed for a pool of which nothing is known.
const UNKNOWN_HONESTY: f64 = 0.5;

/// Minimum, so that a pool that is right against all others can prevail in the end.
const LEAST_HONESTY: f64 = 0.1;

/// A pool in a pair of tokens. Another pair under the same address is another pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pool: Pubkey,
    pub(super) left: Pubkey,
    pub(super) right: Pubkey,
}

impl PoolKey {
    /// Also whether the quote is to its left.
    pub(super) fn of(trade: &Observation) -> (Self, bool) {
        let (base, quote) = (trade.base.mint, trade.quote.mint);
        let swapped = base > quote;
        let (left, right) = if swapped {
            (quote, base)
        } else {
            (base, quote)
        };
        let pool = trade.pool;
        (Self { pool, left, right }, swapped)
    }

    /// The other token of the pair.
    pub(super) fn other(&self, mint: Pubkey) -> Pubkey {
        if self.left == mint {
            self.right
        } else {
            self.left
        }
    }
}

/// The state of a pool.
#[derive(Clone, Debug)]
pub(super) struct PoolState {
    /// In the order of their slots. Of all but the open one, what was left of them.
    seen: Vec<PoolTrade>,
    /// The slot that trades were last added to.
    open: u64,
    flow: Flow,
    window: Window,
    first: f64,
    rhythm: Rhythm,
    /// How often it agreed, from 0 to 1.
    honesty: f64,
    /// Slots since it was last compared with the others.
    fresh: u32,
    /// Whether it is among those that price its left, and its right.
    pub(super) listed: [bool; 2],
}

/// The price of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolPrice {
    /// The logarithm of its price: of the left, in the right.
    pub(super) ln: f64,
    pub(super) spread: f64,
    /// Slots it is made of.
    pub(super) slots: usize,
}

impl PoolState {
    pub(super) fn new(active: f64) -> Self {
        Self {
            seen: Vec::new(),
            open: 0,
            flow: Flow::default(),
            window: Window::default(),
            first: active,
            rhythm: Rhythm::new(active),
            honesty: UNKNOWN_HONESTY,
            fresh: 0,
            listed: [false; 2],
        }
    }

    pub(super) fn add(&mut self, seen: PoolTrade, active: f64) {
        self.flow
            .add(seen.slot, seen.usd, seen.left_to_right, active);
        self.window.add(seen.usd, active);
        self.rhythm.note(seen.slot, seen.usd, seen.at);
        if seen.slot != self.open {
            self.close();
        }
        self.open = seen.slot;
        let trades = self.of_slot(seen.slot);
        if trades.is_empty() && !self.make_room(seen.slot) {
            return;
        }
        let trades = self.of_slot(seen.slot);
        if trades.is_empty() {
            self.fresh = self.fresh.saturating_add(1);
        }
        let full = trades.len() >= OF_A_SLOT;
        self.seen.insert(trades.end, seen);
        if full {
            merge(&mut self.seen, trades.start..trades.end + 1);
        }
    }

    /// Where the trades of a slot are.
    fn of_slot(&self, slot: u64) -> Range<usize> {
        let start = self.seen.partition_point(|known| known.slot < slot);
        let count = self.seen.iter().skip(start);
        let count = count.take_while(|known| known.slot == slot).count();
        start..start + count
    }

    /// Forgets whole slots until there is room for another. False if that one is older than they.
    fn make_room(&mut self, slot: u64) -> bool {
        while self.seen.len() >= KEPT
            && let Some(oldest) = self.seen.first().map(|seen| seen.slot)
        {
            if slot < oldest {
                return false;
            }
            let oldest = self.of_slot(oldest);
            self.seen.drain(oldest);
        }
        true
    }

    /// Keeps of the slot that trades were last added to what is left of them.
    fn close(&mut self) {
        let open = self.of_slot(self.open);
        if let Some(left) = self.net_of(open.clone()) {
            self.seen.splice(open, left);
        }
    }

    /// What is left of the trades of a slot once opposing ones have cancelled out. `None` if none
    /// oppose each other.
    fn net_of(&self, slot: Range<usize>) -> Option<Vec<PoolTrade>> {
        let trades = self.seen.get(slot.clone())?;
        if !opposed(trades) {
            return None;
        }
        let before = self.seen.get(..slot.start)?;
        let after = self.seen.get(slot.end..)?;
        let others = self.price_of(&[before, after]).map(|price| price.ln);
        Some(net(trades, others))
    }

    /// When it was last traded in, in active time.
    pub(super) fn last(&self) -> f64 {
        self.seen.last().map_or(self.first, |seen| seen.at)
    }

    /// Its last trade.
    pub(super) fn newest(&self) -> Option<&PoolTrade> {
        self.seen.last()
    }

    pub(super) const fn window(&self) -> &Window {
        &self.window
    }

    pub(super) fn capital(&self, now: Now) -> f64 {
        self.flow.capital(now)
    }

    /// What it has turned over and shown.
    pub(super) fn funds(&self, now: Now) -> Funds {
        self.flow.funds((now.active - self.first).max(0.0), now)
    }

    /// How far it is believed, from 0 to 1: by its age, and by how often it agreed.
    pub(super) fn trust(&self, active: f64) -> f64 {
        seasoned(active - self.first) * self.honesty * self.honesty
    }

    /// 1 while it trades as usual, less the longer it does not. `taken`, from 0 to 1, is how far
    /// others trade in its stead.
    pub(super) fn wakeful(&self, taken: f64, active: f64) -> f64 {
        self.rhythm.wakeful(taken, active)
    }

    /// Its price. None before the first trade that was not undone in its slot.
    pub(super) fn price(&self) -> Option<PoolPrice> {
        let open = self.of_slot(self.open);
        let Some(left) = self.net_of(open.clone()) else {
            return self.price_of(&[&self.seen]);
        };
        let (before, after) = (self.seen.get(..open.start)?, self.seen.get(open.end..)?);
        self.price_of(&[before, &left, after])
    }

    /// The price by these trades, each part of which has whole slots.
    fn price_of(&self, parts: &[&[PoolTrade]]) -> Option<PoolPrice> {
        let newest = self.last();
        let half = (2.0 * self.rhythm.pause()).clamp(1_600.0, 120_000.0);
        // The price, the worth, and the time of each slot.
        let mut slots: Vec<(f64, f64, f64)> = Vec::with_capacity(KEPT);
        let of_slots = parts
            .iter()
            .flat_map(|part| part.chunk_by(|one, other| one.slot == other.slot));
        for trades in of_slots {
            let mut votes: [Vote; OF_A_SLOT] = [(0.0, 0.0); OF_A_SLOT];
            for (vote, seen) in votes.iter_mut().zip(trades) {
                *vote = (seen.ln, seen.usd);
            }
            let votes = votes.get_mut(..trades.len())?;
            let price = quantile(votes, 0.5)?;
            let usd = trades.iter().map(|seen| seen.usd).sum();
            let at = trades.first()?.at;
            slots.push((price, usd, at));
        }
        let mut values: Vec<f64> = slots.iter().map(|slot| slot.1).collect();
        let middle = values.len() / 2;
        let middle = (!values.is_empty()).then(|| {
            let by_value = |one: &f64, other: &f64| one.total_cmp(other);
            *values.select_nth_unstable_by(middle, by_value).1
        })?;
        let mut votes: Vec<Vote> = slots
            .iter()
            .map(|(price, usd, at)| {
                let trade_usd = usd.clamp(LEAST_TIMES * middle, MOST_TIMES * middle);
                (*price, trade_usd * (-(newest - at).max(0.0) / half).exp2())
            })
            .collect();
        let (ln, spread) = median_and_spread(&mut votes)?;
        Some(PoolPrice {
            ln,
            spread,
            slots: slots.len(),
        })
    }

    /// Slots it has had since it was last [judged](Self::judge).
    pub(super) const fn fresh(&self) -> u32 {
        self.fresh
    }

    /// Compares it with the others.
    pub(super) fn judge(&mut self, agrees: bool) {
        let rest = 0.9_f64.powi(self.fresh.min(64).cast_signed());
        let aim = if agrees { 1.0 } else { 0.0 };
        self.honesty = (aim + (self.honesty - aim) * rest).max(LEAST_HONESTY);
        self.fresh = 0;
    }
}

/// What a pool counts by its age in milliseconds, up to 1.
pub(super) fn seasoned(age: f64) -> f64 {
    let age = age.max(0.0);
    (age / (age + YOUNG)).max(NEWBORN)
}
