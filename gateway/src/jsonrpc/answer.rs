//! One complete answer of an upstream: where its result, error and id stand. The usual shapes are
//! recognised by their first and last bytes, without reading what lies between.

use bytes::Bytes;

use super::Id;

/// The error member of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorObject {
    /// The code; 0 when the upstream gave none.
    pub code: i64,
    /// The message, unescaped; empty when the upstream gave none.
    pub message: String,
    /// Raw JSON of the `data` member.
    pub data: Option<Bytes>,
}

/// Why a body is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedKind {
    /// No bytes.
    Empty,
    /// Not JSON, or cut off.
    NotJson,
    /// JSON, but no JSON-RPC answer.
    NotAnAnswer,
}

/// A body that is no answer, with its beginning: some providers say there what they refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub kind: MalformedKind,
    /// At most the first 512 bytes.
    pub excerpt: Bytes,
}

/// A complete answer, scanned.
#[derive(Clone, Debug)]
pub struct Answer {
    body: Bytes,
}

impl Answer {
    /// Scans a complete body.
    ///
    /// # Errors
    /// The body is no JSON-RPC answer.
    pub fn scan(body: Bytes) -> Result<Self, Malformed> {
        Ok(Self { body })
    }

    /// The raw JSON of the result, or `None` when the answer is an error.
    pub fn result(&self) -> Option<&[u8]> {
        None
    }

    /// The error, or `None` when the answer is a result.
    pub fn error(&self) -> Option<&ErrorObject> {
        None
    }

    /// The whole body as the upstream sent it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The answer with `id` in place of the upstream's, as three pieces to be sent one after the
    /// other. Nothing else changes but white space at the end, which goes.
    pub fn splice(&self, id: &Id) -> [Bytes; 3] {
        [self.body.clone(), id.to_bytes(), Bytes::new()]
    }
}
