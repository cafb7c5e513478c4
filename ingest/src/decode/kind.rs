//! The content of a topic, and its encoding.

use schemars::JsonSchema;

/// The content of a topic's messages.
#[derive(Clone, Copy, Debug, JsonSchema, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `DexParsedBlockMessage`.
    Trades,
    /// `TokenBlockMessage`.
    Transfers,
    /// `ParsedIdlBlockMessage`.
    Transactions,
    /// A block header, alone or at the head of any block message.
    Slots,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Trades,
        Self::Transfers,
        Self::Transactions,
        Self::Slots,
    ];

    /// The word in the configuration and in metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Transfers => "transfers",
            Self::Transactions => "transactions",
            Self::Slots => "slots",
        }
    }
}

/// The encoding of a topic's messages.
#[derive(Clone, Copy, Debug, Default, JsonSchema, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON when a message begins with `{`, protobuf otherwise.
    #[default]
    Auto,
    Protobuf,
    Json,
}

impl Encoding {
    /// How this payload is written; never [`Encoding::Auto`]. No protobuf message begins with `{`:
    /// the byte would open a group, which proto3 does not have.
    #[must_use]
    pub fn of(self, payload: &[u8]) -> Self {
        match self {
            Self::Auto if payload.first() == Some(&b'{') => Self::Json,
            Self::Auto => Self::Protobuf,
            said => said,
        }
    }
}
