//! The path of a request from its body to its answer, as one readable list. It knows bytes, not
//! sessions: the `edge` reads and writes them.
//!
//! The list for JSON-RPC is in `call`; `batch` runs it for every entry of a batch. `price` serves
//! prices from ingest, `jupiter` the rest of Jupiter's API.

mod accounts;
mod admission;
mod batch;
mod batch_order;
mod cache_use;
mod cacheable;
mod call;
mod call_gate;
mod call_plan;
mod call_reply;
mod fetched;
mod forget;
mod hot_accounts;
mod hot_reads;
mod join;
mod jupiter;
mod memory_lookup;
mod metrics;
mod on_cancel;
mod price;
mod remote_lookup;
mod request;
mod response;
mod shared;
mod shared_outcome;
mod store;
mod tee;
mod turn;

use bytes::Bytes;

pub use cache_use::{CacheStatus, CacheUse};
pub use hot_reads::{HotRead, HotReads};
pub use jupiter::{ApiCall, ApiContent, ApiResponse, Unanswered};
pub use metrics::{ClassStatus, PipelineMetrics};
pub use on_cancel::CLIENT_GONE;
pub use request::Request;
pub use response::{
    AnswerSource, Provenance, RequestSummary, Response, ResponseBody, ResponseStream,
    ResponseStreamFault,
};
pub use shared::Pipeline;

use crate::context::RequestContext;
use crate::error::Rejection;
use crate::jsonrpc::{self, Id, ParseError, RequestEntry, RequestPayload};

impl Request {
    /// Answers a JSON-RPC body: a call, a notification or a batch.
    pub async fn answer(self, body: Bytes) -> Response {
        self.pipeline.forget_strangers(&self.snapshot.pool);
        let payload = match jsonrpc::parse(&body, self.snapshot.max_batch(self.plan())) {
            Ok(payload) => payload,
            Err(unreadable) => return self.refused(self.unreadable(unreadable)),
        };
        // Without limits, nothing is allocated for them.
        let admitted = match self.plan() {
            None if self.context.consumer.is_none() => None,
            _ => match Box::pin(self.admit(&payload)).await {
                Ok(admitted) => admitted,
                Err(refused) => return self.refused(refused),
            },
        };
        let mut response = match payload {
            RequestPayload::Single(entry) => {
                let reply = call::answer(&self, entry, || CLIENT_GONE).await;
                reply.into_response()
            }
            RequestPayload::Batch(batch) if batch.is_empty() => Response::empty("batch"),
            RequestPayload::Batch(batch) => Box::pin(batch::answer(self, batch, body)).await,
        };
        response.belongs_to(admitted);
        response
    }

    /// Answers one entry of a batch that was admitted as a whole.
    pub async fn answer_entry(self, entry: RequestEntry) -> Response {
        self.pipeline.forget_strangers(&self.snapshot.pool);
        let reply = call::answer(&self, entry, || CLIENT_GONE).await;
        reply.into_response()
    }

    /// Says what is left of the caller's plan where the refusal does not.
    fn refused(&self, mut response: Response) -> Response {
        if response.remaining.is_none() && self.plan().is_some() {
            let RequestContext {
                consumer, address, ..
            } = &*self.context;
            response.remaining =
                self.pipeline
                    .remaining(&self.snapshot, consumer.as_ref(), *address);
        }
        response
    }

    fn unreadable(&self, error: ParseError) -> Response {
        let (rejection, method) = match error {
            ParseError::Json => (Rejection::Parse, "other"),
            ParseError::Utf8 { .. } => (Rejection::BodyNotUtf8, "other"),
            ParseError::TooManyCalls { calls, limit } => {
                (Rejection::TooManyCalls { calls, limit }, "batch")
            }
        };
        self.pipeline.metrics.no_call(rejection.label());
        Response::rejected(&rejection, &Id::null(), method)
    }
}
