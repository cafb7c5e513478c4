//! The limits and the result of an attempt, whatever the HTTP version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::limit::{PermitClaim, PermitRequest, Urgency};
use crate::solana::ReplyHints;
use crate::trace::CorrelationHeaders;
use crate::upstream::client::stream::UpstreamBodyStream;

/// The limits of one attempt. The upstream's own connect, write and total limits apply as well.
#[derive(Clone, Debug)]
pub struct AttemptLimits {
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// How long the attempt may wait for a connection that another call uses. Opening one has the
    /// upstream's own limit.
    pub queue: Instant,
    /// From the request sent to the first byte of the answer; also the longest silence within an
    /// answer that is streamed, and how often the pace of one is looked at.
    pub first_byte: Duration,
    /// How often an answer that has begun is checked: if too little arrived, or it would not be
    /// complete in time, the attempt ends.
    pub progress: Duration,
    /// Larger answers are streamed.
    pub answer_buffer: usize,
    /// Whether the call may be executed twice: reads, and writes that carry a signature.
    pub replayable: bool,
    /// Class and consumer, which decide who gets a free connection first.
    pub ask: PermitRequest,
    /// That of callers who wait for the same call.
    pub urgency: Option<Arc<Urgency>>,
    /// What the upstream is told of the request that it is asked for.
    pub headers: Option<Box<CorrelationHeaders>>,
}

impl AttemptLimits {
    /// What it asks for where connections are short.
    pub(in crate::upstream) fn claim(&self) -> PermitClaim<'_> {
        PermitClaim::new(self.ask, self.urgency.as_deref())
    }
}

/// What came back. What a whole answer is read as, and which fields are handed on, the request says
/// ([`super::WireRequest`]).
#[derive(Debug)]
pub struct UpstreamReply<Whole, Fields> {
    pub status: u16,
    pub hints: ReplyHints,
    /// Fields of the head that are handed on.
    pub fields: Fields,
    pub body: ReplyBody<Whole>,
    /// From the start of the attempt to the end of the answer, or to its beginning if streamed.
    pub latency: Duration,
}

#[derive(Debug)]
pub enum ReplyBody<Whole> {
    /// The whole answer.
    Complete(Whole),
    /// The beginning of a large one.
    Streaming {
        head: Bytes,
        /// The length of the whole, if the upstream said.
        length: Option<u64>,
        rest: UpstreamBodyStream,
    },
}
