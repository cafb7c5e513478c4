//! Gets one request answered: attempts, hedges and retries on the next candidate, inside the caller's
//! deadline and a retry budget. What a request is, an `Operation` says; JSON-RPC calls are
//! the first (`rpc`).
//!
//! Not here: what a call is (`solana::class`), which upstreams could serve it (`upstream::selection`),
//! what their answers mean (`solana::judge`), and kept answers (`cache`).

mod attempt;
mod attempt_record;
mod attempts;
mod best_failure;
mod blame;
mod budget;
mod jupiter;
mod metrics;
mod operation;
mod peer;
mod rpc;
mod state;

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;
use tracing::Span;

pub use attempt_record::{AttemptRecord, OUTCOMES};
pub use budget::RetryBudget;
pub use jupiter::{JupiterAnswer, JupiterCall, JupiterJudge, SingleAttempt, SingleResult};
pub use metrics::DispatchMetrics;
pub use rpc::{AnswerPayload, Floors, ReadSession, RpcCall, RpcMemory, ShownHeads, ToldHeads};
pub use state::DispatchState;

use crate::config;
use crate::context::RequestContext;
use crate::error::Rejection;
use crate::solana::FaultKind;
use crate::upstream::Upstream;

/// How hard to try; part of a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub retry: config::Retry,
    pub hedge: config::Hedge,
    pub history: config::History,
    pub selection: config::Selection,
    /// Answers up to this many bytes are buffered and checked as a whole; larger ones stream.
    pub answer_buffer: usize,
}

/// One request to be answered.
#[derive(Debug)]
pub struct Dispatch<'a, O> {
    pub operation: O,
    pub settings: &'a Settings,
    pub state: &'a DispatchState,
    /// The request that it is part of.
    pub context: &'a RequestContext,
    /// What its attempts are recorded below.
    pub span: &'a Span,
    /// When the request arrived.
    pub started: Instant,
    /// The end of the caller's time.
    pub deadline: Instant,
}

/// What the caller gets.
#[derive(Debug)]
pub enum Delivered<Answer = AnswerPayload> {
    Payload(Answer),
    Rejected(Rejection),
}

/// How the answer came about, for logs, headers and metrics.
#[derive(Debug)]
pub struct AttemptSummary<Peer = Upstream> {
    pub attempts: u32,
    pub hedged: bool,
    /// The upstream of the delivered answer.
    pub upstream: Option<Arc<Peer>>,
    /// The first upstream that failed, if a retry followed.
    pub failed_over_from: Option<Arc<Peer>>,
    /// The slot that upstream was known to have reached before it was asked, at the call's
    /// commitment.
    pub reached: Option<Slot>,
    /// What the delivered answer shows its client of the head of the chain.
    pub told_heads: ToldHeads,
    /// The last fault.
    pub fault: Option<FaultKind>,
    /// Attempts that did not give the delivered answer.
    pub others: Vec<AttemptRecord>,
    /// Number and duration of the attempt that did.
    pub won: Option<(u32, Duration)>,
    /// Why some good answer was not delivered at once; of the one that is delivered for want of a
    /// better.
    pub doubt: Option<FaultKind>,
    /// It says that there is nothing, and no upstream with more history has confirmed that: not to
    /// be kept.
    pub unproven: bool,
}

/// By hand, because the derived one would ask for an upstream that has a default.
impl<Peer> Default for AttemptSummary<Peer> {
    #[expect(
        clippy::default_trait_access,
        reason = "named, the heads of RPC would be something that this file depends on"
    )]
    fn default() -> Self {
        Self {
            attempts: 0,
            hedged: false,
            upstream: None,
            failed_over_from: None,
            reached: None,
            told_heads: Default::default(),
            fault: None,
            others: Vec::new(),
            won: None,
            doubt: None,
            unproven: false,
        }
    }
}

impl<Peer> AttemptSummary<Peer> {
    /// Whether the answer may be kept for others.
    pub fn may_be_kept(&self) -> bool {
        let in_doubt = matches!(
            self.doubt,
            Some(FaultKind::BehindTip | FaultKind::SlotInDoubt)
        );
        !self.unproven && !in_doubt
    }
}
