//! The rows of one message.

use crate::project::fault::{Poisoned, Skipped};
use crate::project::slot_update::SlotUpdate;
use crate::project::trade::Trade;
use crate::project::transaction::TransactionRow;
use crate::project::transfer::Transfer;

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
