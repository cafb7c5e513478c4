//! An upstream chosen for one attempt, and what is recorded of it.

use std::sync::Arc;

use super::question;
use crate::solana::FaultKind;
use crate::upstream::breaker::Trial;
use crate::upstream::hold_off::Refused;
use crate::upstream::live::InFlight;
use crate::upstream::{Outcome, Upstream};

/// An upstream chosen for one attempt. While it lives the call counts as under way; if it is
/// dropped without [`Candidate::record`] nothing is held against the upstream.
pub struct Candidate {
    pub(super) upstream: Arc<Upstream>,
    pub(super) trial: Option<Trial>,
    pub(super) forced: bool,
    #[expect(dead_code, reason = "counts the call as long as the candidate lives")]
    pub(super) in_flight: InFlight,
}

impl Candidate {
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Whether the upstream is unfit and was chosen for want of a better one.
    pub fn is_forced(&self) -> bool {
        self.forced
    }

    /// What it takes to record a failure of the attempt while it is still under way.
    pub fn witness(&self) -> Witness {
        Witness {
            upstream: Arc::clone(&self.upstream),
            trial: self.trial,
        }
    }

    /// Records what became of the attempt. Not to be called for attempts that were cancelled: they
    /// say nothing.
    pub fn record(&mut self, outcome: &Outcome<'_>) {
        self.upstream.member.record(outcome, self.trial.take());
    }
}

/// Speaks for an attempt whose [`Candidate`] is with the attempt.
pub struct Witness {
    upstream: Arc<Upstream>,
    trial: Option<Trial>,
}

impl Witness {
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Records what became of the attempt, which must then be dropped.
    pub fn record(&self, outcome: &Outcome<'_>) {
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
        let refused = Refused {
            question: question(params),
            policy,
        };
        self.member.refused(method, refused, kind);
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.upstream.member.abandon(self.trial.take());
    }
}
