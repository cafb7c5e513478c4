//! Whether calls are refused for long because of limits of the upstreams. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::serving_change::ServingChange;

/// Refusals that last shorter than this come and go with every peak.
const LONG: Duration = Duration::from_secs(1);
/// Without any for this long, it is over.
const QUIET: Duration = Duration::from_secs(10);

/// Calls that were refused, looked at again and again.
#[derive(Debug, Default)]
pub(super) struct RefusedCalls {
    count: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    told: bool,
}

impl RefusedCalls {
    /// `count` calls have been refused up to now.
    pub(super) fn look(&mut self, count: u64, now: Instant) -> Option<ServingChange> {
        if count > self.count {
            self.count = count;
            let first = *self.first.get_or_insert(now);
            self.last = Some(now);
            let long = now.saturating_duration_since(first) >= LONG;
            return (long && !std::mem::replace(&mut self.told, long))
                .then_some(ServingChange::Begun);
        }
        let (first, last) = self.first.zip(self.last)?;
        if now.saturating_duration_since(last) < QUIET {
            return None;
        }
        let told = self.told;
        *self = Self {
            count: self.count,
            ..Self::default()
        };
        told.then(|| ServingChange::Over(last.saturating_duration_since(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn refusals_that_last_are_told_once_and_so_is_their_end() {
        let mut now = Instant::now();
        let mut refused = RefusedCalls::default();
        let mut told = Vec::new();
        for look in 0..60 {
            // For 5 s calls are refused.
            told.extend(refused.look(look.min(10), now));
            now += LOOK;
        }
        let lasted = LOOK * 9;
        assert_eq!(told, [ServingChange::Begun, ServingChange::Over(lasted)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peak_is_not_told() {
        let mut now = Instant::now();
        let mut refused = RefusedCalls::default();
        for look in 0..200_u64 {
            // Every 20 s a call is refused.
            assert_eq!(refused.look(look / 40, now), None);
            now += LOOK;
        }
    }
}
