//! Partitions of PostgreSQL's tables.

use perijove_ingest::config;
use perijove_ingest::record::UnixMillis;

use crate::scene::{DAY, of_day, open, stored};

#[tokio::test]
async fn a_partition_that_another_process_has_dropped_is_made_again() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let (replay, run) = (open(&settings).await, open(&settings).await);
        let mut lane = replay.claim("replay", "topic", 0).await.unwrap();
        let first = replay.commit(&mut lane, &of_day(1)).await.unwrap();
        assert!(run.forget(UnixMillis(3 * DAY)).await.unwrap() > 0);
        // The same rows, of which none are left.
        let again = replay.commit(&mut lane, &of_day(1)).await.unwrap();
        assert_eq!((again.new, again.previous), (first.new, first.batch));
        assert_eq!(stored(&run).await.len(), again.ticks.len());
    })
    .await;
}

#[tokio::test]
async fn who_reads_the_whole_database_for_long_holds_up_neither_new_slots_nor_retention() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        database.commit(&mut lane, &of_day(1)).await.unwrap();
        let url = settings.url.expose().to_string();
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        // As pg_dump does, until its end.
        let mut dump = pool.begin().await.unwrap();
        sqlx::query("LOCK TABLE dex_trades, transfers, transactions, slots IN ACCESS SHARE MODE")
            .execute(&mut *dump)
            .await
            .unwrap();
        let new = database.commit(&mut lane, &of_day(5)).await.unwrap();
        assert!(new.new > 0);
        let before = UnixMillis(3 * DAY);
        assert_eq!(database.forget(before).await.unwrap(), 0);
        database.commit(&mut lane, &of_day(6)).await.unwrap();
        dump.rollback().await.unwrap();
        assert_eq!(database.forget(before).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn partitions_have_the_columns_and_indexes_of_their_table() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        database.commit(&mut lane, &of_day(1)).await.unwrap();
        let url = settings.url.expose().to_string();
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        let without: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_index x JOIN pg_inherits p ON p.inhparent = x.indrelid
             WHERE NOT EXISTS (
                 SELECT FROM pg_inherits h JOIN pg_index y ON y.indexrelid = h.inhrelid
                 WHERE h.inhparent = x.indexrelid AND y.indrelid = p.inhrelid AND y.indisvalid)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(without, 0);
    })
    .await;
}
