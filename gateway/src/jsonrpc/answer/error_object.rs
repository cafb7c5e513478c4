//! What an upstream says went wrong.

use bytes::Bytes;

/// The error member of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorObject {
    /// The code; 0 when the upstream gave none.
    pub code: i64,
    /// The message, unescaped; empty when the upstream gave none.
    pub message: String,
    /// Raw JSON of the `data` member.
    pub data: Option<Bytes>,
}
