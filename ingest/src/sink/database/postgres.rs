//! PostgreSQL. Rows of a batch go in one statement per table, as one array for each column.

mod columns;
mod dead_letter_query;
mod dead_letters;
mod gap;
mod indexes;
mod insert;
mod partitions;
mod query;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{PgConnection, Row};
use tokio::time::Instant;

use crate::config;
use crate::sink::database::lane::last_record;
use crate::sink::database::{CommitOutcome, Committed, DatabaseError, Lane, RowBatch};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// A pool of connections to PostgreSQL.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    /// Partitions of tables that are known to be there.
    partitions: Arc<Mutex<HashSet<(&'static str, i64)>>>,
    /// Connections from before then are given up: the server could not do with one of them what it
    /// was asked, as after a failover to one that was read-only.
    given_up: Arc<Mutex<Option<Instant>>>,
}

impl Postgres {
    pub(super) async fn open(settings: &config::Database) -> Result<Self, DatabaseError> {
        let opened = Self::open_to_read(settings).await?;
        MIGRATIONS.run(&opened.pool).await?;
        Ok(opened)
    }

    pub(super) async fn open_to_read(settings: &config::Database) -> Result<Self, DatabaseError> {
        let options: PgConnectOptions = settings
            .url
            .expose()
            .as_str()
            .parse()
            .map_err(DatabaseError::Address)?;
        let timeout = settings.timeout.as_millis().to_string();
        let mut options = options.application_name("perijove-ingest").options([
            ("statement_timeout", timeout.as_str()),
            // A transaction whose writer is gone must not hold its lane.
            ("idle_in_transaction_session_timeout", timeout.as_str()),
            // Never trust a plan made for arrays of another length.
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        if let Some(password) = &settings.password {
            options = options.password(password.expose());
        }
        let given_up: Arc<Mutex<Option<Instant>>> = Arc::default();
        let before = Arc::clone(&given_up);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.connect)
            .max_lifetime(Duration::from_hours(1))
            .before_acquire(move |_, connection| {
                let begun = Instant::now().checked_sub(connection.age);
                let kept = before.lock().is_none_or(|before| begun > Some(before));
                Box::pin(async move { Ok(kept) })
            })
            .connect_with(options)
            .await?;
        let partitions = Arc::default();
        Ok(Self {
            pool,
            partitions,
            given_up,
        })
    }

    /// Gives up all connections after an error that may be of the connection.
    fn noted<T>(&self, done: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if done
            .as_ref()
            .is_err_and(DatabaseError::is_of_the_connection)
        {
            *self.given_up.lock() = Some(Instant::now());
        }
        done
    }

    /// Whether it answers.
    pub(super) async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub(super) async fn claim(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Lane, DatabaseError> {
        self.noted(self.try_claim(group, topic, partition).await)
    }

    async fn try_claim(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Lane, DatabaseError> {
        let row = sqlx::query(
            "INSERT INTO kafka_offsets AS o (consumer_group, topic, partition) VALUES ($1, $2, $3)
             ON CONFLICT (consumer_group, topic, partition)
             DO UPDATE SET epoch = o.epoch + 1, updated_at = now()
             RETURNING lane, consumer_group, topic, partition, next_offset, batch, epoch,
                 last_offset, last_checksum",
        )
        .bind(group)
        .bind(topic)
        .bind(partition)
        .fetch_one(&self.pool)
        .await?;
        lane(&row)
    }

    pub(super) async fn lanes(&self, group: &str) -> Result<Vec<Lane>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT lane, consumer_group, topic, partition, next_offset, batch, epoch,
                 last_offset, last_checksum
             FROM kafka_offsets WHERE consumer_group = $1 ORDER BY topic, partition",
        )
        .bind(group)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(lane).collect()
    }

    pub(super) async fn settle(&self, held: &mut Lane) -> Result<CommitOutcome, DatabaseError> {
        let row = sqlx::query(
            "SELECT lane, consumer_group, topic, partition, next_offset, batch, epoch,
                 last_offset, last_checksum
             FROM kafka_offsets WHERE lane = $1 AND epoch = $2",
        )
        .bind(held.id)
        .bind(held.epoch)
        .fetch_optional(&self.pool)
        .await?;
        Ok(held.settle(&lane(&row.ok_or(DatabaseError::Fenced)?)?))
    }

    pub(super) async fn commit(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        self.noted(Box::pin(self.try_commit(lane, batch)).await)
    }

    async fn try_commit(
        &self,
        lane: &mut Lane,
        batch: &RowBatch,
    ) -> Result<Committed, DatabaseError> {
        self.make_room(batch).await?;
        let written = match self.write(lane, batch).await {
            Err(error) if error.lacks_partition() => {
                // Another process has dropped it. The transaction was taken back.
                self.forget_room();
                self.make_room(batch).await?;
                self.write(lane, batch).await
            }
            written => written,
        };
        let committed = written?;
        lane.advance(committed.batch, batch);
        Ok(committed)
    }

    async fn write(&self, lane: &Lane, batch: &RowBatch) -> Result<Committed, DatabaseError> {
        let mut transaction = self.pool.begin().await?;
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

/// Moves the lane on, and holds it until the end of the transaction.
async fn advance(
    connection: &mut PgConnection,
    lane: &Lane,
    batch: &RowBatch,
) -> Result<i64, DatabaseError> {
    let row = sqlx::query(
        "UPDATE kafka_offsets SET
             next_offset = coalesce($3, next_offset),
             last_offset = CASE WHEN $3 IS NULL THEN last_offset ELSE $5 END,
             last_checksum = CASE WHEN $3 IS NULL THEN last_checksum ELSE $6 END,
             batch = greatest(batch + 1, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint),
             updated_at = now()
         WHERE lane = $1 AND epoch = $2 AND batch = $4
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

fn lane(row: &PgRow) -> Result<Lane, DatabaseError> {
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
