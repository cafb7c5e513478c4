//! A row of a transfer.

use perijove_core::Pubkey;
use perijove_core::market::{Amount, Position};

use crate::project::origin::{Origin, RowKey};
use crate::project::token::Extensions;

/// One transfer of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    pub origin: Origin,
    /// Of the instruction in its transaction.
    pub instruction: u32,
    /// Of the transfer among those of its instruction, from 0.
    pub ordinal: u32,
    /// The system program for native SOL.
    pub mint: Pubkey,
    pub symbol: String,
    /// What was sent; may be 0.
    pub amount: Amount,
    /// How much of it arrived, in base units: less where Token-2022 withheld a fee. `None` where that is
    /// not known.
    pub received: Option<u64>,
    /// No address when tokens were minted.
    pub sender: Party,
    /// No address when tokens were burned.
    pub receiver: Party,
    /// Who allowed it.
    pub authority: Option<Pubkey>,
    /// What it was worth in dollars, if the message says.
    pub usd: Option<f32>,
    pub extensions: Extensions,
}

/// One end of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Party {
    pub account: Option<Pubkey>,
    /// Who owns the account.
    pub owner: Option<Pubkey>,
}

impl Transfer {
    /// The name of the row, the same in every delivery.
    pub const fn key(&self) -> RowKey {
        RowKey {
            signature: self.origin.signature,
            instruction: self.instruction,
            ordinal: self.ordinal,
        }
    }

    /// Its position in the order of the chain.
    pub const fn position(&self) -> Position {
        Position {
            slot: self.origin.slot,
            transaction: self.origin.index,
            instruction: self.instruction,
            ordinal: self.ordinal,
        }
    }
}
