//! What becomes of a request: an answer, or a refusal in the gateway's own name.

use crate::error::Rejection;

/// What the caller gets.
#[derive(Debug)]
pub enum Delivered<Answer> {
    Payload(Answer),
    Rejected(Rejection),
}
