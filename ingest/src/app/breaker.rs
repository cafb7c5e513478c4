//! The breaker of a sink, as a pure state machine: no clock of its own, no locks, no I/O.
//!
//! Closed, it counts failures in a row. Open, it refuses until its pause is over. Then half-open,
//! it lets some trials through at a time: enough good ones close it, one bad one opens it again.

use perijove_core::BreakerState;
use tokio::time::Instant;

use crate::config;

/// Admission of another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    Trial,
    /// Not before then; while trials are under way, not before one of them has ended.
    Refused(Option<Instant>),
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { running: u32, successes: u32 },
}

#[derive(Debug)]
pub(super) struct SinkBreaker {
    settings: config::BreakerSettings,
    state: State,
}

impl SinkBreaker {
    pub(super) const fn new(settings: config::BreakerSettings) -> Self {
        let state = State::Closed { failures: 0 };
        Self { settings, state }
    }

    pub(super) const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    /// Asks for one call. An admitted caller reports the result, or [`abandon`](Self::abandon)s.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.state {
            State::Closed { .. } => Admission::Free,
            State::Open { until } if now < *until => Admission::Refused(Some(*until)),
            State::Open { .. } => {
                let (running, successes) = (1, 0);
                self.state = State::HalfOpen { running, successes };
                Admission::Trial
            }
            State::HalfOpen { running, .. } if *running < self.settings.trials => {
                *running += 1;
                Admission::Trial
            }
            State::HalfOpen { .. } => Admission::Refused(None),
        }
    }

    pub(super) fn success(&mut self) {
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen { running, successes } => {
                *running = running.saturating_sub(1);
                *successes += 1;
                if *successes >= self.settings.successes {
                    self.state = State::Closed { failures: 0 };
                }
            }
            // From before it opened.
            State::Open { .. } => {}
        }
    }

    pub(super) fn failure(&mut self, now: Instant) {
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= self.settings.failures {
                    self.open(now);
                }
            }
            State::HalfOpen { .. } => self.open(now),
            State::Open { .. } => {}
        }
    }

    /// A call ended without saying anything about the sink.
    pub(super) fn abandon(&mut self) {
        if let State::HalfOpen { running, .. } = &mut self.state {
            *running = running.saturating_sub(1);
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.settings.open;
        self.state = State::Open { until };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn opened(now: Instant) -> SinkBreaker {
        let mut breaker = SinkBreaker::new(config::BreakerSettings::default());
        for _ in 0..5 {
            assert_eq!(breaker.admit(now), Admission::Free);
            breaker.failure(now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_five_failures_in_a_row() {
        let now = Instant::now();
        let mut breaker = SinkBreaker::new(config::BreakerSettings::default());
        for _ in 0..3 {
            for _ in 0..4 {
                breaker.failure(now);
            }
            breaker.success();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(opened(now).state(), BreakerState::Open);
    }

    #[test]
    fn it_refuses_for_a_minute_and_then_lets_three_trials_through() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let until = now + MINUTE;
        assert_eq!(breaker.admit(now), Admission::Refused(Some(until)));
        for _ in 0..3 {
            assert_eq!(breaker.admit(until), Admission::Trial);
        }
        assert_eq!(breaker.admit(until), Admission::Refused(None));
        breaker.abandon();
        assert_eq!(breaker.admit(until), Admission::Trial);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn two_good_trials_close_it_and_one_bad_one_opens_it_again() {
        let now = Instant::now();
        let until = now + MINUTE;
        let mut breaker = opened(now);
        breaker.admit(until);
        breaker.success();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.admit(until);
        breaker.failure(until);
        assert_eq!(
            breaker.admit(until),
            Admission::Refused(Some(until + MINUTE))
        );
        // What was under way when it opened says nothing.
        breaker.success();
        breaker.failure(until + MINUTE);
        assert_eq!(breaker.admit(until + MINUTE), Admission::Trial);
        breaker.success();
        breaker.admit(until + MINUTE);
        breaker.success();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.admit(now), Admission::Free);
    }
}
