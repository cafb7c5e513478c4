//! An answer of an upstream that is not JSON-RPC, where all that could be asked refuse the call.

use bytes::Bytes;

/// An answer that is not JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPage {
    pub status: u16,
    pub content_type: &'static str,
    /// Of an RPC node its beginning, at most 512 bytes.
    pub body: Bytes,
}

impl RefusedPage {
    /// Its beginning, for an error message.
    pub(super) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.trim().chars().take(200).collect()
    }
}
