//! From Bitquery's messages to rows: what a message means, and which parts do not count.
//!
//! Pure: no clock, no I/O. A message gives the same rows each time it is read, which makes
//! redelivery harmless. The sinks store the rows.

mod arrivals;
mod bounds;
mod fault;
mod market;
mod origin;
mod projected;
mod slot_update;
mod slots;
mod token;
mod trade;
mod trades;
mod transaction;
mod transactions;
mod transfer;
mod transfers;

use crate::decode::Message;
use crate::record::UnixMillis;

pub use perijove_core::market::{Amount, Pair, Position, Price};

pub use bounds::{Bounds, OutOfBounds, by_clock};
pub use fault::{Poisoned, ProjectError, Skip, Skipped};
pub use market::{JUPITER, NATIVE_SOL, TOKEN_2022, USDC, USDT, WSOL};
pub use origin::{Origin, RowKey};
pub use projected::Projected;
pub use slot_update::SlotUpdate;
pub use token::Extensions;
pub use trade::{Dex, Direction, Side, Trade};
pub use transaction::TransactionRow;
pub use transfer::{Party, Transfer};

/// Makes the rows of a message. `recorded` is the time of the record, which stands in for the
/// block time where the message does not say one.
pub fn project(message: Message, recorded: UnixMillis) -> Projected {
    match message {
        Message::Trades(block) => trades::project(block, recorded),
        Message::Transfers(block) => transfers::project(block, recorded),
        Message::Transactions(block) => transactions::project(block, recorded),
        Message::Slot(header) => slots::project(&header, recorded),
    }
}

#[cfg(test)]
mod tests;
