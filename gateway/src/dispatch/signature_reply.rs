//! The answer to a transaction that landed although its last answer was a refusal, because only our
//! own repetition found it processed.

use bytes::Bytes;

use super::Dispatch;
use super::attempt::AnswerPayload;
use crate::jsonrpc::Answer;
use crate::solana;

impl Dispatch<'_> {
    /// What `sendTransaction` answers: the first signature.
    pub(super) fn signature(&self) -> Option<AnswerPayload> {
        let signature = solana::first_signature(self.call.params()?)?;
        own_answer(&format!("\"{signature}\""))
    }
}

/// An answer in the shape upstreams give it, so that it takes the same way.
pub(super) fn own_answer(result: &str) -> Option<AnswerPayload> {
    let text = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    Answer::scan(Bytes::from(text))
        .ok()
        .map(AnswerPayload::Whole)
}
