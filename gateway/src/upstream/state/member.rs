//! One upstream under its current settings: records the outcome of calls, and what follows for
//! breaker, hold-off, tracker, score and metrics. What follows is in the files of the folder, one for
//! each of them.

mod circuit;
mod housekeeping;
mod penalties;
mod slots;
mod streamed;
mod trouble_log;

use std::sync::Arc;
use std::time::Duration;

use perijove_core::{Slot, UnixClock};
use tokio::time::Instant;

use crate::config;
use crate::solana::{Blame, Class, FaultKind, Penalty};
use crate::upstream::health::cluster::ObservedCluster;
use crate::upstream::state::attempt_outcome::AttemptOutcome;
use crate::upstream::state::breaker::Trial;
use crate::upstream::state::endpoint_state::EndpointState;
use crate::upstream::state::hold_off::is_unknown;
use crate::upstream::state::method_rules::MethodRules;
use crate::upstream::state::upstream_policy::UpstreamPolicy;
use crate::upstream::transport::connect_settings::ConnectSettings;

pub(in crate::upstream) use streamed::{StreamOrigin, StreamedCall};

/// One upstream: its settings, and what was learned of it.
pub(in crate::upstream) struct Member {
    pub(in crate::upstream) settings: Arc<config::UpstreamSettings>,
    pub(in crate::upstream) policy: Arc<UpstreamPolicy>,
    pub(in crate::upstream) live: Arc<EndpointState>,
    pub(in crate::upstream) wire: Arc<ConnectSettings>,
    pub(in crate::upstream) cluster: Arc<ObservedCluster>,
    pub(in crate::upstream) clock: UnixClock,
    pub(in crate::upstream) methods: MethodRules,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Member").field(&self.settings.id).finish()
    }
}

impl Member {
    /// Records the outcome of a call. `trial` is the breaker's permission for it, if any.
    pub(in crate::upstream) fn record(&self, outcome: &AttemptOutcome<'_>, trial: Option<Trial>) {
        let now = Instant::now();
        self.adapt(outcome, now);
        match *outcome {
            AttemptOutcome::Good {
                class,
                method,
                latency,
                slot,
            } => {
                let started = now.checked_sub(latency).unwrap_or(now);
                let outdated = self.is_no_sign(class, slot, now);
                self.served((class, method), latency, started, trial, outdated);
                if let Some(slot) = slot {
                    self.heard_slot(class.context.commitment, slot, latency, now);
                }
            }
            AttemptOutcome::Fault {
                class,
                method,
                verdict,
                status,
            } => {
                self.live.metrics.fault(verdict.kind);
                let made_up = verdict.kind == FaultKind::MethodNotFound && is_unknown(method);
                if verdict.blame == Blame::Upstream && !made_up {
                    let mut errors = self.live.errors.lock();
                    errors.note(method, verdict.kind, status, now);
                }
                match verdict.penalty {
                    Penalty::Failure => self.failed(trial, now),
                    // An error that concerns the client shows an upstream that works.
                    Penalty::None | Penalty::Refusal if verdict.blame != Blame::Upstream => {
                        self.breaker_success(trial, now);
                    }
                    _ => self.abandon(trial),
                }
                self.penalise(verdict, status, method, class.needs, now);
            }
        }
    }

    /// Adapts the limit of calls in flight.
    fn adapt(&self, outcome: &AttemptOutcome<'_>, now: Instant) {
        let Some((limit, cause)) = outcome
            .load()
            .and_then(|load| self.live.concurrency.observe(load, now))
        else {
            return;
        };
        self.live.saturation.limited_to(limit);
        self.live.metrics.concurrency_moved(limit, cause);
        tracing::debug!(
            upstream = self.live.id(),
            limit,
            cause = cause.label(),
            "upstream concurrency limit moved"
        );
    }

    /// Whether an answer is too old to show that the upstream serves the method. Only where that
    /// matters.
    fn is_no_sign(&self, class: &Class, slot: Option<Slot>, now: Instant) -> bool {
        let commitment = class.context.commitment;
        let outdated = |slot| self.is_outdated(slot, commitment, now);
        !self.live.is_clear() && slot.is_some_and(outdated)
    }

    /// A good answer to a call that began at `started`, the last byte of it included.
    fn served(
        &self,
        (class, method): (&Class, &str),
        latency: Duration,
        started: Instant,
        trial: Option<Trial>,
        outdated: bool,
    ) {
        let now = Instant::now();
        self.live.metrics.good.inc();
        self.live.metrics.latency.observe(latency.as_secs_f64());
        let selection = &self.policy.selection;
        self.live
            .score
            .succeeded(latency, class.heavy, now, selection);
        self.breaker_success(trial, now);
        if !self.live.is_clear() && !outdated {
            self.live.hold_off.lock().served(started);
            self.clear_hold_off(method, class.needs, started, now);
        }
    }
}

#[cfg(test)]
mod tests;
