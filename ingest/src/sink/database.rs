//! The database: rows, how far each partition was read, dead letters. Everything of one batch is
//! committed in one transaction, and only by the owner of the lane (a partition of a consumer
//! group), so that every row is stored exactly once.
//!
//! PostgreSQL for production, SQLite where nothing else is installed; both behave alike.

mod batch;
mod dead_letter;
mod error;
mod export;
mod lane;
mod new_trades;
mod place;
mod postgres;
mod read;
mod slots;
mod sqlite;
mod text;

use std::ops::Range;

use perijove_core::market::Pair;
use perijove_core::{Pubkey, Slot};

use crate::config;
use crate::record::UnixMillis;

pub use batch::{Committed, RowBatch};
pub use dead_letter::{DeadLetterFilter, DeadLetterSummary, StoredDeadLetter};
pub use error::DatabaseError;
pub use export::ExportedTrade;
pub use lane::{CommitOutcome, Lane};
pub use postgres::Postgres;
pub use read::{HourTotals, StoredTick, TickQuery};
pub use sqlite::Sqlite;

/// Slots of one partition of a table in PostgreSQL: about six hours.
pub const PARTITION_SLOTS: i64 = 54_000;

/// An open database with all its tables.
#[derive(Clone, Debug)]
pub enum Database {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

macro_rules! either {
    ($database:expr, $store:ident => $call:expr) => {
        match $database {
            Database::Postgres($store) => $call,
            Database::Sqlite($store) => $call,
        }
    };
}

/// With the address at which it is looked for.
fn opening(settings: &config::Database, cause: DatabaseError) -> DatabaseError {
    DatabaseError::Opening {
        address: settings.url.to_string(),
        cause: Box::new(cause),
    }
}

impl Database {
    /// Opens it and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be reached, or its tables cannot be made.
    pub async fn open(settings: &config::Database) -> Result<Self, DatabaseError> {
        let opened = if settings.is_sqlite() {
            Sqlite::open(settings).await.map(Self::Sqlite)
        } else {
            Postgres::open(settings).await.map(Self::Postgres)
        };
        opened.map_err(|cause| opening(settings, cause))
    }

    /// Opens it for reading: nothing is created or changed, and the SELECT privilege is enough.
    ///
    /// # Errors
    /// It does not exist, cannot be reached, or has not been written to yet.
    pub async fn open_to_read(settings: &config::Database) -> Result<Self, DatabaseError> {
        let opened = if settings.is_sqlite() {
            Sqlite::open_to_read(settings).await.map(Self::Sqlite)
        } else {
            Postgres::open_to_read(settings).await.map(Self::Postgres)
        };
        opened.map_err(|cause| opening(settings, cause))
    }

    /// Claims a lane for writing. Its previous owner can commit no more.
    pub async fn claim(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Lane, DatabaseError> {
        either!(self, store => store.claim(group, topic, partition).await)
    }

    /// Every lane of a group, without claiming any.
    pub async fn lanes(&self, group: &str) -> Result<Vec<Lane>, DatabaseError> {
        either!(self, store => store.lanes(group).await)
    }

    /// The last batch of every lane of every group.
    pub async fn last_batches(&self) -> Result<Vec<(i32, i64)>, DatabaseError> {
        either!(self, store => store.last_batches().await)
    }

    /// Sets where a partition continues, and takes the lane from its owner.
    pub async fn reset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        next_offset: i64,
    ) -> Result<Lane, DatabaseError> {
        let mut lane = self.claim(group, topic, partition).await?;
        let batch = RowBatch {
            next_offset: Some(next_offset),
            ..RowBatch::default()
        };
        self.commit(&mut lane, &batch).await?;
        Ok(lane)
    }

    /// Writes a batch and where its lane continues, or nothing at all.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] if another process owns the lane; [`DatabaseError::Refused`] if
    /// the rows cannot be stored however often it is tried. After any other error it is unknown
    /// whether the batch was written; use [`settle`](Self::settle).
    pub async fn commit(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        either!(self, store => store.commit(lane, batch).await)
    }

    /// Finds out whether a batch whose commit ended in an error was written after all.
    ///
    /// # Errors
    /// [`DatabaseError::Fenced`] if another process owns the lane.
    pub async fn settle(&self, lane: &mut Lane) -> Result<CommitOutcome, DatabaseError> {
        either!(self, store => store.settle(lane).await)
    }

    /// What the lane's last batch came to, of which the answer was lost; `previous` is the one before
    /// it. The trades that were new with
    /// it are known by the batch's number; of the other rows and of dead letters that is not known, and
    /// all count as new.
    ///
    /// # Errors
    /// The database fails.
    pub async fn read_back(
        &self,
        lane: &Lane,
        previous: i64,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        let fresh = either!(self, store => store.stored_with(lane.id, lane.batch).await)?;
        let known = batch.trades.len().saturating_sub(fresh.len()) as u64;
        Ok(Committed {
            previous,
            batch: lane.batch,
            new: (batch.rows() as u64).saturating_sub(known),
            known,
            ticks: new_trades::ticks(&batch.trades, fresh),
            dead_letters: dead_letter::rows(&batch.dead_letters)
                .iter()
                .map(|row| row.class)
                .collect(),
        })
    }

    /// The trades of pools that `ticks` asks for, in no particular order.
    ///
    /// # Errors
    /// The database fails; some trades may have been returned by then.
    pub async fn ticks(
        &self,
        ticks: &TickQuery<'_>,
        each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        either!(self, store => store.ticks(ticks, each).await)
    }

    /// The trades of pools of these lanes that came with batches after one, in no particular order.
    ///
    /// # Errors
    /// The database fails; some trades may have been returned by then.
    pub async fn ticks_after(
        &self,
        batch: i64,
        lanes: &[i32],
        each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        either!(self, store => store.ticks_after(batch, lanes, each).await)
    }

    /// The pairs of which trades came with a lane's batches after one, each with the time of the
    /// first of them.
    pub async fn touched(&self, lane: i32, after: i64) -> Result<Vec<(Pair, i64)>, DatabaseError> {
        either!(self, store => store.touched(lane, after).await)
    }

    /// The pairs of which a lane has trades from a time on.
    pub async fn traded(&self, lane: i32, from: i64) -> Result<Vec<Pair>, DatabaseError> {
        either!(self, store => store.traded(lane, from).await)
    }

    /// What the newest trades of these tokens say of their decimals, with their slots.
    ///
    /// # Errors
    /// The database fails, or a row in it is not ours.
    pub async fn decimals(
        &self,
        mints: &[Pubkey],
    ) -> Result<Vec<(Pubkey, u64, u8)>, DatabaseError> {
        either!(self, store => store.decimals(mints).await)
    }

    /// The time of the newest trade, in milliseconds since 1970.
    pub async fn newest(&self) -> Result<Option<i64>, DatabaseError> {
        either!(self, store => store.newest().await)
    }

    /// Where the stream was at a time, by the last rows of that time: a slot and its time. Without a
    /// time, or where there are none so old, by the newest rows. Single odd rows do not count.
    pub async fn place(
        &self,
        time: Option<UnixMillis>,
    ) -> Result<Option<(Slot, UnixMillis)>, DatabaseError> {
        let times = time.map(|time| time.0).into_iter().chain([place::EVER]);
        for until in times {
            for table in place::TABLES {
                let rows = either!(self, store => store.last_rows(table, until).await)?;
                if let Some(place) = place::middle(rows) {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }

    /// Whether there are more trades than so many between two times in milliseconds since 1970, the
    /// second left out.
    pub async fn has_more(&self, times: &Range<i64>, most: u64) -> Result<bool, DatabaseError> {
        let enough = most.saturating_add(1);
        let count = either!(self, store => store.count(times, enough).await)?;
        Ok(count > most)
    }

    /// All trades between two times in milliseconds since 1970, the second left out, in the order of the
    /// chain.
    ///
    /// # Errors
    /// The database fails, or a row in it is not ours.
    pub async fn between(&self, from: i64, to: i64) -> Result<Vec<ExportedTrade>, DatabaseError> {
        either!(self, store => store.between(from, to).await)
    }

    /// Trades and volume of each hour that has any, between two times in milliseconds since 1970.
    pub async fn hours(&self, from: i64, to: i64) -> Result<Vec<HourTotals>, DatabaseError> {
        either!(self, store => store.hours(from, to).await)
    }

    /// Dead letters in the order of their ids.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<StoredDeadLetter>, DatabaseError> {
        either!(self, store => store.dead_letters(filter).await)
    }

    /// The same without what was in their records.
    pub async fn dead_letter_summaries(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetterSummary>, DatabaseError> {
        either!(self, store => store.dead_letter_summaries(filter).await)
    }

    /// Removes rows from before a time: in PostgreSQL whole partitions, which is what is counted,
    /// in SQLite single rows. Dead letters and gaps stay.
    pub async fn forget(&self, before: UnixMillis) -> Result<u64, DatabaseError> {
        either!(self, store => store.forget(before).await)
    }

    /// Builds what is missing of the indexes of a database that was made by an earlier version, while rows
    /// are written. Says how many were built, or None when another process is at it; SQLite has them from
    /// the start.
    ///
    /// # Errors
    /// The database fails, or somebody holds a lock for too long; it may be called again.
    pub async fn complete_indexes(&self) -> Result<Option<u64>, DatabaseError> {
        match self {
            Self::Postgres(store) => store.complete_indexes().await,
            Self::Sqlite(_) => Ok(Some(0)),
        }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        either!(self, store => store.ping().await)
    }
}
