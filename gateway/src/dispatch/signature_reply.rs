//! The answer to a transaction that landed although its last answer was a refusal, because only the
//! gateway's own repetition found it processed.

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

/// An answer in the form of an upstream's, so that it is handled alike.
pub(super) fn own_answer(result: &str) -> Option<AnswerPayload> {
    let text = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    Answer::scan(Bytes::from(text))
        .ok()
        .map(AnswerPayload::Whole)
}
