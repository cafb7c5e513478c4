//! What the tests of the sinks share: open databases, made-up trades, batches.

use std::future::Future;

use perijove_core::Slot;
use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::dead_letter::DeadLetter;
use perijove_ingest::decode::{Encoding, Kind, Limits, decode};
use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::project::{Poisoned, ProjectError, Trade, project};
use perijove_ingest::record::{Place, Record, UnixMillis};
use perijove_ingest::sink::database::{Database, RowBatch, StoredTick, TickQuery};
use perijove_tests::postgres::Postgres;
use sqlx::PgPool;
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

/// All trades, in the order of the chain.
pub(crate) async fn stored(database: &Database) -> Vec<StoredTick> {
    let mut all = Vec::new();
    let everything = TickQuery {
        from: -1,
        ..TickQuery::default()
    };
    let each = |stored| all.push(stored);
    database.ticks(&everything, each).await.unwrap();
    all.sort_by_key(|stored: &StoredTick| (stored.tick.position, stored.tick.signature));
    all
}

/// Milliseconds.
pub(crate) const DAY: i64 = 86_400_000;

/// Trades of one day, counted from 1970; no two days share a partition.
pub(crate) fn of_day(days: i64) -> RowBatch {
    let plan = Plan {
        seed: days.unsigned_abs(),
        first_slot: Slot(1_000_000 * days.unsigned_abs()),
        start: UnixMillis(days * DAY),
        ..Plan::default()
    };
    batch(&records(plan, 20))
}

/// A record of partition 2.
pub(crate) fn record(offset: i64, payload: &'static [u8]) -> Record {
    Record {
        place: Place {
            topic: "topic".into(),
            partition: 2,
            offset,
        },
        timestamp: (offset > 1).then_some(UnixMillis(1_760_000_000_001)),
        key: None,
        payload: Some(bytes::Bytes::from_static(payload)),
    }
}

/// A letter about a whole record.
pub(crate) fn unusable(record: Record) -> DeadLetter {
    let fault = ProjectError::Missing("signature");
    DeadLetter::of_transaction(
        record,
        &Poisoned {
            transaction: 0,
            fault,
        },
    )
}

/// A database with some trades in it.
pub(crate) async fn filled(settings: &config::Database) -> RowBatch {
    let database = open(settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    let batch = batch(&records(Plan::default(), 60));
    database.commit(&mut lane, &batch).await.unwrap();
    batch
}

/// A way to PostgreSQL past the program.
pub(crate) async fn server(settings: &config::Database) -> PgPool {
    PgPool::connect(settings.url.expose().as_str())
        .await
        .unwrap()
}
