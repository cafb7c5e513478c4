//! Databases that an earlier version has made: commands that read leave them as they are, and say who changes that.

use std::path::Path;

use perijove_tests::postgres::Postgres;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

use crate::program::{Said, command};

/// Whatever reads a database. Kafka is not there, and is not asked before the database is.
const READING: [&[&str]; 4] = [
    &["dead-letters", "list"],
    &["offsets", "show"],
    &["verify", "-r", "hours.csv"],
    &["export", "out.parquet", "--from", "24h"],
];

const TOLD: &str = "made by an earlier version; `run` and `replay` bring it up to date";

/// The first migration alone.
async fn first(folder: &str) -> Migrator {
    let name = "0001_streams.sql";
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let only = TempDir::new().unwrap();
    std::fs::copy(from.join(folder).join(name), only.path().join(name)).unwrap();
    Migrator::new(only.path()).await.unwrap()
}

/// Where commands run, with a configuration of this database.
fn folder(database: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let text = format!(
        "database: {{url: \"{database}\"}}
kafka: {{brokers: [\"127.0.0.1:1\"], security: plaintext, connect: 1s, group: {{id: tests}}}}
"
    );
    std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
    let hours = "2025-10-09T08:00:00Z,1,1\n";
    std::fs::write(folder.path().join("hours.csv"), hours).unwrap();
    folder
}

/// It does what it can; what it lacks of the schema it says, and who changes that.
fn assert_clear(words: &[&str], said: &Said) {
    let lacks = ["does not exist", "no such"];
    let lacks = lacks.iter().any(|text| said.error.contains(text));
    let clear = !lacks || said.error.contains(TOLD);
    assert!(clear, "{words:?}: {} {}{}", said.code, said.out, said.error);
    assert!(!said.error.contains("panicked"), "{}", said.error);
}

async fn ask(folder: &TempDir, words: &[&str]) -> Said {
    let words = [words, &["--config", "ingest.yaml"]].concat();
    command(folder.path(), &words).await
}

/// Everything in PostgreSQL's catalogue, and the migrations.
async fn catalogue(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT c::text FROM (SELECT oid::regclass::text, relnatts, relkind FROM pg_class) c
         UNION ALL SELECT version::text FROM _sqlx_migrations ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_earlier_postgres_stays_as_it_is_where_it_is_only_read() {
    let postgres = Postgres::shared().await;
    let pool = PgPool::connect(&postgres.url()).await.unwrap();
    first("postgres").await.run(&pool).await.unwrap();
    let folder = folder(&postgres.url());
    let before = catalogue(&pool).await;
    let mut told = 0;
    for words in READING {
        let said = ask(&folder, words).await;
        assert_clear(words, &said);
        told += i32::from(said.error.contains(TOLD));
    }
    assert!(told > 0, "nothing needs what the first version lacks");
    assert_eq!(catalogue(&pool).await, before);
}

#[tokio::test]
async fn an_earlier_sqlite_stays_as_it_is_where_it_is_only_read() {
    let made = TempDir::new().unwrap();
    let file = made.path().join("earlier.db");
    let options = SqliteConnectOptions::new().filename(&file);
    let pool = SqlitePool::connect_with(options.create_if_missing(true))
        .await
        .unwrap();
    first("sqlite").await.run(&pool).await.unwrap();
    pool.close().await;
    let folder = folder(&format!("sqlite:{}", file.display()));
    let before = std::fs::read(&file).unwrap();
    let mut told = 0;
    for words in READING {
        let said = ask(&folder, words).await;
        assert_clear(words, &said);
        told += i32::from(said.error.contains(TOLD));
    }
    assert!(told > 0, "nothing needs what the first version lacks");
    assert!(
        std::fs::read(&file).unwrap() == before,
        "the file has changed"
    );
}

#[tokio::test]
async fn no_command_that_reads_makes_a_file() {
    let folder = folder("sqlite:nowhere.db");
    let files = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let dry: &[&str] = &["offsets", "reset", "--to", "earliest", "--dry-run"];
    for words in READING.into_iter().chain([&["lag"][..], dry]) {
        let said = ask(&folder, words).await;
        assert_ne!(said.code, 0, "{words:?}: {}", said.out);
        assert_eq!(files(), before, "{words:?}");
    }
}
