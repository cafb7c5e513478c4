//! Indexes that a database of an earlier version lacks.

use std::collections::BTreeMap;

use perijove_tests::postgres::Postgres;
use perijove_tests::wait::until;
use sqlx::AssertSqlSafe;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use tempfile::TempDir;

use crate::questions::all_expected;
use crate::scene::{at, filled, open, server};

/// A database as the first version left it, with a partition that has rows.
async fn of_the_first_version(pool: &PgPool) {
    let folder = TempDir::new().unwrap();
    let first = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/postgres/0001_streams.sql"
    );
    std::fs::copy(first, folder.path().join("0001_streams.sql")).unwrap();
    let migrator = Migrator::new(folder.path()).await.unwrap();
    migrator.run(pool).await.unwrap();
    for table in ["dex_trades", "transfers", "transactions"] {
        sqlx::query("SELECT add_partition($1, 372978000, 373032000)")
            .bind(table)
            .execute(pool)
            .await
            .unwrap();
    }
}

/// Names of the parents' indexes, and whether they are complete.
async fn indexes(pool: &PgPool) -> BTreeMap<String, bool> {
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "SELECT i.relname::text, x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         WHERE i.relkind = 'I'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

#[tokio::test]
async fn an_old_database_gets_its_indexes_while_rows_are_written() {
    // Of its own: a build waits for every transaction there is.
    let postgres = Postgres::alone(&["-c", "fsync=off"]).await;
    let settings = at(&postgres.url());
    let pool = server(&settings).await;
    of_the_first_version(&pool).await;
    let database = open(&settings).await;
    let before = indexes(&pool).await;
    assert_eq!(before.get("dex_trades_by_pair"), Some(&true), "{before:?}");
    assert_eq!(before.get("dex_trades_by_base"), Some(&false), "{before:?}");

    // A writer is in the midst of its transaction, so the build cannot end.
    let mut writer = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE dex_trades_372978000 IN ROW EXCLUSIVE MODE")
        .execute(&mut *writer)
        .await
        .unwrap();
    let building = {
        let database = database.clone();
        tokio::spawn(async move { database.complete_indexes().await.unwrap() })
    };
    until("a build that waits for the writer", || async {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%')",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        waiting.then_some(())
    })
    .await;
    // Others write all the same.
    let batch = filled(&settings).await;
    assert!(!building.is_finished());
    writer.commit().await.unwrap();
    let built = building.await.unwrap();
    assert_eq!(built, Some(9));

    let after = indexes(&pool).await;
    assert!(after.values().all(|complete| *complete), "{after:?}");
    assert!(!after.contains_key("dex_trades_by_pair"), "{after:?}");
    let new: Vec<&String> = after.keys().collect();
    let other = Postgres::shared().await;
    open(&at(&other.url())).await;
    let fresh = indexes(&server(&at(&other.url())).await).await;
    assert_eq!(new, fresh.keys().collect::<Vec<_>>());
    let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM trades")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(counted as usize, all_expected(&batch).len());
    assert_eq!(database.complete_indexes().await.unwrap(), Some(0));
}

/// How the partition's part of the index on a trade's base is named.
const PART: &str = "dex_trades_by_base_372978000";

async fn oid(pool: &PgPool, index: &str) -> Option<i64> {
    let oid = sqlx::query_scalar("SELECT to_regclass($1)::oid::bigint").bind(index);
    oid.fetch_one(pool).await.unwrap()
}

/// Whether somebody waits for a lock on the part.
async fn is_waited_for(pool: &PgPool) -> bool {
    let waiting = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass($1))",
    );
    waiting.bind(PART).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn who_reads_a_partition_for_long_does_not_hold_up_its_writers_while_indexes_are_attached() {
    let postgres = Postgres::alone(&["-c", "fsync=off"]).await;
    let settings = at(&postgres.url());
    let pool = server(&settings).await;
    of_the_first_version(&pool).await;
    let database = open(&settings).await;
    // A process was killed before it attached what it had built.
    let build = format!("CREATE INDEX {PART} ON dex_trades_372978000 (base, time)");
    sqlx::query(AssertSqlSafe(build))
        .execute(&pool)
        .await
        .unwrap();
    let built = oid(&pool, PART).await;
    assert!(built.is_some());
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM dex_trades_372978000")
        .execute(&mut *reader)
        .await
        .unwrap();
    let attaching = {
        let database = database.clone();
        tokio::spawn(async move { database.complete_indexes().await.unwrap() })
    };
    until("the reader to be waited for", || async {
        is_waited_for(&pool).await.then_some(())
    })
    .await;
    // Whoever comes later waits for this one, which gives up for a while.
    let batch = filled(&settings).await;
    until("a pause", || async {
        (!is_waited_for(&pool).await).then_some(())
    })
    .await;
    assert!(!attaching.is_finished());
    reader.commit().await.unwrap();
    assert!(attaching.await.unwrap().is_some());
    let after = indexes(&pool).await;
    assert!(after.values().all(|complete| *complete), "{after:?}");
    // It was not built anew.
    assert_eq!(oid(&pool, PART).await, built);
    let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM trades")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(counted as usize, all_expected(&batch).len());
}
