//! What an attempt is given and what it brings back, whichever version of HTTP it used.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::jsonrpc::{Answer, MalformedAnswer};
use crate::limit::PermitRequest;
use crate::solana::ReplyHints;
use crate::upstream::stream::UpstreamBodyStream;

/// The bounds of one attempt. The upstream's own connect, write and total limits apply as well.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimits {
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// How long the attempt may wait for a connection that another call uses. Opening one has the
    /// upstream's own limit.
    pub queue: Instant,
    /// From the request sent to the first byte of the answer; also the longest silence within an
    /// answer that is streamed.
    pub first_byte: Duration,
    /// How often an answer that has begun is looked at: if too little came, or it would not be
    /// whole in time, the attempt is over.
    pub progress: Duration,
    /// Larger answers are streamed.
    pub answer_buffer: usize,
    /// Whether the node is told not to look into long-term storage.
    pub ledger_only: bool,
    /// Whether the upstream may see the call twice: reads, and writes that carry a signature.
    pub replayable: bool,
    /// Who goes first where connections are short.
    pub ask: PermitRequest,
}

/// What came back.
#[derive(Debug)]
pub struct UpstreamReply {
    pub status: u16,
    pub hints: ReplyHints,
    pub body: ReplyBody,
    /// From the start of the attempt to the end of the answer, or to its beginning if streamed.
    pub latency: Duration,
    /// Whether the upstream may have seen the call twice, because a connection broke under it.
    pub resent: bool,
}

#[derive(Debug)]
pub enum ReplyBody {
    /// The whole answer, if it is one to this request.
    Complete(Result<Answer, MalformedAnswer>),
    /// The beginning of a large one.
    Streaming {
        head: Bytes,
        /// The length of the whole, if the upstream said.
        length: Option<u64>,
        rest: UpstreamBodyStream,
    },
}
