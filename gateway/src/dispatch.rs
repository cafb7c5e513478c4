//! Gets one request answered: attempts, hedges and retries on the next candidate, inside the caller's
//! deadline and a retry budget. What a request is, an `Operation` says; JSON-RPC calls are
//! the first (`rpc`).
//!
//! Not here: what a call is (`solana::class`), which upstreams could serve it (`upstream::selection`),
//! what their answers mean (`solana::judge`), and kept answers (`cache`).

mod attempt;
mod attempt_record;
mod attempt_summary;
mod attempts;
mod best_failure;
mod blame;
mod budget;
mod delivered;
mod jupiter;
mod limited_calls;
mod metrics;
mod operation;
mod request;
mod rpc;
mod settings;
mod state;

pub use attempt_record::{AttemptRecord, OUTCOMES};
pub use attempt_summary::AttemptSummary;
pub use budget::RetryBudget;
pub use delivered::Delivered;
pub use jupiter::{JupiterAnswer, JupiterCall, JupiterJudge, SingleAttempt, SingleResult};
pub use limited_calls::LimitedCalls;
pub use metrics::DispatchMetrics;
pub use request::Dispatch;
pub use rpc::{
    AnswerNotes, AnswerPayload, CallSummary, Floors, ReadSession, RpcCall, RpcMemory, ShownHeads,
    ToldHeads,
};
pub use settings::Settings;
pub use state::DispatchState;
