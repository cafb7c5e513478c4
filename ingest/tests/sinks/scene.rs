//! What the tests of the sinks share: open databases, made-up trades, batches.

use std::future::Future;

use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::decode::{Encoding, Kind, Limits, decode};
use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::project::{Trade, project};
use perijove_ingest::record::{Record, UnixMillis};
use perijove_ingest::sink::database::{Database, RowBatch};
use perijove_tests::postgres::Postgres;
use tempfile::TempDir;

/// Where a database is that is opened again and again.
pub(crate) fn at(url: &str) -> config::Database {
    config::Database {
        url: StoreUrl::parse(url, &["sqlite", "postgres"]).unwrap(),
        ..config::Database::default()
    }
}

/// Calls with a new SQLite file.
pub(crate) async fn on_sqlite<F: Future>(test: impl FnOnce(config::Database) -> F) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("test.db");
    test(at(&format!("sqlite:{}", file.display()))).await;
}

/// Calls with a new database of PostgreSQL.
pub(crate) async fn on_postgres<F: Future>(test: impl FnOnce(config::Database) -> F) {
    let postgres = Postgres::shared().await;
    test(at(&postgres.url())).await;
}

/// Makes a test on each database of every function that takes its settings.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                crate::scene::on_sqlite(super::$test).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                crate::scene::on_postgres(super::$test).await;
            })+
        }
    };
}
pub(crate) use on_both;

pub(crate) async fn open(settings: &config::Database) -> Database {
    Database::open(settings).await.unwrap()
}

/// The first records of a made-up stream.
pub(crate) fn records(plan: Plan, count: usize) -> Vec<Record> {
    Generator::new(plan).take(count).collect()
}

/// The trades of a record; none when it is poison.
pub(crate) fn trades(record: &Record) -> Vec<Trade> {
    let payload = record.payload.as_ref();
    let message = decode(Kind::Trades, Encoding::Auto, payload, &Limits::default());
    let recorded = record.timestamp.unwrap_or(UnixMillis(0));
    message.map_or_else(|_| Vec::new(), |message| project(message, recorded).trades)
}

/// One batch of some records.
pub(crate) fn batch(records: &[Record]) -> RowBatch {
    RowBatch {
        next_offset: records.last().map(|record| record.place.offset + 1),
        trades: records.iter().flat_map(trades).collect(),
        ..RowBatch::default()
    }
}
