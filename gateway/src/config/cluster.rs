//! Which Solana cluster the upstreams must belong to.

use std::time::Duration;

/// The cluster behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub genesis: GenesisRule,
    /// The usual time between two slots.
    pub slot_time: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            genesis: GenesisRule::Auto,
            slot_time: Duration::from_millis(400),
        }
    }
}

/// What genesis hash an upstream must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenesisRule {
    /// What the first upstream in the best tier says.
    Auto,
    /// This hash in base58. The names `mainnet`, `devnet` and `testnet` in the file become the
    /// hashes of those clusters.
    Hash(String),
}
