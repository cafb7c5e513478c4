//! What a message of a client is answered with.

use bytes::Bytes;

use crate::pubsub::collected::CollectedAnswer;

/// The answer to a message.
#[derive(Debug, Default)]
pub(super) struct MessageReply {
    /// Empty: no answer.
    pub(super) text: Bytes,
    /// Subscriptions whose ids it contains.
    pub(super) makes_known: Vec<u64>,
    /// A subscription was refused, though its parameters are right.
    pub(super) is_refusal: bool,
    /// Counts its bytes until they wait in the outbox.
    pub(super) held: Option<CollectedAnswer>,
}

impl From<Bytes> for MessageReply {
    fn from(text: Bytes) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}
