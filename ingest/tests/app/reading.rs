//! Commands that read: the right to SELECT is enough, and nothing is made, changed or migrated.

use perijove_ingest::generator::Generator;
use perijove_ingest::record::Record;
use perijove_tests::postgres::Postgres;
use sqlx::postgres::PgPool;

use crate::commands::hours_as_csv;
use crate::messages::{Ledger, plan};
use crate::world::{PARTITIONS, TOPIC, World};

/// Later than anything, in milliseconds since 1970.
const FAR: i64 = 4_000_000_000_000;

/// Everything that there is in a database, by name.
async fn relations(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT oid::regclass::text FROM pg_class ORDER BY oid")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// The lanes, which whoever claims one changes, and the dead letters.
async fn rows(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT o::text FROM kafka_offsets o UNION ALL SELECT l::text FROM dead_letters l ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn execute(pool: &PgPool, statements: &[&'static str]) {
    for statement in statements {
        sqlx::query(*statement).execute(pool).await.unwrap();
    }
}

/// A world in whose database something is stored, also a dead letter.
async fn world_with_trades() -> (World, PgPool) {
    let world = World::start().await;
    let program = world.program(None);
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    let mut some: Vec<Record> = Generator::new(plan(31)).take(60).collect();
    some[3].payload = Some("no message".into());
    ledger.send(&world.kafka.producer(), some).await;
    world.all_stored(&pool, &ledger).await;
    program.leave().await;
    (world, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_select_is_enough_for_commands_that_read() {
    let (world, pool) = world_with_trades().await;
    execute(
        &pool,
        &[
            "CREATE ROLE reader LOGIN",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        ],
    )
    .await;
    let hours = world.database().await.hours(0, FAR).await.unwrap();
    let reference = world.folder().join("hours.csv");
    std::fs::write(&reference, hours_as_csv(&hours, 1.0)).unwrap();
    let as_reader = |text: String| text.replace("//perijove@", "//reader@");
    let before = (relations(&pool).await, rows(&pool).await);

    for (words, lines, told) in [
        (&["dead-letters", "list"][..], 1, "protobuf"),
        (&["offsets", "show"], 1 + PARTITIONS, TOPIC),
        (&["lag"], 1 + PARTITIONS, TOPIC),
        (&["verify", "-r", "hours.csv"], 0, "0 of "),
        (
            &["export", "out.parquet", "--from", "24h"],
            0,
            "trades are in",
        ),
    ] {
        let said = world.command_as(as_reader, words).await.well();
        assert!(said.contains(told), "{words:?}: {said}");
        let least = usize::try_from(lines).unwrap();
        assert!(said.lines().count() >= least, "{words:?}: {said}");
    }
    assert_eq!((relations(&pool).await, rows(&pool).await), before);

    // It is the role that may not write, and not nobody who tries.
    let refused = world
        .command_as(as_reader, &["dead-letters", "replay"])
        .await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.error.contains("permission denied"),
        "{}",
        refused.error
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_read_make_no_tables_and_say_who_does() {
    let world = World::start().await;
    let empty = Postgres::shared().await;
    let pool = PgPool::connect(&empty.url()).await.unwrap();
    let before = relations(&pool).await;
    std::fs::write(
        world.folder().join("hours.csv"),
        "2025-10-09T08:00:00Z,1,1\n",
    )
    .unwrap();
    let there = |text: String| text.replace(&world.postgres.url(), &empty.url());
    for words in [
        &["dead-letters", "list"][..],
        &["dead-letters", "replay"],
        &["offsets", "show"],
        &["verify", "-r", "hours.csv"],
    ] {
        let said = world.command_as(there, words).await;
        assert_eq!(said.code, 1, "{words:?}: {}", said.out);
        let told = "(`run` and `replay` create the tables)";
        assert!(said.error.contains(told), "{words:?}: {}", said.error);
    }
    assert_eq!(relations(&pool).await, before);
}
