//! Judging answers to a call that is under way, or that nobody waits for any more.

use std::time::Duration;

use perijove_core::UnixClock;

use super::answer_age::AnswerAge;
use super::answer_payload::{AnswerPayload, JudgedCall};
use super::judge::RpcJudge;
use crate::dispatch::operation::Judge;
use crate::jsonrpc::Call;
use crate::solana::{Class, FaultKind};
use crate::upstream::{Candidate, FailureReporter, RpcReply, RpcRequest, TransportFault, Upstream};

/// What judges as [`RpcJudge`] does: a call under way, and what is kept of it.
pub(super) trait AsRpcJudge {
    fn as_judge(&self) -> RpcJudge<'_>;
}

impl<J: AsRpcJudge + Sync> Judge for J {
    type Chosen = Candidate;
    type Request = RpcRequest;
    type Answer = AnswerPayload;
    type Freshness = AnswerAge;

    fn judge(
        &self,
        candidate: &mut Candidate,
        reply: Result<RpcReply, TransportFault>,
    ) -> JudgedCall {
        self.as_judge().judge(candidate, reply)
    }

    fn observe_latency(&self, upstream: &Upstream, latency: Duration, quantile: f64) {
        self.as_judge().observe_latency(upstream, latency, quantile);
    }

    fn hold_against(&self, upstream: &Upstream, kind: FaultKind) {
        self.as_judge().hold_against(upstream, kind);
    }

    fn never_answered(&self, witness: &FailureReporter, _served: bool) {
        self.as_judge().never_answered(witness);
    }
}

/// What is kept of a call to judge answers that come too late.
pub(in crate::dispatch) struct DetachedCall {
    pub(super) call: Call,
    pub(super) class: Class,
    pub(super) clock: UnixClock,
}

impl AsRpcJudge for DetachedCall {
    fn as_judge(&self) -> RpcJudge<'_> {
        RpcJudge {
            call: &self.call,
            class: &self.class,
            clock: self.clock,
        }
    }
}
