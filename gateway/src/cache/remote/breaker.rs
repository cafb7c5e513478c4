//! Circuit breaker for Redis, as a pure state machine: no clock, no locks.
//!
//! Simpler than the upstreams' breaker, which weighs failure ratios over a window: a lookup that is
//! skipped costs at most a cache hit, so some failures in a row are reason enough.
//!
//! ```text
//!          failures in a row              one trial at a time
//! Closed ────────────────────▶ Open ─────────────────────────▶ HalfOpen
//!   ▲                           ▲           pause over            │  │
//!   │                           └────────────── failure ──────────┘  │
//!   └────────────────────────────────────────── success ─────────────┘
//! ```

use std::time::Duration;

use perijove_core::BreakerState;
use tokio::time::Instant;

use crate::config;

#[derive(Debug)]
enum RedisBreakerInner {
    Closed {
        in_row: u32,
    },
    Open {
        until: Instant,
    },
    /// A trial is in flight. Its caller may disappear without reporting a result; then another is
    /// let through.
    HalfOpen {
        until: Instant,
    },
}

#[derive(Debug)]
pub(super) struct RedisBreaker {
    failures: u32,
    open: Duration,
    state: RedisBreakerInner,
}

impl RedisBreaker {
    pub(super) fn new(settings: &config::RedisBreakerSettings) -> Self {
        Self {
            failures: settings.failures,
            open: settings.open,
            state: RedisBreakerInner::Closed { in_row: 0 },
        }
    }

    /// Whether another lookup may be made. While the breaker is not closed, one is let through per
    /// pause.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.state {
            RedisBreakerInner::Closed { .. } => true,
            RedisBreakerInner::Open { until } | RedisBreakerInner::HalfOpen { until }
                if now < until =>
            {
                false
            }
            RedisBreakerInner::Open { .. } | RedisBreakerInner::HalfOpen { .. } => {
                self.state = RedisBreakerInner::HalfOpen {
                    until: now + self.open,
                };
                true
            }
        }
    }

    /// An answer arrived. One asked for before the breaker opened counts as much as a trial.
    pub(super) fn success(&mut self) {
        self.state = RedisBreakerInner::Closed { in_row: 0 };
    }

    pub(super) fn failure(&mut self, now: Instant) {
        match &mut self.state {
            RedisBreakerInner::Closed { in_row } => {
                *in_row += 1;
                if *in_row >= self.failures {
                    self.trip(now);
                }
            }
            RedisBreakerInner::HalfOpen { .. } => self.trip(now),
            // From before the opening; it must not prolong it.
            RedisBreakerInner::Open { .. } => {}
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            RedisBreakerInner::Closed { .. } => BreakerState::Closed,
            RedisBreakerInner::Open { .. } => BreakerState::Open,
            RedisBreakerInner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn trip(&mut self, now: Instant) {
        self.state = RedisBreakerInner::Open {
            until: now + self.open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    fn breaker() -> (RedisBreaker, Instant) {
        let settings = config::RedisBreakerSettings {
            failures: 3,
            open: PAUSE,
        };
        (RedisBreaker::new(&settings), Instant::now())
    }

    fn opened() -> (RedisBreaker, Instant) {
        let (mut breaker, now) = breaker();
        for _ in 0..3 {
            assert!(breaker.admits(now));
            breaker.failure(now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        (breaker, now)
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not_count_as_one() {
        let (mut breaker, now) = breaker();
        for _ in 0..10 {
            breaker.failure(now);
            breaker.failure(now);
            breaker.success();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.failure(now);
        breaker.failure(now);
        assert!(breaker.admits(now));
        breaker.failure(now);
        assert!(!breaker.admits(now));
    }

    #[test]
    fn after_the_pause_one_is_let_through() {
        let (mut breaker, now) = opened();
        assert!(!breaker.admits(now + PAUSE - Duration::from_millis(1)));
        let later = now + PAUSE;
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.success();
        assert!(breaker.admits(later) && breaker.admits(later));
    }

    #[test]
    fn a_failed_trial_begins_another_pause() {
        let (mut breaker, now) = opened();
        let later = now + PAUSE;
        assert!(breaker.admits(later));
        breaker.failure(later);
        assert!(!breaker.admits(later + PAUSE - Duration::from_millis(1)));
        assert!(breaker.admits(later + PAUSE));
    }

    #[test]
    fn a_trial_that_is_never_heard_of_again_makes_way_for_another() {
        let (mut breaker, now) = opened();
        assert!(breaker.admits(now + PAUSE));
        assert!(!breaker.admits(now + PAUSE));
        assert!(breaker.admits(now + 2 * PAUSE));
    }

    #[test]
    fn late_failures_do_not_prolong_the_pause() {
        let (mut breaker, now) = opened();
        breaker.failure(now + PAUSE / 2);
        assert!(breaker.admits(now + PAUSE));
    }

    #[test]
    fn a_late_answer_closes_it() {
        let (mut breaker, now) = opened();
        breaker.success();
        assert!(breaker.admits(now));
    }
}
