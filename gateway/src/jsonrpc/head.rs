//! Telling from the beginning of an answer whether it is a result or an error.

/// What the beginning of an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A result that is not `null`.
    Result,
    /// An error.
    Error,
    /// Neither yet, or no JSON-RPC answer.
    Unknown,
}

/// Looks at the beginning of an answer.
pub fn head_kind(_head: &[u8]) -> HeadKind {
    HeadKind::Unknown
}
