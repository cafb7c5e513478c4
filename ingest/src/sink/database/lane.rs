//! A lane: a partition of a consumer group as the database knows it, and the right to write it.

use std::sync::Arc;

/// A partition of a consumer group. Only the process that claimed it last may commit batches to it.
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

/// The result of a commit whose answer was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It was written; the lane knows where it continues.
    Written,
    /// Nothing of it was written.
    Lost,
}

impl Lane {
    /// Compares the lane's last known state with the database's current one, and adopts the latter.
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
