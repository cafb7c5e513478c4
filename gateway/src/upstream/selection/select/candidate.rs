//! An upstream chosen for one attempt, and recording the outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::limit::BudgetCharge;
use crate::solana::{Class, FaultKind};
use crate::upstream::state::breaker::Trial;
use crate::upstream::state::hold_off::{RefusalKind, question};
use crate::upstream::state::in_flight::InFlightGuard;
use crate::upstream::state::member::StreamedCall;
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

    /// Records a failure of the attempt while it is still in progress.
    pub fn witness(&self) -> FailureReporter {
        FailureReporter {
            upstream: Arc::clone(&self.upstream),
            trial: self.trial,
            written: Arc::clone(&self.written),
        }
    }

    /// To be set once the call is about to be written.
    pub(in crate::upstream) fn written(&self) -> &AtomicBool {
        &self.written
    }

    /// What it costs.
    pub(in crate::upstream) fn charge(&self) -> &BudgetCharge {
        &self.charge.0
    }

    /// As if the call had been written.
    #[cfg(test)]
    pub(crate) fn write(&self) {
        self.written.store(true, Ordering::Relaxed);
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
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Whether the upstream may have seen the call. An attempt that still waits for a connection
    /// says nothing about the upstream.
    pub fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    /// Records the outcome of the attempt, which must then be dropped.
    pub fn record(&self, outcome: &AttemptOutcome<'_>) {
        self.upstream.member.record(outcome, self.trial);
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
