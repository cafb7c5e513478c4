//! What becomes of a request: an answer, or a refusal in the gateway's own name.

use super::rpc::AnswerPayload;
use crate::error::Rejection;

/// What the caller gets.
#[derive(Debug)]
pub enum Delivered<Answer = AnswerPayload> {
    Payload(Answer),
    Rejected(Rejection),
}
