//! Indexes of partitions that were made before the index was thought of. They are built one after the
//! other while rows are written (`CREATE INDEX CONCURRENTLY`), which a migration cannot do: it is a
//! transaction. What they replace is dropped when all of them are there.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use tokio::time::sleep;

use super::Postgres;
use crate::sink::database::DatabaseError;

/// One process does it at a time.
const LOCK: &str = "perijove indexes";

/// How long a lock that holds up writers may be waited for: they wait as long.
const PATIENCE: &str = "SET lock_timeout = '500ms'";
const NO_PATIENCE_LIMIT: &str = "SET lock_timeout = 0";

/// How often a part is attached before it is left for later, and the pause in between, in which
/// those write that waited.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// Indexes that others have taken the place of.
const REPLACED: [&str; 4] = [
    "dex_trades_by_pair",
    "dex_trades_by_time",
    "transfers_by_time",
    "transactions_by_time",
];

/// A partition without its part of an index.
struct Missing {
    index: String,
    partition: String,
    /// The index's definition from `USING` on.
    how: String,
}

impl Postgres {
    /// Builds what is missing of the indexes, and drops those that were replaced. Says how many were
    /// built, or None when another process is at it. Rows may be written meanwhile.
    ///
    /// # Errors
    /// The database fails, or somebody holds a lock for too long; it may be called again.
    pub(in crate::sink::database) async fn complete_indexes(
        &self,
    ) -> Result<Option<u64>, DatabaseError> {
        // Its settings end with it.
        let mut connection = self.pool.acquire().await?.detach();
        let built = complete(&mut connection).await;
        drop(connection.close().await);
        built
    }
}

async fn complete(connection: &mut PgConnection) -> Result<Option<u64>, DatabaseError> {
    let ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext($1))")
        .bind(LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !ours {
        return Ok(None);
    }
    run(connection, "SET statement_timeout = 0").await?;
    let missing = missing(connection).await?;
    for one in &missing {
        build(connection, one).await?;
    }
    run(connection, PATIENCE).await?;
    for index in REPLACED {
        run(connection, &format!("DROP INDEX IF EXISTS {index}")).await?;
    }
    Ok(Some(missing.len() as u64))
}

async fn missing(connection: &mut PgConnection) -> Result<Vec<Missing>, DatabaseError> {
    let rows = sqlx::query(
        "SELECT quote_ident(i.relname), quote_ident(c.relname),
             substring(pg_get_indexdef(i.oid) FROM 'USING .*$')
         FROM pg_index x
         JOIN pg_class i ON i.oid = x.indexrelid AND i.relkind = 'I'
         JOIN pg_inherits p ON p.inhparent = x.indrelid
         JOIN pg_class c ON c.oid = p.inhrelid
         WHERE x.indrelid IN (to_regclass('dex_trades'), to_regclass('transfers'),
                 to_regclass('transactions'))
             AND i.relname <> ALL($1)
             AND NOT EXISTS (
                 SELECT FROM pg_inherits h JOIN pg_index y ON y.indexrelid = h.inhrelid
                 WHERE h.inhparent = i.oid AND y.indrelid = c.oid)
         ORDER BY c.oid DESC, i.oid",
    )
    .bind(REPLACED.as_slice())
    .fetch_all(connection)
    .await?;
    let missing = |row: &sqlx::postgres::PgRow| {
        Ok(Missing {
            index: row.try_get(0)?,
            partition: row.try_get(1)?,
            how: row.try_get(2)?,
        })
    };
    rows.iter().map(missing).collect()
}

async fn build(connection: &mut PgConnection, missing: &Missing) -> Result<(), DatabaseError> {
    let Missing {
        index,
        partition,
        how,
    } = missing;
    let number = partition.rsplit('_').next().unwrap_or(partition);
    let part = format!("{index}_{number}");
    if !is_built(connection, &part, how).await? {
        tracing::info!(index, partition, "building an index concurrently");
        // What is left of a build that was broken off.
        run(
            connection,
            &format!("DROP INDEX CONCURRENTLY IF EXISTS {part}"),
        )
        .await?;
        run(
            connection,
            &format!("CREATE INDEX CONCURRENTLY {part} ON {partition} {how}"),
        )
        .await?;
    }
    run(connection, PATIENCE).await?;
    let attached = attach(connection, index, &part).await;
    run(connection, NO_PATIENCE_LIMIT).await?;
    attached
}

/// Whether the index is there, and only has to be attached.
async fn is_built(
    connection: &mut PgConnection,
    part: &str,
    how: &str,
) -> Result<bool, DatabaseError> {
    let built = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid
             AND substring(pg_get_indexdef(indexrelid) FROM 'USING .*$') = $2)",
    );
    Ok(built.bind(part).bind(how).fetch_one(connection).await?)
}

/// Makes an index a part of that of all partitions. Whoever reads the partition in a transaction that
/// lasts holds this up, and while this waits, it holds up everybody else: so it does not wait long.
async fn attach(
    connection: &mut PgConnection,
    index: &str,
    part: &str,
) -> Result<(), DatabaseError> {
    let statement = format!("ALTER INDEX {index} ATTACH PARTITION {part}");
    for _ in 1..ATTEMPTS {
        match run(connection, &statement).await {
            Err(error) if error.lacks_lock() => sleep(PAUSE).await,
            done => return done,
        }
    }
    run(connection, &statement).await
}

/// One statement by itself, of names from the database's own catalogue.
async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), DatabaseError> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await?;
    Ok(())
}
