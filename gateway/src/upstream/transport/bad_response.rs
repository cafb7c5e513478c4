//! What makes bytes no HTTP response.

use crate::framing::BadBody;

/// Largest head of a response, interim responses not counted.
pub(in crate::upstream) const MOST_HEAD: usize = 32 * 1024;

/// Bytes that are not an HTTP response the gateway can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum BadResponse {
    #[error("not an HTTP/1 response head")]
    Head,
    /// An alert of TLS, which servers send whoever does not begin with TLS.
    #[error("TLS where cleartext was expected")]
    Tls,
    #[error("head of the response over {MOST_HEAD} bytes")]
    HeadTooLarge,
    #[error("body length given twice, or not a number")]
    Length,
    #[error("transfer coding other than chunked")]
    Transfer,
    #[error("content coding that the gateway cannot read")]
    Encoded,
    #[error("protocol switched without being asked")]
    Switched,
    #[error(transparent)]
    Body(#[from] BadBody),
}
