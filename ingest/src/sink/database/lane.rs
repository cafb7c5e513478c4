//! A lane: a partition of a consumer group as the database knows it, and the right to write it.

use std::sync::Arc;

use super::batch::RowBatch;
use crate::position::{RecordMark, StoredPosition};

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
    /// The last record before it, if it is known.
    pub last: Option<RecordMark>,
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
        (self.batch, self.next_offset, self.last) = (now.batch, now.next_offset, now.last);
        settled
    }

    /// A batch was written.
    pub(super) fn advance(&mut self, number: i64, batch: &RowBatch) {
        self.batch = number;
        if batch.next_offset.is_some() {
            (self.next_offset, self.last) = (batch.next_offset, batch.last);
        }
    }

    /// Where reading stopped; None if nothing was ever read.
    pub fn position(&self) -> Option<StoredPosition> {
        Some(StoredPosition::new(self.next_offset?, self.last))
    }
}

/// The last record, as two columns have it.
pub(super) fn last_record(offset: Option<i64>, checksum: Option<i64>) -> Option<RecordMark> {
    Some(RecordMark {
        offset: offset?,
        checksum: u32::try_from(checksum?).ok()?,
    })
}
