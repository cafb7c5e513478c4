//! Remembers the candles that a mirror wrote, so that it need not read them again.

use std::collections::HashMap;

use perijove_core::market::Pair;
use perijove_core::redis::{Candle, Interval};

/// Most candles that are remembered: about 30 MB.
const MOST: usize = 100_000;

/// One candle of one pair.
pub(super) type CandleKey = (Pair, Interval, i64);

/// The lane's parts of candles, as Redis has them.
#[derive(Debug, Default)]
pub(super) struct CandleCache(HashMap<CandleKey, Candle>);

impl CandleCache {
    pub(super) fn get(&self, which: &CandleKey) -> Option<Candle> {
        self.0.get(which).copied()
    }

    pub(super) fn put(&mut self, which: CandleKey, candle: Candle) {
        self.0.insert(which, candle);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Makes room: candles that were over long before `newest` rarely get another trade.
    pub(super) fn shrink(&mut self, newest: i64) {
        if self.0.len() <= MOST {
            return;
        }
        self.0.retain(|(_, interval, start), _| {
            start.saturating_add(3 * interval.millis()) >= newest
        });
        if self.0.len() > MOST {
            self.0.clear();
        }
    }
}
