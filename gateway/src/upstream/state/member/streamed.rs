//! What becomes of an answer that streams. Its beginning was good, and it is being passed on; whether it
//! counts as a success is known when its last byte has come. Until then it says nothing: if beginnings
//! counted, an upstream that breaks off every large answer would look well.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use perijove_core::telemetry::seconds;
use tokio::time::Instant;

use super::trouble_log::shown;
use super::{AttemptOutcome, Member};
use crate::solana::{Class, FaultKind, Penalty, Verdict};
use crate::upstream::health::diagnosis::cure;
use crate::upstream::state::breaker::Trial;
use crate::upstream::state::hold_off::FIRST_STREAM_PAUSE;
use crate::upstream::state::in_flight::InFlightGuard;

/// A call whose answer streams.
#[derive(Debug)]
pub(in crate::upstream) struct StreamedCall {
    pub(in crate::upstream) class: Class,
    pub(in crate::upstream) method: Box<str>,
    /// Identifies its parameters.
    pub(in crate::upstream) question: u64,
    pub(in crate::upstream) started: Instant,
    /// From then to the beginning of the answer.
    pub(in crate::upstream) latency: Duration,
    /// The breaker's permission for it, if any.
    pub(in crate::upstream) trial: Option<Trial>,
}

/// The upstream of a streamed answer; the call counts as in progress while it flows. Dropped without
/// an outcome, because the client left, it says nothing.
#[derive(Debug)]
pub(in crate::upstream) struct StreamOrigin {
    member: Arc<Member>,
    /// What was asked, once the beginning of the answer was judged to be good.
    call: Option<StreamedCall>,
    /// It is too old to show that the upstream serves the method.
    outdated: bool,
    #[expect(dead_code, reason = "counts the call as long as the answer flows")]
    in_flight: InFlightGuard,
}

impl StreamOrigin {
    pub(in crate::upstream) fn of(member: &Arc<Member>) -> Self {
        Self {
            member: Arc::clone(member),
            call: None,
            outdated: false,
            in_flight: InFlightGuard::begin(&member.live),
        }
    }

    /// It began well, and was read at this slot.
    pub(in crate::upstream) fn began(&mut self, call: StreamedCall, slot: Option<Slot>) {
        let (member, now) = (&self.member, Instant::now());
        let begun = AttemptOutcome::Good {
            class: &call.class,
            method: &call.method,
            latency: call.latency,
            slot,
        };
        member.adapt(&begun, now);
        self.outdated = member.is_no_sign(&call.class, slot, now);
        if let Some(slot) = slot {
            let commitment = call.class.context.commitment;
            member.heard_slot(commitment, slot, call.latency, now);
        }
        self.call = Some(call);
    }

    /// It was whole.
    pub(in crate::upstream) fn ended_well(mut self) {
        if let Some(call) = self.call.take() {
            self.member.streamed(&call, self.outdated);
        }
    }

    /// It broke off, or was not what it began as.
    pub(in crate::upstream) fn broke_off(mut self, kind: FaultKind) {
        if let Some(call) = self.call.take() {
            self.member.broke_off(&call, kind);
        } else {
            self.member.live.metrics.fault(kind);
            self.member.failed(None, Instant::now());
        }
    }
}

impl Drop for StreamOrigin {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.member.abandon(call.trial);
        }
    }
}

impl Member {
    fn streamed(&self, call: &StreamedCall, outdated: bool) {
        if !self.live.is_clear() && !outdated {
            let now = Instant::now();
            self.hold_off(now, |hold_off| {
                hold_off.streamed(&call.method, call.started);
            });
        }
        let asked = (&call.class, &*call.method);
        self.served(asked, call.latency, call.started, call.trial, outdated);
    }

    /// Each one was lost for its caller: after a handful the method goes elsewhere, whether or not
    /// others are known to do better.
    fn broke_off(&self, call: &StreamedCall, kind: FaultKind) {
        let now = Instant::now();
        let method = &*call.method;
        self.live.metrics.fault(kind);
        self.live.errors.lock().note(method, kind, None, now);
        let verdict = Verdict::transport(kind, &call.class, true);
        match verdict.penalty {
            Penalty::Failure => self.failed(call.trial, now),
            _ => self.abandon(call.trial),
        }
        let pause = self.hold_off(now, |hold_off| {
            hold_off.broke_off(method, call.question, now)
        });
        if let Some(pause) = pause {
            self.live.metrics.exclusions.inc();
            self.tell_broken(method, kind, pause, now);
        } else {
            tracing::debug!(
                upstream = self.live.id(),
                method = shown(method),
                fault = kind.label(),
                "upstream response broke off mid-stream"
            );
        }
    }

    /// Logged once in a while.
    fn tell_broken(&self, method: &str, kind: FaultKind, pause: Duration, now: Instant) {
        let (upstream, fault, cure) = (self.live.id(), kind.label(), cure(kind));
        let (method, pause_seconds) = (shown(method), seconds(pause));
        let first = pause <= FIRST_STREAM_PAUSE;
        if first && self.live.errors.lock().is_refused(method, now) {
            tracing::warn!(
                upstream,
                method,
                fault,
                pause_seconds,
                cure,
                "{upstream} breaks off its answers to {method} and is avoided for a while; {cure}"
            );
        } else {
            tracing::debug!(
                upstream,
                method,
                fault,
                pause_seconds,
                "upstream avoided: it breaks off its answers"
            );
        }
    }
}
