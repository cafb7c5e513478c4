//! Answers of the gateway's own, in the shape upstreams give them.

use bytes::Bytes;

use super::answer_payload::AnswerPayload;
use crate::jsonrpc::{Answer, Call};
use crate::solana;

/// The answer to a transaction that is refused because it was processed before: what `sendTransaction`
/// answers, the first signature. `None` if it cannot be read.
pub(super) fn signature(call: &Call) -> Option<AnswerPayload> {
    let signature = solana::first_signature(call.params()?)?;
    own_answer(&format!("\"{signature}\""))
}

/// An answer in the shape upstreams give it, so that it takes the same way.
pub(super) fn own_answer(result: &str) -> Option<AnswerPayload> {
    let text = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    Answer::scan(Bytes::from(text))
        .ok()
        .map(AnswerPayload::Whole)
}
