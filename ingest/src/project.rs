//! From Bitquery's messages to rows: what a message means, and what of it does not count.
//!
//! Pure: no clock, no I/O. One message gives the same rows each time it is read, which is what
//! makes redelivery harmless. What becomes of the rows is for the sinks.

mod bounds;
mod fault;
mod market;
mod origin;
mod slot;
mod token;
mod trade;
mod trades;
mod transactions;
mod transfers;

use crate::decode::Message;
use crate::record::UnixMillis;

pub use perijove_core::market::{Amount, Pair, Position, Price};

pub use bounds::{Bounds, OutOfBounds, by_clock};
pub use fault::{Fault, Poisoned, Skip, Skipped};
pub use market::{JUPITER, NATIVE_SOL, TOKEN_2022, USDC, USDT, WSOL};
pub use origin::{Origin, RowKey};
pub use slot::SlotUpdate;
pub use token::Extensions;
pub use trade::{Dex, Direction, Side, Trade};
pub use transactions::TransactionRow;
pub use transfers::{Party, Transfer};

/// What one message comes to. All but one of the lists of rows are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projected {
    pub trades: Vec<Trade>,
    pub transfers: Vec<Transfer>,
    pub transactions: Vec<TransactionRow>,
    pub slots: Vec<SlotUpdate>,
    /// What was passed over on purpose, by reason.
    pub skipped: Skipped,
    /// Transactions that make no sense, for the dead letters. None of their rows is above.
    pub poisoned: Vec<Poisoned>,
}

impl Projected {
    /// How many rows there are of every kind.
    pub fn rows(&self) -> usize {
        self.trades.len() + self.transfers.len() + self.transactions.len() + self.slots.len()
    }
}

/// Makes the rows of a message. `recorded` is the time of the record, which stands in for the
/// block time where the message does not say one.
pub fn project(message: Message, recorded: UnixMillis) -> Projected {
    match message {
        Message::Trades(block) => trades::project(block, recorded),
        Message::Transfers(block) => transfers::project(block, recorded),
        Message::Transactions(block) => transactions::project(block, recorded),
        Message::Slot(header) => slot::project(&header, recorded),
    }
}

#[cfg(test)]
mod tests;
