//! A response without framework types: status, body and the facts for the log line.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use perijove_core::Pubkey;

use super::cache_use::CacheStatus;
use crate::dispatch::CallSummary;
use crate::error::{JSON, Rejection};
use crate::jsonrpc::Id;
use crate::limit::{AdmittedRequest, Meter, Remaining};
use crate::solana::FaultKind;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub body: ResponseBody,
    /// Whole seconds.
    pub retry_after: Option<u64>,
    /// The origin if no upstream gave the answer.
    pub provenance: Option<Provenance>,
    /// The caller's admission, held until the answer is written.
    pub admitted: Option<AdmittedRequest>,
    /// What is left of the plan of a refused caller.
    pub remaining: Option<Remaining>,
    pub summary: RequestSummary,
}

/// The origin of an answer that no upstream has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    pub source: AnswerSource,
    /// Age of the oldest item in it.
    pub age: Option<Duration>,
    /// The tokens that are left out because neither could be asked for their price.
    pub unavailable: Vec<Pubkey>,
}

/// The source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSource {
    /// Ingest, through Redis.
    Ingest,
    /// Jupiter.
    Jupiter,
    /// Ingest for some, Jupiter for others.
    Both,
    /// None: Redis did not answer, and there is no Jupiter with prices.
    Nobody,
}

impl AnswerSource {
    /// The value of the `x-perijove-source` header.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Jupiter => "jupiter",
            Self::Both => "ingest, jupiter",
            Self::Nobody => "none",
        }
    }
}

/// What happened, for headers, logs and metrics.
#[derive(Debug)]
pub struct RequestSummary {
    /// Label of the method, or `batch`.
    pub method: &'static str,
    pub calls: usize,
    pub outcome: &'static str,
    pub attempt_summary: CallSummary,
    /// The cache status; `None` if it differs within a batch or does not apply.
    pub cache: Option<CacheStatus>,
}

/// The edge adds the newline that ends every answer of a node.
#[derive(Debug)]
pub enum ResponseBody {
    Empty,
    Whole(Bytes),
    /// Unchanged, byte for byte.
    Verbatim(Bytes),
    /// One after the other; the bytes are shared with other responses.
    Shared(Box<[Bytes; 3]>),
    Stream {
        /// About how long the body is, if known: enough to decide on compression.
        length: Option<u64>,
        stream: ResponseStream,
    },
}

impl ResponseBody {
    /// Bytes of it that are available.
    fn len(&self) -> usize {
        match self {
            Self::Empty | Self::Stream { .. } => 0,
            Self::Whole(bytes) | Self::Verbatim(bytes) => bytes.len(),
            Self::Shared(pieces) => pieces.iter().map(Bytes::len).sum(),
        }
    }
}

/// A body that is not held in memory. Reading it slowly slows down the upstream.
pub struct ResponseStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, ResponseStreamFault>> + Send>>,
    /// Counts its bytes if the caller's plan limits them.
    meter: Option<Meter>,
}

/// Why a streamed body ended early. The response has begun, so the connection must be cut.
#[derive(Debug, thiserror::Error)]
pub enum ResponseStreamFault {
    #[error("the upstream failed while its answer was streamed: {}", .0.label())]
    Upstream(FaultKind),
    #[error("a streamed answer is not the JSON-RPC answer it began as")]
    Malformed,
}

impl ResponseStream {
    pub(super) fn new(
        chunks: impl Stream<Item = Result<Bytes, ResponseStreamFault>> + Send + 'static,
    ) -> Self {
        Self {
            chunks: Box::pin(chunks),
            meter: None,
        }
    }

    /// The next bytes, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, ResponseStreamFault>> {
        let next = self.chunks.next().await;
        if let (Some(Ok(bytes)), Some(meter)) = (&next, &self.meter) {
            meter.count(bytes.len());
        }
        next
    }
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream").finish_non_exhaustive()
    }
}

impl Response {
    /// Makes it the answer to an admitted request; its bytes are counted if the plan limits them.
    pub fn belongs_to(&mut self, admitted: Option<AdmittedRequest>) {
        let meter = admitted
            .as_ref()
            .and_then(|admitted| admitted.meter.clone());
        match (&mut self.body, meter) {
            (_, None) => {}
            (ResponseBody::Stream { stream, .. }, meter) => stream.meter = meter,
            (whole, Some(meter)) => meter.count(whole.len()),
        }
        self.admitted = admitted;
    }

    /// A 200 without a body: an empty batch, or notifications only.
    pub fn empty(method: &'static str) -> Self {
        let summary = RequestSummary {
            method,
            calls: 0,
            outcome: "empty",
            attempt_summary: CallSummary::default(),
            cache: None,
        };
        Self {
            status: 200,
            content_type: JSON,
            body: ResponseBody::Empty,
            retry_after: None,
            provenance: None,
            admitted: None,
            remaining: None,
            summary,
        }
    }

    pub fn rejected(rejection: &Rejection, id: &Id, method: &'static str) -> Self {
        let (body, content_type) = rejection.body(id);
        let outcome = rejection.label();
        Self {
            status: rejection.status(),
            content_type,
            body: ResponseBody::Whole(body),
            retry_after: rejection.retry_after(),
            provenance: None,
            admitted: None,
            remaining: rejection.remaining(),
            summary: RequestSummary {
                method,
                calls: 0,
                outcome,
                attempt_summary: CallSummary::default(),
                cache: None,
            },
        }
    }
}
