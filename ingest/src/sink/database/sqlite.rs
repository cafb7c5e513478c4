//! SQLite, for where nothing else is installed: one writer, in a file or in memory.

mod dead_letter_query;
mod dead_letters;
mod gap;
mod insert;
mod query;
mod views;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection, Row, SqliteConnection};

use crate::config;
use crate::sink::database::lane::last_record;
use crate::sink::database::{CommitOutcome, Committed, DatabaseError, Lane, RowBatch};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The columns of a lane, as [`lane`] reads them.
macro_rules! lane_columns {
    () => {
        "lane, consumer_group, topic, partition, next_offset, batch, epoch, last_offset, last_checksum"
    };
}

/// An open SQLite database.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// Of one connection.
    writer: SqlitePool,
    readers: SqlitePool,
    /// Then its one connection is all there is of it.
    in_memory: bool,
}

impl Sqlite {
    pub(super) async fn open(settings: &config::Database) -> Result<Self, DatabaseError> {
        let options: SqliteConnectOptions = settings
            .url
            .expose()
            .as_str()
            .parse()
            .map_err(DatabaseError::Address)?;
        let in_memory = settings.url.expose().path().starts_with(":memory:");
        let options = options
            .create_if_missing(true)
            .busy_timeout(settings.timeout)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may take the last batches, with their offsets; a crash takes none.
            .synchronous(SqliteSynchronous::Normal)
            .pragma("temp_store", "memory")
            .pragma("cache_size", "-65536");
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(settings.timeout)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool(1).connect_with(options.clone()).await?;
        MIGRATIONS.run(&writer).await?;
        views::make(&mut *writer.acquire().await?).await?;
        let readers = if in_memory {
            writer.clone()
        } else {
            pool(settings.connections).connect_with(options).await?
        };
        Ok(Self {
            writer,
            readers,
            in_memory,
        })
    }

    /// Of a file that is there.
    pub(super) async fn open_to_read(settings: &config::Database) -> Result<Self, DatabaseError> {
        let options: SqliteConnectOptions = settings
            .url
            .expose()
            .as_str()
            .parse()
            .map_err(DatabaseError::Address)?;
        let options = options
            .create_if_missing(false)
            .read_only(true)
            .busy_timeout(settings.timeout);
        let readers = SqlitePoolOptions::new().connect_with(options).await;
        let readers = readers.map_err(|error| match error {
            sqlx::Error::Database(error) if error.code().as_deref() == Some("14") => {
                DatabaseError::NoFile(settings.url.expose().path().to_owned())
            }
            error => error.into(),
        })?;
        Ok(Self {
            writer: readers.clone(),
            readers,
            in_memory: false,
        })
    }

    pub(super) async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    pub(super) async fn claim(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Lane, DatabaseError> {
        let row = sqlx::query(concat!(
            "INSERT INTO kafka_offsets (consumer_group, topic, partition) VALUES (?, ?, ?)
             ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET epoch = epoch + 1
             RETURNING ",
            lane_columns!()
        ))
        .bind(group)
        .bind(topic)
        .bind(partition)
        .fetch_one(&self.writer)
        .await?;
        lane(&row)
    }

    pub(super) async fn lanes(&self, group: &str) -> Result<Vec<Lane>, DatabaseError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            lane_columns!(),
            " FROM kafka_offsets WHERE consumer_group = ? ORDER BY topic, partition"
        ))
        .bind(group)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(lane).collect()
    }

    pub(super) async fn settle(&self, held: &mut Lane) -> Result<CommitOutcome, DatabaseError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            lane_columns!(),
            " FROM kafka_offsets WHERE lane = ? AND epoch = ?"
        ))
        .bind(held.id)
        .bind(held.epoch)
        .fetch_optional(&self.writer)
        .await?;
        Ok(held.settle(&lane(&row.ok_or(DatabaseError::Fenced)?)?))
    }

    pub(super) async fn commit(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        let mut connection = self.writer.acquire().await?;
        let written = Self::write(&mut connection, lane, batch).await;
        if written.is_err() && !self.in_memory {
            // SQLite takes a transaction back by itself when the disk is full, and then the connection
            // no longer knows whether it is in one.
            drop(connection.close().await);
        }
        let committed = written?;
        lane.advance(committed.batch, batch);
        Ok(committed)
    }

    async fn write(
        connection: &mut SqliteConnection,
        lane: &Lane,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let number = advance(&mut transaction, lane, batch).await?;
        let mut committed = Committed {
            previous: lane.batch,
            batch: number,
            ..Committed::default()
        };
        insert::rows(&mut transaction, lane.id, batch, &mut committed).await?;
        dead_letters::store(&mut transaction, batch, &mut committed).await?;
        if let Some(gap) = &batch.gap {
            gap::store(&mut transaction, lane, gap).await?;
        }
        transaction.commit().await?;
        Ok(committed)
    }
}

/// Moves the lane on.
async fn advance(
    connection: &mut SqliteConnection,
    lane: &Lane,
    batch: &RowBatch,
) -> Result<i64, DatabaseError> {
    let row = sqlx::query(
        "UPDATE kafka_offsets SET
             next_offset = coalesce(?3, next_offset),
             last_offset = CASE WHEN ?3 IS NULL THEN last_offset ELSE ?5 END,
             last_checksum = CASE WHEN ?3 IS NULL THEN last_checksum ELSE ?6 END,
             batch = max(batch + 1, CAST(unixepoch('subsec') * 1000 AS INTEGER)),
             updated_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)
         WHERE lane = ?1 AND epoch = ?2 AND batch = ?4
         RETURNING batch",
    )
    .bind(lane.id)
    .bind(lane.epoch)
    .bind(batch.next_offset)
    .bind(lane.batch)
    .bind(batch.last.map(|last| last.offset))
    .bind(batch.last.map(|last| i64::from(last.checksum)))
    .fetch_optional(connection)
    .await?;
    Ok(row.ok_or(DatabaseError::Fenced)?.try_get(0)?)
}

fn lane(row: &SqliteRow) -> Result<Lane, DatabaseError> {
    Ok(Lane {
        id: row.try_get(0)?,
        group: row.try_get::<&str, _>(1)?.into(),
        topic: row.try_get::<&str, _>(2)?.into(),
        partition: row.try_get(3)?,
        next_offset: row.try_get(4)?,
        last: last_record(row.try_get(7)?, row.try_get(8)?),
        batch: row.try_get(5)?,
        epoch: row.try_get(6)?,
    })
}
