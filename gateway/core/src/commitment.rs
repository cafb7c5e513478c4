//! How settled a piece of cluster state is. The three levels and their order; the gateway knows
//! where a request carries its level.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A commitment level, ordered by strength.
///
/// A request that names none means [`Commitment::Finalized`], as Agave has it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Commitment {
    /// In the newest block the node knows; may be forked away.
    Processed,
    /// Voted for by a supermajority of stake.
    Confirmed,
    /// Rooted; cannot be undone.
    #[default]
    Finalized,
}

impl Commitment {
    /// Every level, weakest first.
    pub const ALL: [Self; 3] = [Self::Processed, Self::Confirmed, Self::Finalized];

    /// The name in requests and in metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
        }
    }

    /// The position in [`Commitment::ALL`], for arrays with one place per level.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Reads a level. The names from before Agave 2 (`recent`, `root`, `single`, `max`) are unknown.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.label() == name)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::Commitment;

    #[test]
    fn levels_are_ordered_by_strength_and_indexed_in_that_order() {
        assert!(Commitment::ALL.is_sorted());
        for (position, level) in Commitment::ALL.into_iter().enumerate() {
            assert_eq!(level.index(), position);
            assert_eq!(Commitment::parse(level.label()), Some(level));
        }
    }

    #[test]
    fn retired_names_are_unknown_and_the_default_is_finalized() {
        for name in [
            "recent",
            "root",
            "single",
            "singleGossip",
            "max",
            "Confirmed",
            "",
        ] {
            assert_eq!(Commitment::parse(name), None, "{name}");
        }
        assert_eq!(Commitment::default(), Commitment::Finalized);
    }
}
