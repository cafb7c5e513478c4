//! Whether an answer that has begun makes progress. Silence and a trickle count alike: too little
//! in a while, or so little that it would not be complete in time. Only the rule; the
//! [steps](super::steps) do the waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::solana::FaultKind;

/// Minimum number of bytes per window, unless the answer is complete before.
const LEAST: usize = 1024;
/// A check later than this was delayed by the gateway, not by the upstream.
const LATE: Duration = Duration::from_millis(100);

/// An answer in progress, checked regularly.
#[derive(Debug)]
pub(super) struct AttemptProgress {
    began: Instant,
    window: Duration,
    /// The next check.
    until: Instant,
    /// Bytes in this window, and before it.
    fresh: usize,
    before: usize,
}

impl AttemptProgress {
    /// Begins the first window now.
    pub(super) fn begin(window: Duration, now: Instant) -> Self {
        Self {
            began: now,
            window,
            until: now + window,
            fresh: 0,
            before: 0,
        }
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Some bytes arrived.
    pub(super) fn came(&mut self, bytes: usize) {
        self.fresh += bytes;
    }

    /// The window is over: says whether the answer may go on, and why not. The answer must be
    /// complete by `end`.
    pub(super) fn look(&mut self, missing: Option<u64>, end: Instant) -> Result<(), FaultKind> {
        let now = Instant::now();
        if now >= end {
            Err(FaultKind::TotalTimeout)
        } else if self.goes_on(missing, end, now) {
            Ok(())
        } else {
            Err(FaultKind::Stalled)
        }
    }

    /// The window is over: whether the answer may go on. `missing` are the bytes known to be
    /// missing, which at the speed so far must arrive by `end`.
    fn goes_on(&mut self, missing: Option<u64>, end: Instant, now: Instant) -> bool {
        if now.saturating_duration_since(self.until) > LATE {
            // The gateway was late; what arrived meanwhile has not been read yet.
            self.until = now + self.window;
            return true;
        }
        let all = self.before + self.fresh;
        let enough = self.fresh >= LEAST;
        let elapsed = now.saturating_duration_since(self.began);
        let left = end.saturating_duration_since(now);
        let in_time = missing.is_none_or(|missing| {
            let (missing, all) = (u128::from(missing), all as u128);
            missing * elapsed.as_millis() <= all * left.as_millis()
        });
        (self.before, self.fresh) = (all, 0);
        self.until = now + self.window;
        enough && in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Bytes per second, one look after the other: how many looks it survives out of ten.
    fn survives(bytes: &[usize], missing: Option<u64>) -> usize {
        let start = Instant::now();
        let end = start + 30 * SECOND;
        let mut progress = AttemptProgress::begin(SECOND, start);
        let mut left = missing;
        for (look, bytes) in bytes.iter().cycle().take(10).enumerate() {
            progress.came(*bytes);
            left = left.map(|left| left.saturating_sub(*bytes as u64));
            let now = progress.until();
            if !progress.goes_on(left, end, now) {
                return look;
            }
        }
        10
    }

    #[test]
    fn silence_and_a_trickle_end_at_the_first_look() {
        assert_eq!(survives(&[0], Some(200)), 0);
        assert_eq!(survives(&[2], Some(200)), 0);
        assert_eq!(survives(&[2], None), 0);
    }

    #[test]
    fn what_would_not_be_whole_in_time_ends_at_the_first_look() {
        assert_eq!(survives(&[2000], Some(200_000)), 0);
    }

    #[test]
    fn what_falls_silent_later_ends_then() {
        assert_eq!(survives(&[50_000, 50_000, 0], Some(200_000)), 2);
    }

    #[test]
    fn a_large_answer_that_is_slow_but_comes_goes_on() {
        assert_eq!(survives(&[20_000], Some(250_000)), 10);
        assert_eq!(survives(&[5_000], None), 10);
    }

    #[test]
    fn a_late_look_is_not_held_against_the_upstream() {
        let start = Instant::now();
        let mut progress = AttemptProgress::begin(SECOND, start);
        let late = start + 3 * SECOND;
        assert!(progress.goes_on(None, start + 30 * SECOND, late));
        assert_eq!(progress.until(), late + SECOND);
        assert!(!progress.goes_on(None, start + 30 * SECOND, late + SECOND));
    }
}
