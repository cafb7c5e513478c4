//! The values of a trade: amounts, prices, pairs of tokens, and the order of the chain. Values
//! only; ingest decides which trades count, and their readers what to make of them.

mod amount;
mod money;
mod price;

use crate::{Pubkey, Slot};

pub use amount::Amount;
pub use money::{MONEY, PYUSD, SOL_DECIMALS, STABLE_DECIMALS, STABLES, USDC, USDS, USDT, WSOL};
pub use price::Price;

/// Two tokens; the price of one is expressed in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    pub base: Pubkey,
    pub quote: Pubkey,
}

/// When something happened, in the order of the chain. Greater is newer; the same position is
/// the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub slot: Slot,
    /// Of the transaction in its block.
    pub transaction: u32,
    /// Of the instruction in its transaction.
    pub instruction: u32,
    /// Of the row among those of its instruction.
    pub ordinal: u32,
}
