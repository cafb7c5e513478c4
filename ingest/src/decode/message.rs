//! A message, whichever stream it is of.

use crate::decode::wire;

/// A message of one block. Its header has a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Trades(wire::DexParsedBlockMessage),
    Transfers(wire::TokenBlockMessage),
    Transactions(wire::ParsedIdlBlockMessage),
    Slot(wire::BlockHeader),
}

impl Message {
    /// What is said about the block; None only before it was checked.
    pub const fn header(&self) -> Option<&wire::BlockHeader> {
        match self {
            Self::Trades(block) => block.header.as_ref(),
            Self::Transfers(block) => block.header.as_ref(),
            Self::Transactions(block) => block.header.as_ref(),
            Self::Slot(header) => Some(header),
        }
    }
}
