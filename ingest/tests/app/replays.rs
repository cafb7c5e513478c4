//! A replay that ends before everything is stored: it says so, and the next one goes on.

use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::sink::database::Database;
use perijove_tests::postgres::Postgres;
use perijove_tests::redis::Redis;
use sqlx::postgres::PgPool;
use tempfile::TempDir;

use crate::commands::{RECORDING, configure, poisoned, record};
use crate::program::{Program, command};

const WORDS: [&str; 4] = ["replay", RECORDING, "-c", "ingest.yaml"];

/// A folder with a recording of 300 messages and a configuration for this database, which has its tables.
async fn folder(postgres: &Postgres) -> TempDir {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(21, 300));
    let url = postgres.url();
    let text = format!(
        "database: {{url: \"{url}\", timeout: 1s, connect: 1s}}\n\
         breaker: {{open: 500ms}}\nshutdown: {{grace: 1s}}\n"
    );
    configure(folder.path(), &text);
    let settings = config::Database {
        url: StoreUrl::parse(&url, &["postgres"]).unwrap(),
        ..config::Database::default()
    };
    Database::open(&settings).await.unwrap();
    folder
}

/// Ends a replay that waits for something, which is no success.
async fn give_up(mut replay: Program) {
    replay.terminate();
    let status = replay.ended().await;
    assert_eq!(status.code(), Some(1), "{}", replay.log());
    let told = "stopped before the whole recording was stored; run the same command again";
    assert!(replay.log().contains(told), "{}", replay.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_gives_up_says_for_what_it_waited_and_fails() {
    let postgres = Postgres::alone(&["-c", "fsync=off"]).await;
    let folder = folder(&postgres).await;
    let pool = PgPool::connect(&postgres.url()).await.unwrap();
    let mut holds = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE kafka_offsets IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *holds)
        .await
        .unwrap();

    let replay = Program::replay(folder.path(), &WORDS[1..]);
    replay.says("database write failed; retrying").await;
    give_up(replay).await;
    holds.rollback().await.unwrap();

    let again = command(folder.path(), &WORDS).await.well();
    assert!(again.contains("300 messages"), "{again}");
    let again = command(folder.path(), &WORDS).await.well();
    assert!(again.contains("300 messages: 0 new rows"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_never_found_its_database_fails_as_well() {
    let postgres = Postgres::alone(&["-c", "fsync=off"]).await;
    let folder = folder(&postgres).await;
    postgres.kill().await;
    let replay = Program::replay(folder.path(), &WORDS[1..]);
    replay.says("database unavailable; retrying").await;
    let host = postgres.url().replace("perijove@", "");
    assert!(replay.log().contains(&host), "{}", replay.log());
    give_up(replay).await;
    postgres.restart().await;
    let again = command(folder.path(), &WORDS).await.well();
    assert!(again.contains("300 messages"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_for_redis_to_take_the_last_prices() {
    let folder = TempDir::new().unwrap();
    let redis = Redis::start().await;
    record(folder.path(), &poisoned(3, 50));
    let text = format!(
        "redis: {{url: \"{}\", timeout: 200ms}}\nbreaker: {{open: 500ms}}\nshutdown: {{grace: 1m}}\n",
        redis.url()
    );
    configure(folder.path(), &text);
    redis.pause();
    let mut replay = Program::replay(folder.path(), &WORDS[1..]);
    replay.says("waiting for Redis and the database").await;
    assert_eq!(replay.log().matches("could not write").count(), 0);
    redis.resume();
    let status = replay.ended().await;
    assert!(status.success(), "{}", replay.log());
    let keys = redis.keys().await;
    let prices = keys.iter().filter(|key| key.starts_with("pj:v1:usd:"));
    assert!(prices.count() > 1, "{keys:?}");
}
