//! Consumers: owners of API keys.

use perijove_core::Secret;

/// Somebody who calls the gateway with a key of his own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// Name in logs; unique.
    pub id: String,
    /// Any of these keys identifies the consumer. At least one; unique over all consumers.
    pub keys: Vec<Secret>,
}
