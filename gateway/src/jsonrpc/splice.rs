//! Exchanging the id of an answer that streams by, in constant memory.

use bytes::Bytes;

use super::{Id, Malformed};

/// Replaces the id in a stream of chunks.
#[derive(Debug)]
pub struct Splicer {
    id: Bytes,
}

impl Splicer {
    /// For one answer to the call with `id`.
    pub fn new(id: &Id) -> Self {
        Self { id: id.to_bytes() }
    }

    /// Takes the next chunk of the upstream's body and appends to `out` what can be sent.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        out.push(chunk);
    }

    /// Takes the end of the upstream's body and appends to `out` what was held back.
    ///
    /// # Errors
    /// What went through was no complete JSON-RPC answer.
    pub fn finish(self, out: &mut Vec<Bytes>) -> Result<(), Malformed> {
        out.push(self.id);
        Ok(())
    }
}
