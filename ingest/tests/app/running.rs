//! The running program: how it ends, what it does while a sink is away, and what it says of itself.

use perijove_ingest::generator::Generator;
use perijove_ingest::record::Record;
use perijove_tests::metrics::Metrics;
use perijove_tests::wait::until_within;
use serde_json::json;
use tokio::time::timeout;

use crate::beginning::assert_were_there;
use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program};
use crate::world::{GROUP, PARTITIONS, TOPIC, World};

fn records(seed: u64, count: usize) -> Vec<Record> {
    Generator::new(plan(seed)).take(count).collect()
}

async fn trades(world: &World) -> i64 {
    let pool = world.pool().await;
    let count = sqlx::query_scalar("SELECT count(*) FROM dex_trades");
    count.fetch_one(&pool).await.unwrap()
}

async fn assert_ready(program: &Program) {
    let (status, reason) = program.ask("/ready").await;
    assert_eq!(status, 200, "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_read_is_in_both_sinks_before_it_ends() {
    let world = World::start().await;
    // Nothing would be written for minutes.
    let mut program = world.program_with(None, "{rows: 100000, wait: 1m}");
    let mut ledger = Ledger::default();
    ledger.send(&world.kafka.producer(), records(1, 200)).await;
    until_within(PATIENCE, "everything to be read", || async {
        let buffered = program.metrics().await.sum("kafka_buffered_bytes", &[]);
        (buffered >= ledger.bytes() as f64).then_some(())
    })
    .await;
    assert_eq!(trades(&world).await, 0);

    program.terminate();
    let status = program.ended().await;
    assert!(status.success(), "{status}");
    let pool = world.pool().await;
    assert_eq!(world.stored(&pool).await.unwrap(), ledger.ends());
    assert_eq!(world.committed().await, ledger.ends());
    let expected = i64::try_from(ledger.trades().len()).unwrap();
    assert_eq!(trades(&world).await, expected);
    assert!(world.redis_equals_the_database().await > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_while_the_database_is_away_and_everything_afterwards() {
    let world = World::start().await;
    let program = world.program(None);
    let producer = world.kafka.producer();
    let mut ledger = Ledger::default();
    let pool = world.pool().await;
    ledger.send(&producer, records(2, 60)).await;
    world.all_stored(&pool, &ledger).await;
    let health = program
        .healthy_when("all partitions", |health| {
            health["partitions"] == json!(PARTITIONS) && health["status"] == "healthy"
        })
        .await;
    assert_eq!(health["kafka_connected"], json!(true));
    assert_eq!(health["database"], "closed");
    assert_eq!(health["redis"], "closed");
    assert_ready(&program).await;

    world.postgres.kill().await;
    ledger.send(&producer, records(3, 400)).await;
    let health = program
        .healthy_when("the breaker to open", |health| health["database"] == "open")
        .await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["reason"], "the database does not answer");
    assert_eq!(health["kafka_connected"], json!(true));
    until_within(
        PATIENCE,
        "partitions to be paused and not ready",
        || async {
            let metrics = program.metrics().await;
            let paused = metrics.sum("kafka_paused_partitions", &[]) as i32;
            let (status, reason) = program.ask("/ready").await;
            // Half-open for a moment now and then, for trials.
            (paused == PARTITIONS && status == 503 && reason.contains("database")).then_some(())
        },
    )
    .await;

    world.postgres.restart().await;
    world.all_stored(&pool, &ledger).await;
    program
        .healthy_when("health", |health| health["status"] == "healthy")
        .await;
    assert_ready(&program).await;
    program.leave().await;
    let expected = i64::try_from(ledger.trades().len()).unwrap();
    assert_eq!(trades(&world).await, expected);
    world.redis_equals_the_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_trades_are_stored_and_it_is_mended_afterwards() {
    let mut world = World::start().await;
    let program = world.program(None);
    let producer = world.kafka.producer();
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    ledger.send(&producer, records(4, 60)).await;
    world.all_stored(&pool, &ledger).await;

    world.redis.kill().await;
    let mut stream = Generator::new(plan(5));
    timeout(PATIENCE, async {
        while program.health().await["redis"] != "open" {
            let some = stream.by_ref().take(20).collect();
            ledger.send(&producer, some).await;
        }
    })
    .await
    .expect("the breaker opens");
    let health = program.health().await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["database"], "closed");
    assert_ready(&program).await;
    world.all_stored(&pool, &ledger).await;

    world.redis.restart().await;
    program
        .healthy_when("health", |health| health["status"] == "healthy")
        .await;
    ledger.send(&producer, records(6, 40)).await;
    world.all_stored(&pool, &ledger).await;
    let metrics = program.metrics().await;
    assert!(metrics.sum("perijove_ingest_redis_batches_total", &[("how", "mended")]) > 0.0);
    program.leave().await;
    world.redis_equals_the_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_partitions_is_connected_and_ready() {
    let world = World::start().await;
    let program = world.program(None);
    let health = program
        .healthy_when("a partition", |health| health["partitions"] != json!(0))
        .await;
    assert_eq!(health["kafka_connected"], json!(true), "{health}");
    assert_eq!(health["ready"], json!(true), "{health}");
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_a_database_that_is_not_there_yet_and_says_so() {
    let world = World::start().await;
    world.postgres.kill().await;
    let program = world.program(None);
    let health = program.health().await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["reason"], "the database is not open yet");
    assert_eq!(health["kafka_connected"], json!(false));
    assert_eq!(program.ask("/ready").await.0, 503);
    program.leave().await;

    let program = world.program(None);
    program.health().await;
    world.postgres.restart().await;
    program
        .healthy_when("health", |health| health["status"] == "healthy")
        .await;
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_somebody_sets_are_taken_over_at_once() {
    let world = World::start().await;
    let program = world.program(None);
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    ledger.send(&world.kafka.producer(), records(8, 200)).await;
    world.all_stored(&pool, &ledger).await;
    let known =
        |metrics: &Metrics| metrics.sum("perijove_ingest_rows_total", &[("outcome", "known")]);
    let before = known(&program.metrics().await);
    let lanes = "SELECT epoch FROM kafka_offsets ORDER BY lane";
    let epochs: Vec<i64> = sqlx::query_scalar(lanes).fetch_all(&pool).await.unwrap();
    let dry = ["offsets", "reset", "--to", "earliest", "--dry-run"];
    let said = world.command(&dry).await;
    assert_eq!(said.lines().count(), PARTITIONS as usize);
    let after: Vec<i64> = sqlx::query_scalar(lanes).fetch_all(&pool).await.unwrap();
    assert_eq!(after, epochs, "a dry run claims nothing");
    let said = world
        .command(&["offsets", "reset", "--to", "earliest"])
        .await;
    assert_eq!(said.lines().count(), PARTITIONS as usize);
    until_within(PATIENCE, "everything to be read again", || async {
        let again = known(&program.metrics().await) - before;
        (again as usize >= ledger.trades().len()).then_some(())
    })
    .await;
    world.all_stored(&pool, &ledger).await;
    let shown = world.command(&["offsets", "show"]).await;
    for (partition, end) in ledger.ends() {
        let line = shown
            .lines()
            .find(|line| line.contains(&format!("[{partition}]")));
        let columns: Vec<&str> = line.unwrap().split_whitespace().collect();
        let end = end.to_string();
        assert_eq!(columns[4..], [&*end, "0"], "{shown}");
    }
    program.leave().await;
    let expected = i64::try_from(ledger.trades().len()).unwrap();
    assert_eq!(trades(&world).await, expected);
    world.redis_equals_the_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_the_database_does_not_take_at_first_is_stored_later() {
    let world = World::start().await;
    let database = world.database().await;
    // As when all that was to be read next has expired.
    database.reset(GROUP, TOPIC, 0, 900).await.unwrap();
    let pool = world.pool().await;
    sqlx::raw_sql(
        "CREATE FUNCTION unwell() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'unwell' USING ERRCODE = '57P03'; END $$;
         CREATE TRIGGER unwell BEFORE INSERT ON ingest_gaps EXECUTE FUNCTION unwell()",
    )
    .execute(&pool)
    .await
    .unwrap();
    let program = world.program(None);
    until_within(PATIENCE, "the database to refuse it", || async {
        program.log().contains("unwell").then_some(())
    })
    .await;
    let healed = sqlx::raw_sql("DROP TRIGGER unwell ON ingest_gaps");
    healed.execute(&pool).await.unwrap();
    let gap: (i32, i64, i64) = until_within(PATIENCE, "the gap to be stored", || async {
        let gaps = sqlx::query_as("SELECT partition, from_offset, to_offset FROM ingest_gaps");
        gaps.fetch_optional(&pool).await.unwrap()
    })
    .await;
    assert_eq!(gap, (0, 900, 0));
    let stored = world.stored(&pool).await.unwrap();
    assert_eq!(stored.get(&0), Some(&0));
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_that_dashboards_were_made_for() {
    let world = World::start().await;
    let program = world.program(None);
    let mut ledger = Ledger::default();
    let mut some = records(7, 100);
    some[3].payload = Some("no message".into());
    ledger.send(&world.kafka.producer(), some).await;
    let metrics = until_within(PATIENCE, "lag and delay", || async {
        let metrics = program.metrics().await;
        let partitions = metrics
            .label_values("kafka_consumer_lag", "partition")
            .len();
        let told = metrics.sum("kafka_consumer_lag", &[]) == 0.0
            && metrics.sum("perijove_ingest_end_to_end_seconds_count", &[]) > 0.0;
        let processed = metrics.sum("messages_processed_total", &[("topic", TOPIC)]);
        let all = told && partitions == PARTITIONS as usize && processed as usize == ledger.len();
        all.then_some(metrics)
    })
    .await;
    for (name, labels, expected) in [
        ("kafka_connection_active", &[][..], 1.0),
        ("processing_errors_total", &[("kind", "protobuf")], 1.0),
        ("dead_letters_total", &[("class", "protobuf")], 1.0),
        ("kafka_consumer_lag", &[("group", "tests")], 0.0),
        ("message_processing_duration_seconds_count", &[], 100.0),
        (
            "perijove_ingest_breaker_state",
            &[("sink", "database")],
            0.0,
        ),
        ("perijove_ingest_breaker_state", &[("sink", "redis")], 0.0),
    ] {
        assert!(
            (metrics.sum(name, labels) - expected).abs() < f64::EPSILON,
            "{name}{labels:?}: {}",
            metrics.sum(name, labels)
        );
    }
    each_is_told_of(&program).await;
    let rows = metrics.sum("perijove_ingest_rows_total", &[("outcome", "new")]);
    assert_eq!(rows as usize, ledger.trades().len());
    program.leave().await;
}

/// The page of the documentation has every metric with its type.
async fn each_is_told_of(program: &Program) {
    let page = include_str!("../../../docs/ingest-storing.md");
    let (_, text) = program.ask("/metrics").await;
    assert_were_there(&text).await;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(
            page.contains(&format!("| `{name}` | {kind} |")),
            "{name}, a {kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_told_until_it_is() {
    let world = World::start().await;
    let program = world.program_of("solana.tokens.proto");
    let health = program
        .healthy_when("the topic to be missed", |health| {
            health["kafka_connected"] == json!(true) && health["status"] == "degraded"
        })
        .await;
    assert!(
        health["last_error"]
            .to_string()
            .contains("solana.tokens.proto"),
        "{health}"
    );
    assert_eq!(program.ask("/ready").await.0, 503);
    world.kafka.create_topic("solana.tokens.proto", 1).await;
    program
        .healthy_when("health", |health| health["status"] == "healthy")
        .await;
    assert_ready(&program).await;
    program.leave().await;
}

#[tokio::test]
async fn what_it_cannot_do_it_says_and_ends() {
    use crate::program::command;
    let folder = tempfile::TempDir::new().unwrap();
    for (text, code, told) in [
        ("{}", 3, "Kafka is not configured"),
        ("databse: {}", 3, "databse"),
        (
            "http: {listen: off}\nkafka: {security: plaintext, brokers: [\"127.0.0.1:1\"], group: {id: x}}\n\
             database: {url: \"sqlite:nowhere/at/all.db\"}",
            1,
            "database",
        ),
    ] {
        std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
        let said = command(folder.path(), &["run", "--config", "ingest.yaml"]).await;
        assert_eq!(said.code, code, "{text}: {}", said.error);
        assert!(said.error.contains(told), "{text}: {}", said.error);
        assert_eq!(said.out, "", "{text}: it must not listen");
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(files.count(), 1, "nothing but the configuration");
}
