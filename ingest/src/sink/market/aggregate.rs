//! Aggregates of trades. Pure, and independent of the order of the trades.

use std::collections::BTreeMap;

use perijove_core::market::Pair;
use perijove_core::redis::{Candle, Fill, Interval, KEPT_TRADES, Latest};
use perijove_core::{Pubkey, Slot};

use crate::sink::tick::Tick;

/// The aggregate of some trades.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MarketAggregate {
    pub(super) pairs: BTreeMap<Pair, PairAggregate>,
    /// The slots of the last trades of pools.
    pub(super) pools: BTreeMap<Pubkey, Slot>,
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
        let slot = tick.position.slot;
        let last = self.pools.entry(tick.pool).or_insert(slot);
        *last = slot.max(*last);
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
