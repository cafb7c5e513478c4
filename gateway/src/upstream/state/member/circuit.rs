//! The circuit breaker of an upstream, by the outcomes of its calls.

use perijove_core::BreakerState;
use perijove_core::telemetry::seconds;
use tokio::time::Instant;

use super::Member;
use super::trouble_log::{ALL, shown};
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::state::breaker::Trial;
use crate::upstream::state::endpoint_state::UnfitCause;

impl Member {
    pub(super) fn failed(&self, trial: Option<Trial>, now: Instant) {
        self.live.score.failed(now, &self.policy.selection);
        let mut breaker = self.live.breaker.lock();
        let before = breaker.shown();
        breaker.failure(trial, now, &self.policy.breaker);
        self.breaker_changed(before, breaker.shown());
    }

    pub(super) fn breaker_success(&self, trial: Option<Trial>, now: Instant) {
        let mut breaker = self.live.breaker.lock();
        let before = breaker.shown();
        breaker.success(trial, now, &self.policy.breaker);
        self.breaker_changed(before, breaker.shown());
    }

    /// A probe that began at `started` succeeded: an open breaker need not wait for the end of its
    /// pause to allow trial calls.
    pub(in crate::upstream) fn try_calls_sooner(&self, started: Instant, now: Instant) {
        let mut breaker = self.live.breaker.lock();
        if breaker.probed(started, now) {
            tracing::info!(
                upstream = self.live.id(),
                pause_seconds = breaker.open_for(now).map(seconds),
                "upstream probe succeeded; trial calls start sooner"
            );
        }
    }

    /// A trial call said nothing.
    pub(in crate::upstream) fn abandon(&self, trial: Option<Trial>) {
        if let Some(trial) = trial {
            self.live.breaker.lock().abandon(trial);
        }
    }

    /// Asks the breaker for a trial call.
    pub(in crate::upstream) fn begin_trial(&self, now: Instant) -> Option<Trial> {
        let mut breaker = self.live.breaker.lock();
        let before = breaker.shown();
        let trial = breaker.begin_trial(now, &self.policy.breaker);
        self.breaker_changed(before, breaker.shown());
        trial
    }

    /// To be called with the breaker locked.
    fn breaker_changed(&self, before: BreakerState, after: BreakerState) {
        if before == after {
            return;
        }
        if after == BreakerState::Closed {
            self.live.score.forgive(Instant::now());
        }
        self.live
            .doubt(UnfitCause::Breaker, after != BreakerState::Closed);
        self.live.metrics.breaker.set(after.number());
        self.tell_breaker(before, after);
    }

    /// That it opens is told with the reason, once in a while: an upstream that comes and goes opens it
    /// again and again.
    fn tell_breaker(&self, before: BreakerState, after: BreakerState) {
        let (upstream, from, to) = (self.live.id(), before.label(), after.label());
        let mut errors = self.live.errors.lock();
        let opens = (before, after) == (BreakerState::Closed, BreakerState::Open);
        if !opens || !errors.is_news("breaker", ALL, Instant::now()) {
            drop(errors);
            tracing::info!(upstream, from, to, "upstream circuit breaker changed");
            return;
        }
        let last = errors
            .last()
            .map(|(method, error)| Diagnosis::of(error.kind, error.status).on(shown(method)));
        drop(errors);
        tracing::warn!(
            upstream,
            from,
            to,
            cause = last.as_ref().map(tracing::field::display),
            cure = last.as_ref().map(Diagnosis::cure),
            "upstream circuit breaker changed"
        );
    }
}
