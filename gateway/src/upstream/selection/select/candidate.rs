//! An upstream chosen for one attempt, and recording the outcome.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::limit::BudgetCharge;
use crate::solana::{Class, FaultKind};
use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::{ConnectionRoute, ReplyTo, RequestCost, UpstreamLine, WireRequest};
use crate::upstream::peer::{AttemptWitness, ChosenPeer};
use crate::upstream::state::breaker::Trial;
use crate::upstream::state::hold_off::{RefusalKind, question};
use crate::upstream::state::in_flight::InFlightGuard;
use crate::upstream::state::member::StreamedCall;
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::{AttemptOutcome, Upstream, UpstreamBodyStream};

/// An upstream chosen for one attempt. While it lives the call counts as in progress; if it is
/// dropped without [`Candidate::record`] nothing counts against the upstream.
pub struct Candidate {
    pub(super) upstream: Arc<Upstream>,
    pub(super) trial: Option<Trial>,
    /// The upstream is unhealthy and was chosen for lack of a better one.
    #[cfg(test)]
    pub(super) forced: bool,
    /// Its cost, which is refunded if it is not sent.
    pub(super) charge: BudgetHold,
    /// The call is being written, and no longer waits for a connection.
    pub(super) written: Arc<AtomicBool>,
    #[expect(dead_code, reason = "counts the call as long as the candidate lives")]
    pub(super) in_flight: InFlightGuard,
}

/// What was taken from a budget; refunded unless the call is sent.
#[derive(Debug)]
pub(super) struct BudgetHold(pub(super) BudgetCharge);

impl Drop for BudgetHold {
    fn drop(&mut self) {
        self.0.refund();
    }
}

impl Candidate {
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Its answer began well and streams: the outcome is recorded when that is over. `latency` and
    /// `slot` are those of the beginning.
    pub fn streams(
        &mut self,
        rest: &mut UpstreamBodyStream,
        class: &Class,
        (method, params): (&str, Option<&[u8]>),
        latency: Duration,
        slot: Option<Slot>,
    ) {
        let now = Instant::now();
        let call = StreamedCall {
            class: *class,
            method: method.into(),
            question: question(params),
            started: now.checked_sub(latency).unwrap_or(now),
            latency,
            trial: self.trial.take(),
        };
        rest.began(call, slot);
    }

    /// Records the outcome of the attempt. Not to be called for cancelled attempts: they say
    /// nothing.
    pub fn record(&mut self, outcome: &AttemptOutcome<'_>) {
        self.upstream.member.record(outcome, self.trial.take());
    }
}

/// Reports on an attempt whose [`Candidate`] is with the attempt.
pub struct FailureReporter {
    upstream: Arc<Upstream>,
    trial: Option<Trial>,
    written: Arc<AtomicBool>,
}

impl FailureReporter {
    /// Records the outcome of the attempt, which must then be dropped.
    pub fn record(&self, outcome: &AttemptOutcome<'_>) {
        self.upstream.member.record(outcome, self.trial);
    }
}

impl ChosenPeer for Candidate {
    type Peer = Upstream;
    type Witness = FailureReporter;

    fn peer(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn witness(&self) -> FailureReporter {
        FailureReporter {
            upstream: Arc::clone(&self.upstream),
            trial: self.trial,
            written: Arc::clone(&self.written),
        }
    }

    async fn attempt<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let upstream = &self.upstream;
        let live = upstream.state();
        let line = UpstreamLine {
            wire: &upstream.member.wire,
            connections: &live.connections,
            http2: live.http2.as_ref(),
            saturation: Some(&live.saturation),
            opened: &live.metrics.opened,
            connect_time: &live.metrics.connect_time,
            broken: &live.metrics.broken,
            written: Some(&self.written),
            cost: RequestCost::Of(&self.charge.0),
        };
        let mut timer = pin!(None);
        let route = ConnectionRoute::Balanced(&upstream.balancer);
        let mut reply = line.call(request, limits, route, &mut timer).await?;
        if let ReplyBody::Streaming { rest, .. } = &mut reply.body {
            rest.is_from(&upstream.member);
        }
        Ok(reply)
    }

    #[cfg(test)]
    fn write(&self) {
        self.written.store(true, Ordering::Relaxed);
    }
}

impl AttemptWitness for FailureReporter {
    type Peer = Upstream;

    fn peer(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }
}

impl Upstream {
    /// It refused or failed a call that another upstream then served.
    pub fn refused(&self, method: &str, params: Option<&[u8]>, kind: FaultKind) {
        let policy = matches!(
            kind,
            FaultKind::MethodNotFound | FaultKind::MethodDisabled | FaultKind::PolicyRefused
        );
        let refused = RefusalKind {
            question: question(params),
            policy,
        };
        self.member.refused(method, refused, kind);
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if self.written.load(Ordering::Relaxed) {
            self.charge.0 = BudgetCharge::default();
        }
        self.upstream.member.abandon(self.trial.take());
    }
}
