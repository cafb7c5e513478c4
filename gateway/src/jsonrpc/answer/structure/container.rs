//! What the search finds out.

/// What is known of a text that is one object or array and nothing else, as far as brackets and strings
/// go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jsonrpc::answer) struct OneContainer {
    /// There are no control characters (white space between tokens is among them), no backslashes and
    /// nothing but ASCII.
    pub(in crate::jsonrpc::answer) is_plain: bool,
    /// Somewhere two tokens follow each other that never do in JSON, as in `[1,,2]` or `[{}{}]`.
    pub(in crate::jsonrpc::answer) is_odd: bool,
}
