//! What goes into the database at once.

use std::ops::Range;

use crate::dead_letter::DeadLetter;
use crate::position::RecordMark;
use crate::project::{SlotUpdate, Trade, TransactionRow, Transfer};
use crate::sink::tick::Tick;

/// Rows of one lane, and where the lane continues after them.
#[derive(Clone, Debug, Default)]
pub struct RowBatch {
    /// Of the first record that is not in it; None leaves the lane where it is.
    pub next_offset: Option<i64>,
    /// The last record before it, if it is in the batch.
    pub last: Option<RecordMark>,
    /// Offsets before it that the broker no longer had. The end is before the start if the partition
    /// has become shorter: then it is unknown what is missing.
    pub gap: Option<Range<i64>>,
    pub trades: Vec<Trade>,
    pub transfers: Vec<Transfer>,
    pub transactions: Vec<TransactionRow>,
    pub slots: Vec<SlotUpdate>,
    pub dead_letters: Vec<DeadLetter>,
    /// Dead letters whose rows are in it.
    pub replayed: Vec<i64>,
}

impl RowBatch {
    /// How many rows it has, dead letters left out.
    pub fn rows(&self) -> usize {
        self.trades.len() + self.transfers.len() + self.transactions.len() + self.slots.len()
    }
}

/// What a batch came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// The batch before it.
    pub previous: i64,
    /// Its number.
    pub batch: i64,
    /// The trades of pools that were not there before.
    pub ticks: Vec<Tick>,
    /// Rows of all kinds that were not there before.
    pub new: u64,
    /// Rows of all kinds that were.
    pub known: u64,
    /// The classes of dead letters that were not there before.
    pub dead_letters: Vec<&'static str>,
}
