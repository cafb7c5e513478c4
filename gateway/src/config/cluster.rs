//! Which Solana cluster the upstreams must belong to.

use std::time::Duration;

use perijove_core::Pubkey;
use perijove_core::settings::{Section, Setting};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// The cluster behind the gateway.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Cluster {
    /// `auto` (the genesis hash that more than half of the upstreams have, else that of the first in
    /// the best tier), `mainnet`, `devnet`, `testnet`, or a genesis hash. Upstreams of another
    /// cluster are not used.
    pub genesis: GenesisRule,
    /// Usual time between two slots.
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
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub enum GenesisRule {
    /// That of the first upstream in the best tier.
    Auto,
    /// This hash in base58. The names `mainnet`, `devnet` and `testnet` in the file become the
    /// hashes of those clusters.
    Hash(String),
}

impl Cluster {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            genesis: section.or("genesis", default.genesis),
            slot_time: section.within(
                "slot_time",
                default.slot_time,
                Duration::from_millis(10)..=Duration::from_secs(10),
            ),
        }
    }
}

/// The clusters that have names, with their genesis hashes.
const NAMED: [(&str, &str); 3] = [
    ("mainnet", "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"),
    ("devnet", "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"),
    ("testnet", "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY"),
];

impl Setting for GenesisRule {
    const EXPECTED: &'static str = "auto, mainnet, devnet, testnet or a genesis hash in base58";

    fn from_text(text: &str) -> Option<Self> {
        if text == "auto" {
            return Some(Self::Auto);
        }
        let named = NAMED
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, hash)| *hash);
        let hash = named.unwrap_or(text);
        hash.parse::<Pubkey>()
            .ok()
            .map(|_| Self::Hash(hash.to_owned()))
    }

    fn show(&self) -> Value {
        match self {
            Self::Auto => json!("auto"),
            Self::Hash(hash) => json!(hash),
        }
    }

    fn schema() -> Value {
        json!({ "type": "string", "examples": ["auto", "mainnet", "devnet", "testnet"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_cluster_has_a_real_hash() {
        for (name, hash) in NAMED {
            assert_eq!(
                GenesisRule::from_text(name),
                Some(GenesisRule::Hash(hash.to_owned()))
            );
        }
    }

    #[test]
    fn what_is_neither_a_name_nor_a_hash_is_refused() {
        for text in ["", "mainnet-beta!", "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc1"] {
            assert_eq!(GenesisRule::from_text(text), None, "{text}");
        }
    }
}
