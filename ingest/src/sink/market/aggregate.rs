//! Aggregates of trades. Pure, and independent of the order of the trades.

use std::collections::BTreeMap;
use std::time::Duration;

use perijove_core::market::Pair;
use perijove_core::redis::{
    Candle, Fill, Interval, KEPT_TRADES, LATEST_LIFETIME, Latest, POOL_LIFETIME, TRADES_LIFETIME,
};
use perijove_core::{Pubkey, Slot};

use crate::sink::tick::Tick;

/// The aggregate of some trades.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MarketAggregate {
    pub(super) pairs: BTreeMap<Pair, PairAggregate>,
    /// The slots and times of the last trades of pools.
    pub(super) pools: BTreeMap<Pubkey, (Slot, i64)>,
}

/// The aggregate of the trades of one pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PairAggregate {
    pub(super) latest: Option<Latest>,
    fills: Vec<Fill>,
    /// By their beginnings, in milliseconds since 1970.
    pub(super) candles: BTreeMap<(Interval, i64), Candle>,
}

impl MarketAggregate {
    pub(super) fn of<'t>(ticks: impl IntoIterator<Item = &'t Tick>) -> Self {
        let mut aggregate = Self::default();
        for tick in ticks {
            aggregate.add(tick);
        }
        aggregate
    }

    pub(super) fn add(&mut self, tick: &Tick) {
        let traded = (tick.position.slot, tick.time);
        let last = self.pools.entry(tick.pool).or_insert(traded);
        *last = traded.max(*last);
        let (Some(latest), Some(fill), Some(candle)) = (tick.latest(), tick.fill(), tick.candle())
        else {
            return;
        };
        let pair = self.pairs.entry(tick.pair).or_default();
        if pair.latest.is_none_or(|known| latest.is_later(&known)) {
            pair.latest = Some(latest);
        }
        pair.push(fill);
        for interval in Interval::ALL {
            pair.candles
                .entry((interval, interval.start(tick.time)))
                .and_modify(|known| *known = known.with(candle))
                .or_insert(candle);
        }
    }
}

impl MarketAggregate {
    /// Leaves out what was over so long before `newest`, the time of the newest trade there is, that Redis has
    /// forgotten it by now, and what came after it as well: it would stand there as the last of its pair or
    /// pool, or as the whole of a candle of which it is a part.
    pub(super) fn leave_out_expired(&mut self, newest: i64) {
        let is_kept = |time: i64, lifetime: Duration| {
            let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
            time >= newest.saturating_sub(lifetime)
        };
        for pair in self.pairs.values_mut() {
            pair.latest = pair
                .latest
                .filter(|latest| is_kept(latest.time, LATEST_LIFETIME));
            pair.fills
                .retain(|fill| is_kept(fill.time, TRADES_LIFETIME));
            // Candles of seconds are forgotten within minutes: too soon to tell what is late from what was
            // stored while Redis was away.
            pair.candles.retain(|&(interval, start), _| {
                is_kept(start, interval.lifetime().max(LATEST_LIFETIME))
            });
        }
        self.pairs.retain(|_, pair| {
            pair.latest.is_some() || !pair.fills.is_empty() || !pair.candles.is_empty()
        });
        self.pools
            .retain(|_, (_, time)| is_kept(*time, POOL_LIFETIME));
    }
}

impl PairAggregate {
    fn push(&mut self, fill: Fill) {
        self.fills.push(fill);
        if self.fills.len() > 8 * KEPT_TRADES {
            self.fills = self.fills();
        }
    }

    /// The newest trades, the newest last.
    pub(super) fn fills(&self) -> Vec<Fill> {
        let mut fills = self.fills.clone();
        fills.sort_by_cached_key(Fill::encode);
        fills.dedup();
        fills.split_off(fills.len().saturating_sub(KEPT_TRADES))
    }
}
