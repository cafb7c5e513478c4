//! A partition as the database knows it, and the right to write it.

use std::sync::Arc;

/// A partition of a consumer group. Whoever claimed it last may commit batches to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// By which rows and candles name it.
    pub id: i32,
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    /// Of the next record to read; None until something was committed.
    pub next_offset: Option<i64>,
    /// The last batch that was committed; 0 before the first.
    pub batch: i64,
    pub(super) epoch: i64,
}

/// What became of a commit whose end was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It was written; the lane says where it goes on.
    Written,
    /// Nothing of it was written.
    Lost,
}

impl Lane {
    /// Compares what the lane was left at with what the database says now, and takes the latter.
    pub(super) fn settle(&mut self, now: &Self) -> CommitOutcome {
        let settled = if now.batch == self.batch {
            CommitOutcome::Lost
        } else {
            CommitOutcome::Written
        };
        (self.batch, self.next_offset) = (now.batch, now.next_offset);
        settled
    }
}
