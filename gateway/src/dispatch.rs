//! Gets one call answered: attempts, hedges and retries on the next candidates, within the caller's
//! deadline and a retry budget.
//!
//! Not here: what a call is (`solana::class`), which upstreams could serve it (`upstream::pool`),
//! what their answers mean (`solana::judge`), and kept answers (`cache`).

mod archive_budget;
mod attempt;
mod attempt_record;
mod attempts;
mod best_failure;
mod blame;
mod budget;
mod floor;
mod history;
mod metrics;
mod missing_history;
mod read_session;
mod signature_reply;
mod state;
mod unknown_methods;

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

pub use attempt::AnswerPayload;
pub use attempt_record::{AttemptRecord, OUTCOMES};
pub use budget::RetryBudget;
pub use floor::{ClientKey, Floors};
pub use metrics::DispatchMetrics;
pub use read_session::{ReadSession, ToldHeads};
pub use state::DispatchState;

use crate::config;
use crate::error::Rejection;
use crate::jsonrpc::Call;
use crate::limit::PermitRequest;
use crate::solana::{Class, FaultKind};
use crate::upstream::{DeeperUpstreams, Pool, Upstream};
use attempts::Attempts;

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

/// One call to be answered.
#[derive(Debug)]
pub struct Dispatch<'a> {
    pub pool: &'a Pool,
    pub settings: &'a Settings,
    pub state: &'a DispatchState,
    pub call: &'a Call,
    pub class: &'a Class,
    pub session: &'a ReadSession,
    /// Class and consumer, which decide who gets a free connection first.
    pub ask: PermitRequest,
    /// When the request arrived.
    pub started: Instant,
    /// The end of the caller's time.
    pub deadline: Instant,
    /// Upstreams are told not to look into long-term storage.
    pub ledger_only: bool,
    /// Only upstreams that may have what another lacks; see `history`.
    pub deeper: Option<DeeperUpstreams<'a>>,
}

/// What the caller gets.
#[derive(Debug)]
pub enum Delivered {
    Payload(AnswerPayload),
    Rejected(Rejection),
}

/// How the answer came about, for logs, headers and metrics.
#[derive(Debug, Default)]
pub struct AttemptSummary {
    pub attempts: u32,
    pub hedged: bool,
    /// The upstream of the delivered answer.
    pub upstream: Option<Arc<Upstream>>,
    /// The first upstream that failed, if a retry followed.
    pub failed_over_from: Option<Arc<Upstream>>,
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
    /// It says that there is nothing, and no upstream with more history has confirmed that: not to
    /// be kept.
    pub unproven: bool,
}

impl Dispatch<'_> {
    /// Runs the call to its end. Dropping the future cancels the attempts in flight.
    pub async fn run(&self) -> (Delivered, AttemptSummary) {
        let mut flight = Attempts::new(self);
        let (delivered, summary) = flight.run().await;
        drop(flight);
        self.look_deeper(delivered, summary).await
    }

    /// Why there was no candidate at all.
    fn nobody(&self) -> Rejection {
        if self.pool.allows(self.call.method()) {
            Rejection::NoUpstream {
                reason: "no upstream is available",
            }
        } else {
            Rejection::MethodRefused
        }
    }
}
