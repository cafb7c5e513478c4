//! Limits questions to archives that find nothing: callers that keep asking for things that do not
//! exist would cost a paid call each time. Questions that find something cost nothing here.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Unused questions of this time may be asked at once.
const BURST: Duration = Duration::from_secs(10);

/// A token bucket. Its rate is passed in, because a reload may change it.
#[derive(Debug)]
pub(super) struct ArchiveBudget(Mutex<ArchiveBudgetState>);

#[derive(Debug)]
struct ArchiveBudgetState {
    left: f64,
    refilled: Instant,
}

impl ArchiveBudget {
    /// Full at first.
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(ArchiveBudgetState {
            left: f64::INFINITY,
            refilled: now,
        }))
    }

    /// Whether another question may be asked.
    pub(super) fn take(&self, per_second: u32, now: Instant) -> bool {
        let mut state = self.0.lock();
        let elapsed = now.saturating_duration_since(state.refilled).as_secs_f64();
        state.refilled = now;
        let gained = state.left + elapsed * f64::from(per_second);
        state.left = gained.min(f64::from(per_second) * BURST.as_secs_f64());
        let may = state.left >= 1.0;
        if may {
            state.left -= 1.0;
        }
        may
    }

    /// A question found something, so it costs nothing.
    pub(super) fn give_back(&self) {
        self.0.lock().left += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &ArchiveBudget, now: Instant) -> usize {
        (0..10_000).filter(|_| rate.take(5, now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn in_the_long_run_no_more_are_asked_than_the_rate() {
        let start = Instant::now();
        let rate = ArchiveBudget::new(start);
        assert_eq!(taken(&rate, start), 50, "ten seconds' worth at once");
        assert_eq!(taken(&rate, start + Duration::from_secs(1)), 5);
        assert_eq!(taken(&rate, start + Duration::from_mins(10)), 50);
        rate.give_back();
        assert_eq!(taken(&rate, start + Duration::from_mins(10)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn none_may_be_asked_at_a_rate_of_none() {
        let now = Instant::now();
        let rate = ArchiveBudget::new(now);
        assert!(!rate.take(0, now));
    }
}
