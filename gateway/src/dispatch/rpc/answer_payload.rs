//! The answer of a node to a call, as dispatch hands it on.

use bytes::Bytes;

use super::answer_age::AnswerAge;
use crate::dispatch::operation::JudgedAttempt;
use crate::jsonrpc::{self, Answer};
use crate::upstream::UpstreamBodyStream;

/// The conclusion about one attempt at a call.
pub(super) type JudgedCall = JudgedAttempt<AnswerPayload, AnswerAge>;

/// The answer of one upstream, in the form that is passed on.
#[derive(Debug)]
pub enum AnswerPayload {
    /// The whole answer, scanned.
    Whole(Answer),
    /// An answer too large to be buffered: its beginning, and the rest as it arrives.
    Stream {
        head: Bytes,
        length: Option<u64>,
        rest: UpstreamBodyStream,
    },
}

impl AnswerPayload {
    /// The raw JSON of the result; of an answer that streams, its beginning.
    pub(super) fn result(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(answer) => answer.result(),
            Self::Stream { head, .. } => jsonrpc::result_head(head),
        }
    }
}
