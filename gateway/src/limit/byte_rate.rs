//! A rate limit for bytes whose number is known only afterwards.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// Bytes per minute, and as many at once. What exceeds them is waited for afterwards.
#[derive(Debug)]
pub(super) struct ByteRate {
    start: Instant,
    per_minute: u64,
    /// When all bytes taken will have been earned again: nanoseconds since the start.
    earned_at: AtomicU64,
}

impl ByteRate {
    /// Zero counts as one.
    pub(super) fn new(per_minute: usize) -> Self {
        Self {
            start: Instant::now(),
            per_minute: u64::try_from(per_minute).unwrap_or(u64::MAX).max(1),
            earned_at: AtomicU64::new(0),
        }
    }

    /// How long until bytes may be taken; `None` if now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let earned_at = self.earned_at.load(Ordering::Relaxed);
        let missing = Duration::from_nanos(earned_at.saturating_sub(self.nanos(now)));
        missing.checked_sub(MINUTE).filter(|_| missing >= MINUTE)
    }

    /// Records that bytes were taken.
    pub(super) fn take(&self, bytes: usize, now: Instant) {
        let nanos = MINUTE.as_nanos() * bytes as u128 / u128::from(self.per_minute);
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        let now = self.nanos(now);
        let spend = |earned_at: u64| Some(earned_at.max(now).saturating_add(nanos));
        let _earlier = self
            .earned_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn over_a_long_time_no_more_is_taken_than_what_is_earned() {
        let volume = ByteRate::new(60_000);
        let mut taken = 0;
        for _ in 0..6_000 {
            tokio::time::advance(Duration::from_millis(100)).await;
            if volume.wait(Instant::now()).is_none() {
                volume.take(5_000, Instant::now());
                taken += 5_000;
            }
        }
        // Ten minutes, and what is there at once.
        assert!((600_000..=665_000).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_is_waited_for_afterwards() {
        let volume = ByteRate::new(1_000);
        volume.take(3_000, Instant::now());
        let wait = volume.wait(Instant::now()).unwrap();
        assert_eq!(wait, Duration::from_mins(2));
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert_eq!(volume.wait(Instant::now()), None);
    }
}
