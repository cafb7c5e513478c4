//! One trade on one market.

use perijove_core::Pubkey;
use perijove_core::market::{Amount, Pair, Position, Price};

use crate::project::market::{NATIVE_SOL, WSOL};
use crate::project::origin::{Origin, RowKey};
use crate::project::token::Extensions;

/// A trade, from the trader's side.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade {
    pub origin: Origin,
    /// Of the instruction in its transaction.
    pub instruction: u32,
    /// Of the trade among those of its instruction, from 0.
    pub ordinal: u32,
    pub dex: Dex,
    /// The pool or order book. `None` for an aggregator's sum of its route: the trades of the route
    /// are in the stream as well, so it counts neither for prices nor for volumes.
    pub market: Option<Pubkey>,
    /// Who signed the transaction.
    pub trader: Option<Pubkey>,
    pub bought: Side,
    pub sold: Side,
    /// The orientation of the price.
    pub pair: Pair,
    /// How much of the quote one base costs. `None` for an aggregator's sum, unknown decimals, and
    /// SOL for wrapped SOL.
    pub price: Option<Price>,
    /// Whether Jupiter was involved: its program is part of the transaction, and the trade was
    /// called by another program; or it is Jupiter's own sum.
    pub jupiter: bool,
}

/// Where a trade was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dex {
    pub program: Option<Pubkey>,
    /// Such as `pump_amm`.
    pub protocol: String,
    /// Such as `Pumpswap`.
    pub family: String,
}

/// What changed hands on one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// As in the message; the system program for native SOL.
    pub mint: Pubkey,
    /// As its issuer names it: empty, misleading or another token's.
    pub symbol: String,
    pub amount: Amount,
    /// The account it came from or went to.
    pub account: Option<Pubkey>,
    /// Who owns that account.
    pub owner: Option<Pubkey>,
    /// What the amount was worth in dollars, if the message says.
    pub usd: Option<f32>,
    /// What one token was worth in dollars, if the message says.
    pub unit_usd: Option<f32>,
    pub extensions: Extensions,
}

/// What was done with the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Buy,
    Sell,
}

impl Direction {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

impl Side {
    /// The token by which it is priced: wrapped SOL stands for SOL.
    pub fn asset(&self) -> Pubkey {
        if self.mint == NATIVE_SOL {
            WSOL
        } else {
            self.mint
        }
    }
}

impl Trade {
    /// The key of the row, the same in every delivery.
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

    /// Whether the base was bought or sold.
    pub fn direction(&self) -> Direction {
        if self.bought.asset() == self.pair.base {
            Direction::Buy
        } else {
            Direction::Sell
        }
    }

    /// The side that is priced.
    pub fn base(&self) -> &Side {
        match self.direction() {
            Direction::Buy => &self.bought,
            Direction::Sell => &self.sold,
        }
    }

    /// The side that the price is expressed in.
    pub fn quote(&self) -> &Side {
        match self.direction() {
            Direction::Buy => &self.sold,
            Direction::Sell => &self.bought,
        }
    }
}
