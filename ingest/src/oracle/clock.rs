//! The time of the stream, and how much of it had trades.

/// More than this many milliseconds without any trade is a halt, of the chain or of the stream,
/// during which nothing ages.
const HALT: i64 = 2_000;

/// Follows the newest trade.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamClock {
    newest: Option<i64>,
    /// Milliseconds in which something happened.
    active: f64,
}

impl StreamClock {
    pub(super) fn advance(&mut self, time: i64) {
        let newest = self.newest.unwrap_or(time);
        if time >= newest {
            self.active += millis((time - newest).min(HALT));
            self.newest = Some(time);
        } else {
            self.newest = Some(newest);
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
