//! Which RPC methods the gateway serves at all.

/// Methods for the gateway as a whole; each upstream has lists of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    /// Refused with -32601 before any upstream is asked.
    pub deny: Vec<String>,
}
