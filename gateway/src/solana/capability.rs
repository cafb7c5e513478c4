//! What an upstream may or may not be able to answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An ability that not every upstream has.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Runs with `--full-rpc-api`: everything beyond the dozen methods every node answers.
    FullApi,
    /// Keeps transaction history (`--enable-rpc-transaction-history`).
    History,
    /// Keeps history back to genesis (long-term storage).
    Archive,
    /// Answers account scans, with secondary indexes.
    Index,
    /// Has a faucet.
    Airdrop,
    /// Answers the methods that only Alpenglow builds have.
    Alpenglow,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 6] = [
        Self::FullApi,
        Self::History,
        Self::Archive,
        Self::Index,
        Self::Airdrop,
        Self::Alpenglow,
    ];

    /// The name in configuration and in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::FullApi => "full-api",
            Self::History => "history",
            Self::Archive => "archive",
            Self::Index => "index",
            Self::Airdrop => "airdrop",
            Self::Alpenglow => "alpenglow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Capability;

    #[test]
    fn the_label_is_the_name_in_configuration() {
        for capability in Capability::ALL {
            let text = serde_json::to_string(&capability).unwrap();
            assert_eq!(text, format!("\"{}\"", capability.label()));
        }
    }
}
