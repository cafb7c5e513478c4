//! The rows of one message.

use crate::project::fault::{Poisoned, Skipped};
use crate::project::slot_update::SlotUpdate;
use crate::project::trade::Trade;
use crate::project::transaction::TransactionRow;
use crate::project::transfer::Transfer;

/// The rows of one message. All but one of the lists are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projected {
    pub trades: Vec<Trade>,
    pub transfers: Vec<Transfer>,
    pub transactions: Vec<TransactionRow>,
    pub slots: Vec<SlotUpdate>,
    /// What was skipped deliberately, by reason.
    pub skipped: Skipped,
    /// Invalid transactions, for the dead letters. None of their rows is above.
    pub poisoned: Vec<Poisoned>,
}

impl Projected {
    /// How many rows there are of every kind.
    pub fn rows(&self) -> usize {
        self.trades.len() + self.transfers.len() + self.transactions.len() + self.slots.len()
    }
}
