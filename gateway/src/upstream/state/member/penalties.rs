//! What faults and refusals cost an upstream besides the breaker, and what ends that.

use std::time::Duration;

use perijove_core::telemetry::seconds;
use tokio::time::Instant;

use super::Member;
use super::trouble_log::{ALL, shown};
use crate::solana::{Capability, FaultKind, Penalty, Scope, Verdict};
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::tracker::{Health, SelfReport, Tracker};
use crate::upstream::state::endpoint_state::UnfitCause;
use crate::upstream::state::hold_off::{FIRST_PAUSE, HoldOff, RefusalKind};
use crate::upstream::state::pause::{PauseBegun, PauseCause, PauseDemand};
use crate::upstream::state::turned_away::TurnedAway;

impl Member {
    /// What a fault costs besides the breaker.
    pub(in crate::upstream) fn penalise(
        &self,
        verdict: &Verdict,
        status: Option<u16>,
        method: &str,
        needs: Option<Capability>,
        now: Instant,
    ) {
        match verdict.penalty {
            // The cost of a refusal is decided by comparison with others.
            Penalty::None | Penalty::Failure | Penalty::Refusal => {}
            Penalty::Lagging { slots } => {
                self.turned_away(|turned_away| turned_away.note(now));
                self.live.track(&self.policy.health, now, |tracker| {
                    tracker.says(SelfReport::Unwell { behind: slots });
                });
            }
            Penalty::HoldOff {
                scope,
                at_least,
                credits,
            } => {
                let cause = if credits {
                    PauseCause::Credits
                } else {
                    PauseCause::Limit
                };
                let begun = self.rest(scope, PauseDemand { at_least, cause }, method, now);
                if credits && scope == Scope::Upstream {
                    // It is not probed before that is over.
                    let diagnosis = Diagnosis::of(verdict.kind, status).on(method);
                    self.live.track(&self.policy.health, now, |tracker| {
                        tracker.refuses_all(diagnosis);
                    });
                } else {
                    self.tell_rest(scope, method, verdict.kind, begun, now);
                }
            }
            Penalty::KeyRefused { scope, at_least } => {
                self.live.metrics.key_refusals.inc();
                let demand = PauseDemand {
                    at_least: Some(at_least),
                    cause: PauseCause::Key,
                };
                let begun = self.rest(scope, demand, method, now);
                if begun.first {
                    let method = (scope == Scope::Method).then_some(method);
                    self.tell_refusal(method, verdict.kind, status, now);
                }
            }
            Penalty::CloseMethod => {
                let news = self.hold_off(now, |hold_off| hold_off.close_method(method, now));
                if news {
                    self.tell_refusal(Some(method), verdict.kind, status, now);
                }
            }
            Penalty::Lacks(capability) => {
                self.hold_off(now, |hold_off| {
                    hold_off.learn_lack(needs.unwrap_or(capability), now);
                    hold_off.learn_lack(capability, now);
                });
            }
        }
    }

    /// Another upstream served what this one refused.
    pub(in crate::upstream) fn refused(&self, method: &str, refused: RefusalKind, kind: FaultKind) {
        let now = Instant::now();
        if kind == FaultKind::BehindTip {
            // It came as a good answer.
            self.live.errors.lock().note(method, kind, None, now);
        }
        let pause = self.hold_off(now, |hold_off| hold_off.refused(method, refused, now));
        if let Some(pause) = pause {
            self.live.metrics.exclusions.inc();
            tracing::debug!(
                upstream = self.live.id(),
                method = shown(method),
                fault = kind.label(),
                pause_seconds = seconds(pause),
                "upstream avoided: it refuses what others serve"
            );
            if pause <= FIRST_PAUSE {
                let status = self.live.errors.lock().of(method);
                let status = status.and_then(|error| error.status);
                self.tell_refusal(Some(method), kind, status, now);
            }
        }
    }

    fn rest(&self, scope: Scope, demand: PauseDemand, method: &str, now: Instant) -> PauseBegun {
        let settings = &self.policy.hold_off;
        let chance = fastrand::f64();
        let metrics = &self.live.metrics;
        let limited = demand.cause != PauseCause::Key;
        self.hold_off(now, |hold_off| match scope {
            Scope::Upstream => {
                metrics.hold_offs.inc_by(limited.into());
                hold_off.rest(demand, now, chance, settings)
            }
            Scope::Method => {
                metrics.method_hold_offs.inc_by(limited.into());
                hold_off.rest_method(method, demand, now, chance, settings)
            }
        })
    }

    /// Changes what is known of calls that were refused because it is behind.
    fn turned_away(&self, change: impl FnOnce(&mut TurnedAway)) {
        let mut turned_away = self.live.turned_away.lock();
        change(&mut turned_away);
        let any = !turned_away.is_empty();
        self.live.doubt(UnfitCause::TurnedAway, any);
    }

    /// Changes the hold-off and records whether anything is left in it.
    pub(super) fn hold_off<T>(&self, now: Instant, change: impl FnOnce(&mut HoldOff) -> T) -> T {
        let mut hold_off = self.live.hold_off.lock();
        let result = change(&mut hold_off);
        self.live
            .doubt(UnfitCause::HoldOff, !hold_off.is_clear(now));
        result
    }

    /// A good answer to a call that began at `started`.
    pub(super) fn clear_hold_off(
        &self,
        method: &str,
        needs: Option<Capability>,
        started: Instant,
        now: Instant,
    ) {
        self.turned_away(TurnedAway::served);
        if self.live.health() == Health::Failing {
            let limits = &self.policy.health;
            self.live.track(limits, now, Tracker::serves_again);
        }
        let (key_taken, held) = self.hold_off(now, |hold_off| {
            if let Some(capability) = needs {
                hold_off.clear_lack(capability);
            }
            let key_taken = hold_off.clear(method, started);
            (key_taken, hold_off.holds_method(method, now))
        });
        let upstream = self.live.id();
        let mut errors = self.live.errors.lock();
        // A call from before the hold-off says nothing about it.
        let served = !held && errors.served(method);
        let all_served = key_taken && errors.served(ALL);
        drop(errors);
        if served || all_served {
            tracing::info!(upstream, method, key_taken, "upstream hold-off ended");
        }
    }

    /// Forgets that the upstream refuses the gateway's key or that its credits are used up, and has
    /// it probed soon if it does or they are.
    pub(in crate::upstream) fn try_key_again(&self, now: Instant) {
        if self.hold_off(now, HoldOff::forget_refused_key) {
            self.live.look_soon.notify_one();
        }
    }

    /// A probe succeeded after `latency`.
    pub(in crate::upstream) fn probed_well(&self, latency: Duration, now: Instant) {
        let started = now.checked_sub(latency).unwrap_or(now);
        self.hold_off(now, |hold_off| hold_off.clear_guess(started, now));
    }
}
