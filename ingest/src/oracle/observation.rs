//! A trade as the oracle sees it.

use perijove_core::Pubkey;
use perijove_core::market::Position;

/// A trade in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    pub position: Position,
    /// In milliseconds since 1970.
    pub time: i64,
    pub pool: Pubkey,
    pub base: Leg,
    pub quote: Leg,
    /// Whether the trader took the base, and gave the quote.
    pub base_bought: bool,
}

/// One side of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub mint: Pubkey,
    /// In base units.
    pub raw: u64,
    /// As in the message. A single message does not count: see [`Oracle`](crate::oracle::Oracle).
    pub decimals: Option<u8>,
}
