//! A circuit breaker as a pure state machine: no clock, no locks, no I/O.
//!
//! It only counts what callers report. It is decided outside that rate limits, client errors and
//! lagging nodes are not failures, and that the last usable upstream is asked whatever its breaker
//! says (see [`crate::upstream::selection::select`]).
//!
//! ```text
//!            failures in a row, or too large a share of the window
//!   Closed ────────────────────────────────────────────────────────▶ Open
//!     ▲                                                            ▲  │ pause over, trial requested
//!     │ enough good trials                            failed trial │  ▼
//!     └─────────────────────────────────────────────────────────── HalfOpen
//! ```
//!
//! A good probe shortens the pause but does not close the breaker: trial calls decide. If probes
//! are good and calls are not, each failed trial doubles even the shortened pause, and being closed
//! for a moment in between does not reset that.

use std::time::Duration;

use perijove_core::BreakerState;
use tokio::time::Instant;

use crate::config;

#[cfg(test)]
mod tests;

/// Buckets of the sliding window. Exact ratios over buckets are used instead of a decaying average,
/// in which a burst of calls would hide an outage.
const BUCKETS: u8 = 10;

/// Each opening without a lasting closed phase in between doubles the pause, at most this many
/// times.
const MOST_DOUBLINGS: u32 = 3;

/// The pause after the first opening if a probe has been good since. Doubled by each further one.
const PROBED_PAUSE: Duration = Duration::from_secs(1);
/// More doublings than the longest pause needs.
const PROBED_DOUBLINGS: u32 = 16;

/// Admission of another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Admission {
    Free,
    /// Only with a [`Trial`].
    Trial,
    Refused,
}

/// Permission for one call while half-open. It identifies its half-open period, so that a late
/// result cannot count for a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct Trial {
    period: u64,
}

#[derive(Debug)]
enum BreakerInner {
    Closed { failures_in_row: u32 },
    Open { since: Instant, until: Instant },
    HalfOpen { running: u32, successes: u32 },
}

#[derive(Debug)]
pub(in crate::upstream) struct Breaker {
    state: BreakerInner,
    window: ResultWindow,
    /// Openings since it was last closed for long.
    openings: u32,
    closed_at: Option<Instant>,
    /// Counts half-open periods.
    period: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: BreakerInner::Closed { failures_in_row: 0 },
            window: ResultWindow::default(),
            openings: 0,
            closed_at: None,
            period: 0,
        }
    }
}

impl Breaker {
    /// The admission of a call now. Changes nothing.
    pub(in crate::upstream) fn admission(
        &self,
        now: Instant,
        settings: &config::BreakerSettings,
    ) -> Admission {
        match &self.state {
            BreakerInner::Closed { .. } => Admission::Free,
            BreakerInner::Open { until, .. } if now < *until => Admission::Refused,
            BreakerInner::Open { .. } => Admission::Trial,
            BreakerInner::HalfOpen { running, .. } if *running < settings.trials => {
                Admission::Trial
            }
            BreakerInner::HalfOpen { .. } => Admission::Refused,
        }
    }

    pub(in crate::upstream) fn shown(&self) -> BreakerState {
        match self.state {
            BreakerInner::Closed { .. } => BreakerState::Closed,
            BreakerInner::Open { .. } => BreakerState::Open,
            BreakerInner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// How long it stays open, if it is.
    pub(in crate::upstream) fn open_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            BreakerInner::Open { until, .. } => Some(until.saturating_duration_since(now)),
            BreakerInner::Closed { .. } | BreakerInner::HalfOpen { .. } => None,
        }
    }

    /// Takes one of the trial calls, becoming half-open if the pause is over.
    pub(in crate::upstream) fn begin_trial(
        &mut self,
        now: Instant,
        settings: &config::BreakerSettings,
    ) -> Option<Trial> {
        if self.admission(now, settings) != Admission::Trial {
            return None;
        }
        if let BreakerInner::Open { .. } = self.state {
            self.period += 1;
            self.state = BreakerInner::HalfOpen {
                running: 0,
                successes: 0,
            };
        }
        if let BreakerInner::HalfOpen { running, .. } = &mut self.state {
            *running += 1;
        }
        Some(Trial {
            period: self.period,
        })
    }

    /// A trial call ended without saying anything about the upstream.
    pub(in crate::upstream) fn abandon(&mut self, trial: Trial) {
        if trial.period == self.period
            && let BreakerInner::HalfOpen { running, .. } = &mut self.state
        {
            *running = running.saturating_sub(1);
        }
    }

    pub(in crate::upstream) fn success(
        &mut self,
        trial: Option<Trial>,
        now: Instant,
        settings: &config::BreakerSettings,
    ) {
        match &mut self.state {
            BreakerInner::Closed { failures_in_row } => {
                *failures_in_row = 0;
                self.window.add(now, settings.window, true);
            }
            BreakerInner::HalfOpen { running, successes } if trial_of(trial, self.period) => {
                *running = running.saturating_sub(1);
                *successes += 1;
                if *successes >= settings.successes {
                    *self = Self {
                        period: self.period,
                        openings: self.openings,
                        closed_at: Some(now),
                        ..Self::default()
                    };
                }
            }
            // A call from before the opening: too old to count.
            BreakerInner::HalfOpen { .. } | BreakerInner::Open { .. } => {}
        }
    }

    pub(in crate::upstream) fn failure(
        &mut self,
        trial: Option<Trial>,
        now: Instant,
        settings: &config::BreakerSettings,
    ) {
        match &mut self.state {
            BreakerInner::Closed { failures_in_row } => {
                *failures_in_row += 1;
                let in_row = *failures_in_row;
                self.window.add(now, settings.window, false);
                if in_row >= settings.failures || self.window.exceeds(now, settings) {
                    self.open(now, settings);
                }
            }
            BreakerInner::HalfOpen { .. } if trial_of(trial, self.period) => {
                self.open(now, settings);
            }
            BreakerInner::HalfOpen { .. } | BreakerInner::Open { .. } => {}
        }
    }

    /// A request failed here that another upstream served. It counts in a row only: what one caller's
    /// odd requests bring about is no share of the answers to others. As a trial it opens again.
    pub(in crate::upstream) fn failed_alone(
        &mut self,
        now: Instant,
        settings: &config::BreakerSettings,
    ) {
        match &mut self.state {
            BreakerInner::Closed { failures_in_row } => {
                *failures_in_row += 1;
                if *failures_in_row >= settings.failures {
                    self.open(now, settings);
                }
            }
            BreakerInner::HalfOpen { .. } => self.open(now, settings),
            BreakerInner::Open { .. } => {}
        }
    }

    /// A probe that began at `started` was good. Returns whether that shortened the pause.
    pub(in crate::upstream) fn probed(&mut self, started: Instant, now: Instant) -> bool {
        let doublings = self.openings.saturating_sub(1).min(PROBED_DOUBLINGS);
        match &mut self.state {
            BreakerInner::Open { since, until } if started >= *since => {
                let probed = (*since + PROBED_PAUSE * 2_u32.pow(doublings)).max(now);
                let shorter = probed < *until;
                *until = probed.min(*until);
                shorter
            }
            BreakerInner::Open { .. }
            | BreakerInner::Closed { .. }
            | BreakerInner::HalfOpen { .. } => false,
        }
    }

    fn open(&mut self, now: Instant, settings: &config::BreakerSettings) {
        let lasted = |closed_at| now.saturating_duration_since(closed_at) >= settings.open;
        if self.closed_at.take().is_some_and(lasted) {
            self.openings = 0;
        }
        let pause = settings.open * 2_u32.pow(self.openings.min(MOST_DOUBLINGS));
        self.openings = self.openings.saturating_add(1);
        self.window = ResultWindow::default();
        self.state = BreakerInner::Open {
            since: now,
            until: now + pause,
        };
    }
}

fn trial_of(trial: Option<Trial>, period: u64) -> bool {
    trial.is_some_and(|trial| trial.period == period)
}

/// Results of the last `window`, in buckets that are reused.
#[derive(Debug, Default)]
struct ResultWindow {
    start: Option<Instant>,
    buckets: [ResultBucket; BUCKETS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct ResultBucket {
    /// The number of the time slice that the counts belong to, from 1.
    turn: u64,
    good: u32,
    failed: u32,
}

impl ResultWindow {
    fn add(&mut self, now: Instant, window: Duration, good: bool) {
        let turn = self.turn(now, window);
        let slot = usize::try_from(turn % u64::from(BUCKETS)).unwrap_or_default();
        let Some(bucket) = self.buckets.get_mut(slot) else {
            return;
        };
        if bucket.turn != turn {
            *bucket = ResultBucket {
                turn,
                ..ResultBucket::default()
            };
        }
        if good {
            bucket.good = bucket.good.saturating_add(1);
        } else {
            bucket.failed = bucket.failed.saturating_add(1);
        }
    }

    fn turn(&mut self, now: Instant, window: Duration) -> u64 {
        let start = *self.start.get_or_insert(now);
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let bucket = milliseconds(window / u32::from(BUCKETS)).max(1);
        (milliseconds(now.saturating_duration_since(start)) / bucket).saturating_add(1)
    }

    fn exceeds(&mut self, now: Instant, settings: &config::BreakerSettings) -> bool {
        let turn = self.turn(now, settings.window);
        let (mut good, mut failed) = (0_u32, 0_u32);
        for bucket in &self.buckets {
            if bucket.turn != 0 && bucket.turn.saturating_add(u64::from(BUCKETS)) > turn {
                good = good.saturating_add(bucket.good);
                failed = failed.saturating_add(bucket.failed);
            }
        }
        let calls = good.saturating_add(failed);
        calls >= settings.min_calls.max(1) && f64::from(failed) > settings.ratio * f64::from(calls)
    }
}
