//! Why a payload is not a valid message.

use strum::{IntoStaticStr, VariantNames};

/// What is wrong with a payload. The text never shows the payload itself.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum DecodeError {
    /// No payload, or one of no bytes.
    #[error("the record has no payload")]
    Empty,
    /// More bytes than any message may have.
    #[error("the message has {found} bytes, more than the limit of {limit}")]
    TooLarge { found: usize, limit: usize },
    /// More parts than memory is allocated for.
    #[error("more than {limit} {what}, which is more than any block has")]
    TooMany { what: &'static str, limit: usize },
    /// Not protobuf, or another message.
    #[error("not protobuf of this kind: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Not JSON, or another message.
    #[error("not JSON of this kind: {0}")]
    Json(#[from] serde_json::Error),
    /// Without its slot a message cannot be placed.
    #[error("the message has no slot")]
    NoSlot,
}

impl DecodeError {
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    /// The label in metrics and in the dead-letter store.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}
