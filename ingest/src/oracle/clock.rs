//! The time of the stream, and how much of it had trades.

/// More than this many milliseconds without any trade is a halt, of the chain or of the stream,
/// during which nothing ages.
const HALT: i64 = 2_000;

/// How fast a lag is learned, in trades, and in how many milliseconds half of it is forgotten.
const LATE_TRADES: f64 = 64.0;
const FORGOTTEN: f64 = 600_000.0;

/// Follows the newest trade.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamClock {
    newest: Option<i64>,
    /// Milliseconds in which something happened.
    active: f64,
    /// The newest slot, and by how many slots others usually come after it.
    slot: u64,
    lag: f64,
}

/// What is computed is computed as of now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// In active time.
    pub(super) active: f64,
    /// Trades of slots before this one have come, as far as they usually do.
    pub(super) settled: u64,
}

impl StreamClock {
    pub(super) fn advance(&mut self, time: i64, slot: u64) {
        let newest = self.newest.unwrap_or(time);
        if time >= newest {
            let passed = millis((time - newest).min(HALT));
            self.active += passed;
            if self.lag > 0.0 && passed > 0.0 {
                self.lag *= (-passed / FORGOTTEN).exp2();
            }
            self.newest = Some(time);
        } else {
            self.newest = Some(newest);
        }
        if slot >= self.slot {
            self.slot = slot;
        } else {
            let late = slots(self.slot - slot);
            self.lag += (late - self.lag).max(0.0) / LATE_TRADES;
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            active: self.active,
            settled: self.slot.saturating_sub(whole(1.1 * self.lag)),
        }
    }

    /// The time of the newest trade, in milliseconds since 1970.
    pub(super) fn newest(&self) -> i64 {
        self.newest.unwrap_or(i64::MIN)
    }

    pub(super) const fn active(&self) -> f64 {
        self.active
    }

    /// The active time of a trade that came late.
    pub(super) fn active_of(&self, time: i64) -> f64 {
        self.active - millis(self.newest().saturating_sub(time).max(0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a span of a few minutes")]
fn millis(span: i64) -> f64 {
    span as f64
}

fn slots(count: u64) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "slots, rounded up"
)]
fn whole(slots: f64) -> u64 {
    slots.ceil() as u64
}
