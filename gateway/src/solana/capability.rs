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

    /// Whether a list of capabilities, as configured, includes this one. What every full node has
    /// is excluded only by a list that names another part of it: `archive` alone is meant to add,
    /// not to exclude. An archive keeps history, and both, like scans, need the full API.
    pub fn is_granted_by(self, named: &[Self]) -> bool {
        const OF_FULL_NODES: [Capability; 3] =
            [Capability::FullApi, Capability::History, Capability::Index];
        let any = |of: &[Self]| named.iter().any(|one| of.contains(one));
        match self {
            _ if named.contains(&self) => true,
            Self::FullApi | Self::History | Self::Index if named.is_empty() => false,
            Self::FullApi | Self::History | Self::Index if !any(&OF_FULL_NODES) => true,
            Self::FullApi => true,
            Self::History => any(&[Self::Archive]),
            _ => false,
        }
    }

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
    fn a_list_takes_away_only_from_what_it_speaks_of() {
        use Capability as C;
        let meant = |named: &[C]| {
            let all = C::ALL.into_iter().filter(|one| one.is_granted_by(named));
            all.map(C::label).collect::<Vec<_>>().join(" ")
        };
        for (named, expected) in [
            (&[][..], ""),
            (&[C::FullApi], "full-api"),
            (&[C::History], "full-api history"),
            (&[C::Index], "full-api index"),
            (&[C::Archive], "full-api history archive index"),
            (&[C::Airdrop], "full-api history index airdrop"),
            (&[C::Archive, C::FullApi], "full-api history archive"),
            (&[C::Archive, C::Index], "full-api history archive index"),
            (&[C::Alpenglow, C::History], "full-api history alpenglow"),
        ] {
            assert_eq!(meant(named), expected, "{named:?}");
        }
    }

    #[test]
    fn the_label_is_the_name_in_configuration() {
        for capability in Capability::ALL {
            let text = serde_json::to_string(&capability).unwrap();
            assert_eq!(text, format!("\"{}\"", capability.label()));
        }
    }
}
