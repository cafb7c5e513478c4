//! One upstream under its current settings: records the outcome of calls, and what follows for
//! breaker, hold-off, tracker, score and metrics.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use perijove_core::telemetry::seconds;
use perijove_core::{Commitment, Slot};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config;
use crate::solana::{Blame, Capability, Class, FaultKind, Penalty, Scope, Verdict};
use crate::upstream::health::cluster::ObservedCluster;
use crate::upstream::health::diagnosis::{Diagnosis, cure};
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::health::tracker::{Health, Tracker};
use crate::upstream::state::attempt_outcome::AttemptOutcome;
use crate::upstream::state::breaker::{BreakerState, Trial};
use crate::upstream::state::endpoint_state::{EndpointState, UnfitCause};
use crate::upstream::state::hold_off::{
    FIRST_PAUSE, HoldOff, LONGEST_NAME, RefusalKind, is_unknown,
};
use crate::upstream::state::pause::{PauseBegun, PauseCause, PauseDemand};
use crate::upstream::state::unix_clock::UnixClock;
use crate::upstream::transport::connect_settings::ConnectSettings;

mod streamed;
#[cfg(test)]
mod tests;

pub(in crate::upstream) use streamed::{StreamOrigin, StreamedCall};

/// Used in place of a method for all of them.
const ALL: &str = "*";

/// An answer this many slots old is from a cache of the provider's, or from another cluster.
const ODD: u64 = 1000;

/// How often idle connections are checked and gauges are set.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The settings shared by all upstreams.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::upstream) struct UpstreamPolicy {
    pub(in crate::upstream) health: config::Health,
    pub(in crate::upstream) breaker: config::Breaker,
    pub(in crate::upstream) hold_off: config::HoldOff,
    pub(in crate::upstream) selection: config::Selection,
    pub(in crate::upstream) cluster: config::Cluster,
}

impl UpstreamPolicy {
    pub(in crate::upstream) fn of(config: &config::Config) -> Self {
        Self {
            health: config.health.clone(),
            breaker: config.breaker.clone(),
            hold_off: config.hold_off.clone(),
            selection: config.selection.clone(),
            cluster: config.cluster.clone(),
        }
    }
}

pub(in crate::upstream) struct Member {
    pub(in crate::upstream) settings: Arc<config::Upstream>,
    pub(in crate::upstream) policy: Arc<UpstreamPolicy>,
    pub(in crate::upstream) live: Arc<EndpointState>,
    pub(in crate::upstream) wire: Arc<ConnectSettings>,
    pub(in crate::upstream) cluster: Arc<ObservedCluster>,
    pub(in crate::upstream) clock: UnixClock,
    pub(in crate::upstream) methods: MethodRules,
}

/// The methods and capabilities granted by the settings.
#[derive(Debug)]
pub(in crate::upstream) struct MethodRules {
    allow: HashSet<String>,
    deny: HashSet<String>,
    capabilities: Option<Vec<Capability>>,
}

impl MethodRules {
    pub(in crate::upstream) fn new(settings: &config::Upstream) -> Self {
        Self {
            allow: settings.allow.iter().cloned().collect(),
            deny: settings.deny.iter().cloned().collect(),
            capabilities: settings.capabilities.clone(),
        }
    }

    /// Whether the method may be sent to it at all.
    pub(in crate::upstream) fn allow(&self, method: &str) -> bool {
        (self.allow.is_empty() || self.allow.contains(method))
            && (self.deny.is_empty() || !self.deny.contains(method))
    }

    /// Whether the upstream is assumed to have a capability. By default, all but the archive: what
    /// is missing is learned from refusals, but a ledger that goes back to genesis is rare and its
    /// absence shows only as "block not found".
    pub(in crate::upstream) fn grant(&self, capability: Capability) -> bool {
        match &self.capabilities {
            Some(named) => capability.is_granted_by(named),
            None => capability != Capability::Archive,
        }
    }
}

/// A method's name for the log. Clients choose it, so a long one is cut.
fn shown(method: &str) -> &str {
    let end = method.char_indices().nth(LONGEST_NAME);
    end.and_then(|(end, _)| method.get(..end)).unwrap_or(method)
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
            Penalty::Lagging { .. } => {
                self.live.track(&self.policy.health, now, |tracker| {
                    tracker.says_unwell(true);
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

    /// A requested pause. Logged once in a while only: limits come and go by the second.
    fn tell_rest(
        &self,
        scope: Scope,
        method: &str,
        kind: FaultKind,
        begun: PauseBegun,
        now: Instant,
    ) {
        let (upstream, fault) = (self.live.id(), kind.label());
        let (method, whole) = (shown(method), scope == Scope::Upstream);
        let pause_seconds = seconds(begun.pause);
        let subject = if whole { ALL } else { method };
        let news = begun.fresh
            && !is_unknown(method)
            && self.live.errors.lock().is_news("rests", subject, now);
        if news {
            tracing::info!(
                upstream,
                method,
                fault,
                whole,
                pause_seconds,
                "upstream backing off"
            );
        } else {
            tracing::debug!(
                upstream,
                method,
                fault,
                whole,
                pause_seconds,
                "upstream backing off"
            );
        }
    }

    /// Only the operator can fix it, so it is logged once: what is refused (without a method:
    /// everything), and what probably helps. An upstream whose probes fail as well has been logged
    /// already.
    fn tell_refusal(
        &self,
        method: Option<&str>,
        kind: FaultKind,
        status: Option<u16>,
        now: Instant,
    ) {
        let (upstream, fault, cure) = (self.live.id(), kind.label(), cure(kind));
        let made_up = method.is_some_and(is_unknown);
        let method = method.map_or(ALL, shown);
        let known = self.live.health() == Health::Failing;
        let news = !made_up && !known && self.live.errors.lock().is_refused(method, now);
        let what = if method == ALL { "all calls" } else { method };
        let how = match status {
            Some(status) if status != 200 => format!("HTTP {status}"),
            _ => format!("the error {fault}"),
        };
        let of_key = matches!(kind, FaultKind::Unauthorized | FaultKind::Forbidden);
        let told = news && of_key && {
            let served = self.live.hold_off.lock().last_served();
            self.live.errors.lock().is_same_key_trouble(served, now)
        };
        let unfit = match kind {
            FaultKind::BehindTip => Some("is far behind the tip in its answers to"),
            kind => kind.is_timeout().then_some("is slower than others at"),
        };
        if let Some(unfit) = unfit.filter(|_| news) {
            tracing::warn!(
                upstream,
                method,
                cure,
                "{upstream} {unfit} {what} and is avoided for a while; {cure}"
            );
        } else if news && !told {
            self.live.look_soon.notify_one();
            tracing::warn!(
                upstream,
                method,
                fault,
                http_status = status,
                cure,
                "{upstream} refuses {what} with {how}; {cure}"
            );
        } else {
            tracing::debug!(
                upstream,
                method,
                fault,
                http_status = status,
                "{upstream} refuses {what} with {how}"
            );
        }
    }

    /// Changes the hold-off and records whether anything is left in it.
    fn hold_off<T>(&self, now: Instant, change: impl FnOnce(&mut HoldOff) -> T) -> T {
        let mut hold_off = self.live.hold_off.lock();
        let result = change(&mut hold_off);
        self.live
            .doubt(UnfitCause::HoldOff, !hold_off.is_clear(now));
        result
    }

    /// A good answer to a call that began at `started`.
    fn clear_hold_off(
        &self,
        method: &str,
        needs: Option<Capability>,
        started: Instant,
        now: Instant,
    ) {
        if self.live.health() == Health::Failing {
            let limits = &self.policy.health;
            self.live.track(limits, now, Tracker::serves_again);
        }
        let key_taken = self.hold_off(now, |hold_off| {
            if let Some(capability) = needs {
                hold_off.clear_lack(capability);
            }
            hold_off.clear(method, started)
        });
        let upstream = self.live.id();
        let mut errors = self.live.errors.lock();
        let served = errors.served(method);
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

    fn failed(&self, trial: Option<Trial>, now: Instant) {
        self.live.score.failed(now, &self.policy.selection);
        let mut breaker = self.live.breaker.lock();
        let before = breaker.shown();
        breaker.failure(trial, now, &self.policy.breaker);
        self.breaker_changed(before, breaker.shown());
    }

    fn breaker_success(&self, trial: Option<Trial>, now: Instant) {
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
        tracing::info!(
            upstream = self.live.id(),
            from = before.label(),
            to = after.label(),
            "upstream circuit breaker changed"
        );
    }

    /// A live answer named its slot. Most name one that is known already, which matters only for an
    /// upstream that should have advanced.
    pub(in crate::upstream) fn heard_slot(
        &self,
        commitment: Commitment,
        slot: Slot,
        latency: Duration,
        now: Instant,
    ) {
        let stand = self.live.stand();
        let known = stand.seen(commitment).map(|seen| seen.slot);
        let new = known.is_none_or(|known| slot > known);
        let started = now.checked_sub(latency).unwrap_or(now);
        let behind = known.map_or(0, |known| slot.lag_behind(known));
        if behind > self.policy.health.exclude_lag {
            // A single answer may come from one node of many; a metered upstream, whose probes are
            // half a minute apart, is probed again at once.
            self.live.look_soon.notify_one();
        }
        let odd = behind > ODD;
        // One that has jumped is believed again as soon as it shows where it is.
        let suspect = self.live.health() == Health::Suspect;
        if !new && !odd && !suspect && !stand.is_in_question(started) {
            return;
        }
        drop(stand);
        if new {
            self.live.freshen(commitment);
        }
        self.look(&SlotLook::one(
            SightingSource::Answer,
            commitment,
            slot,
            started,
            now,
        ));
    }

    /// Whether an answer that was read at this slot is further behind the tip than an upstream may
    /// be. Whatever is no older than the newest that the upstream has shown is judged with the
    /// upstream itself.
    pub(in crate::upstream) fn is_outdated(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
    ) -> bool {
        let current = || {
            self.live
                .slot(commitment)
                .is_some_and(|known| slot >= known)
        };
        if self.live.health() == Health::Healthy && current() {
            return false;
        }
        let tip = self.cluster.tip(commitment, now);
        tip.is_some_and(|tip| slot.lag_behind(tip) > self.policy.health.exclude_lag)
    }

    /// Compares an observation with the other upstreams.
    pub(in crate::upstream) fn look(&self, look: &SlotLook) {
        self.judge(look, |_| {});
    }

    /// The same with what else the observation showed, for a single verdict on all of it.
    pub(in crate::upstream) fn judge(&self, look: &SlotLook, findings: impl FnOnce(&mut Tracker)) {
        let now = look.at;
        let peers = self.cluster.peers(self.live.id(), now);
        let mut ask = false;
        self.live.track(&self.policy.health, now, |tracker| {
            ask = tracker.look(look, &peers);
            findings(tracker);
        });
        if ask {
            self.live.question(now);
        }
        self.cluster.tick(now);
    }

    /// Closes connections that are not needed, and sets the gauges that calls do not update.
    pub(in crate::upstream) async fn keep_house(&self) {
        let mut tick = interval(HOUSEKEEPING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let live = &self.live;
            live.prune_connections(Instant::now());
            let adaptive = self.settings.adaptive_concurrency;
            let limit = live.concurrency.switch(adaptive, Instant::now());
            live.saturation.limited_to(limit.unwrap_or(usize::MAX));
            live.metrics.concurrency_limit(limit);
            let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
            live.metrics.waiting(&live.connections.by_class());
            let now = Instant::now();
            let ends = live.budget_pace.look(&live.budget, now);
            live.metrics.budget(live.budget.left(now), ends);
            let (busy, idle) = live.open_connections();
            live.metrics.busy.set(gauge(busy));
            live.metrics.idle.set(gauge(idle));
            live.metrics
                .in_flight
                .set(i64::from(live.score.in_flight()));
            let hold_off = live.hold_off.lock();
            live.metrics.holds(&hold_off.holds(Instant::now()));
        }
    }
}
