//! Tells the operator of calls that come back to the gateway that has sent them.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// It is told again when none had come back for this long.
const APART: Duration = Duration::from_mins(10);

/// When a call last came back.
#[derive(Debug, Default)]
pub struct LoopAlarm(Mutex<Option<Instant>>);

impl LoopAlarm {
    /// A call has come back, from this address.
    pub(super) fn came_back(&self, from: Option<IpAddr>) {
        if !self.is_news(Instant::now()) {
            return;
        }
        tracing::warn!(
            from = from.map(tracing::field::display),
            cause =
                "the URL of an upstream leads back to this gateway, at once or through another one",
            cure = "write the address of the node itself; `from` is where the calls come back from",
            "calls come back to the gateway that has sent them; refused with HTTP 508"
        );
    }

    fn is_news(&self, now: Instant) -> bool {
        let before = self.0.lock().replace(now);
        before.is_none_or(|at| now.saturating_duration_since(at) >= APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_told_once_and_again_after_it_was_over() {
        let (alarm, now) = (LoopAlarm::default(), Instant::now());
        assert!(alarm.is_news(now));
        assert!(!alarm.is_news(now + APART / 2));
        assert!(!alarm.is_news(now + APART));
        assert!(alarm.is_news(now + APART * 2));
    }
}
