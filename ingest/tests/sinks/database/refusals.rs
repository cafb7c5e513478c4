//! What a database refuses, for a while or for ever.

use perijove_ingest::config;
use perijove_ingest::generator::Plan;
use perijove_ingest::record::UnixMillis;
use perijove_ingest::sink::database::{CommitOutcome, DatabaseError};
use sqlx::Connection as _;

use crate::scene::{batch, of_day, on_both, open, records, stored};

on_both!(a_batch_that_is_refused_leaves_nothing_behind,);

async fn a_batch_that_is_refused_leaves_nothing_behind(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let good = batch(&records(Plan::default(), 10));
    let mut bad = good.clone();
    // No database can place it in its calendar, or has so many milliseconds.
    bad.trades[3].origin.block_time = Some(UnixMillis(i64::MAX));
    let refused = database.commit(&mut lane, &bad).await;
    if database_refuses(&settings) {
        assert!(
            matches!(refused, Err(DatabaseError::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(
            database.settle(&mut lane).await.unwrap(),
            CommitOutcome::Lost
        );
        assert_eq!(stored(&database).await, []);
    }
    database.commit(&mut lane, &good).await.unwrap();
}

#[tokio::test]
async fn sqlite_goes_on_after_it_has_taken_a_transaction_back_by_itself() {
    crate::scene::on_sqlite(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let other = sqlx::SqlitePool::connect(&url).await.unwrap();
        // What happens when the disk is full, without filling one.
        sqlx::query(
            "CREATE TRIGGER full BEFORE INSERT ON dex_trades
             BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END",
        )
        .execute(&other)
        .await
        .unwrap();
        let batch = batch(&records(Plan::default(), 10));
        for _ in 0..3 {
            let error = database.commit(&mut lane, &batch).await.unwrap_err();
            assert!(error.to_string().contains("the disk is full"), "{error}");
        }
        let there_is_space = sqlx::query("DROP TRIGGER full").execute(&other).await;
        there_is_space.unwrap();
        let committed = database.commit(&mut lane, &batch).await.unwrap();
        assert!(committed.new > 0);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_a_check_or_a_trigger_refuses_is_refused() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let other = sqlx::PgPool::connect(&url).await.unwrap();
        let run = async |statement: &'static str| {
            sqlx::raw_sql(statement).execute(&other).await.unwrap();
        };
        for (make, unmake) in [
            (
                "ALTER TABLE dex_trades ADD CONSTRAINT nothing CHECK (slot < 0)",
                "ALTER TABLE dex_trades DROP CONSTRAINT nothing",
            ),
            (
                "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
                 CREATE TRIGGER nothing BEFORE INSERT ON dex_trades
                 FOR EACH ROW EXECUTE FUNCTION nothing()",
                "DROP FUNCTION nothing() CASCADE",
            ),
            (
                "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN RAISE check_violation; END $$;
                 CREATE TRIGGER nothing BEFORE INSERT ON dex_trades
                 FOR EACH ROW EXECUTE FUNCTION nothing()",
                "DROP FUNCTION nothing() CASCADE",
            ),
        ] {
            run(make).await;
            let refused = database.commit(&mut lane, &of_day(1)).await;
            assert!(
                matches!(refused, Err(DatabaseError::Refused(_))),
                "{make}: {refused:?}"
            );
            run(unmake).await;
        }
        assert!(database.commit(&mut lane, &of_day(1)).await.unwrap().new > 0);
    })
    .await;
}

#[tokio::test]
async fn connections_of_a_time_when_the_server_was_read_only_are_given_up() {
    crate::scene::on_postgres(async |settings: config::Database| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let url = settings.url.expose().to_string();
        let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
        read_only(&mut other, "SET default_transaction_read_only = on").await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut other)
        .await
        .unwrap();
        let mut refused = database.commit(&mut lane, &of_day(1)).await;
        for _ in 0..10 {
            if matches!(&refused, Err(error) if error.to_string().contains("25006")) {
                break;
            }
            refused = database.commit(&mut lane, &of_day(1)).await;
        }
        let refused = refused.unwrap_err();
        let answer = refused.answer().unwrap();
        assert!(
            answer.contains("read-only") && answer.contains("25006"),
            "{answer}"
        );
        read_only(&mut other, "RESET default_transaction_read_only").await;
        assert!(database.commit(&mut lane, &of_day(1)).await.unwrap().new > 0);
    })
    .await;
}

/// Changes a setting of the database.
async fn read_only(connection: &mut sqlx::PgConnection, to: &str) {
    let statement =
        format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {to}', current_database()); END $$");
    let run = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
    run.execute(connection).await.unwrap();
}

/// SQLite has no calendar.
fn database_refuses(settings: &config::Database) -> bool {
    settings.url.scheme() == "postgres"
}
