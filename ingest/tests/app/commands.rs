//! The commands that need no Kafka: recordings, dead letters, comparisons.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use perijove_core::redis::{Dollars, open, price};
use perijove_core::{Pubkey, Slot};
use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::project::WSOL;
use perijove_ingest::record::{Place, Record, UnixMillis};
use perijove_ingest::recording::RecordingWriter;
use perijove_ingest::sink::database::{Database, HourTotals};
use perijove_tests::ports;
use perijove_tests::redis::Redis;
use perijove_tests::wait::until_within;
use serde_json::json;
use tempfile::TempDir;

use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program, command};
use crate::world::redis_equals;

pub const RECORDING: &str = "trades.rec";

pub fn record(folder: &Path, records: &[Record]) {
    let file = File::create(folder.join(RECORDING)).unwrap();
    let mut writer = RecordingWriter::new(file).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
}

pub fn poisoned(seed: u64, count: usize) -> Vec<Record> {
    let plan = Plan {
        poison: 0.06,
        ..plan(seed)
    };
    Generator::new(plan).take(count).collect()
}

async fn sqlite(folder: &Path) -> Database {
    let url = format!("sqlite:{}", folder.join("perijove.db").display());
    let settings = config::Database {
        url: StoreUrl::parse(&url, &["sqlite"]).unwrap(),
        ..config::Database::default()
    };
    Database::open(&settings).await.unwrap()
}

pub fn configure(folder: &Path, text: &str) {
    std::fs::write(folder.join("ingest.yaml"), text).unwrap();
}

#[tokio::test]
async fn a_recording_is_replayed_into_a_file_with_nothing_else_installed() {
    let folder = TempDir::new().unwrap();
    let records = poisoned(1, 300);
    record(folder.path(), &records);
    let ledger = Ledger::of(records);
    let (trades, poison) = (ledger.trades().len(), ledger.poison().len());
    let said = command(folder.path(), &["replay", RECORDING]).await.well();
    assert!(said.contains(&format!("{trades} new rows")), "{said}");
    let again = command(folder.path(), &["replay", RECORDING]).await.well();
    assert!(again.contains("300 messages: 0 new rows"), "{again}");
    let letters = command(folder.path(), &["dead-letters", "list", "-n", "1000"])
        .await
        .well();
    assert_eq!(letters.lines().count(), poison);
}

#[tokio::test]
async fn a_recording_is_replayed_into_redis_as_often_as_one_likes() {
    let redis = Redis::start().await;
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(2, 200));
    configure(
        folder.path(),
        &format!("redis: {{url: \"{}\", timeout: 10s}}", redis.url()),
    );
    for _ in 0..2 {
        command(folder.path(), &["replay", RECORDING, "-c", "ingest.yaml"])
            .await
            .well();
        let keys = redis_equals(&sqlite(folder.path()).await, &redis).await;
        assert!(keys > 50, "{keys}");
    }
}

#[tokio::test]
async fn a_recording_that_is_none_is_an_error() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(RECORDING), "nothing of the kind").unwrap();
    let said = command(folder.path(), &["replay", RECORDING]).await;
    assert_eq!(said.code, 1);
    assert!(said.error.contains(RECORDING), "{}", said.error);
}

/// A recording of which the larger messages became dead letters, and how many those are.
async fn too_large(folder: &Path, redis: &Redis) -> usize {
    let plan = Plan {
        ballast: 5_000,
        transactions: 30,
        ..plan(3)
    };
    let records: Vec<Record> = Generator::new(plan).take(60).collect();
    record(folder, &records);
    let too_large = |record: &&Record| record.payload.as_ref().unwrap().len() > 64 * 1024;
    let large = records.iter().filter(too_large).count();
    assert!(large > 10 && large < 55, "{large}");
    allow(folder, redis, "64KiB");
    run(folder, &["replay", RECORDING]).await;
    large
}

fn allow(folder: &Path, redis: &Redis, limit: &str) {
    let url = redis.url();
    let text = format!("redis: {{url: \"{url}\"}}\nbuffer: {{max_message: {limit}}}");
    configure(folder, &text);
}

async fn run(folder: &Path, words: &[&str]) -> String {
    let words = [words, &["-c", "ingest.yaml"]].concat();
    command(folder, &words).await.well()
}

#[tokio::test]
async fn a_recording_of_another_kind_is_refused_with_the_right_one() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(9, 300));
    let text = "streams: [{topic: solana.dextrades.proto, kind: transfers}]\n";
    configure(folder.path(), text);
    let words = ["replay", RECORDING, "-c", "ingest.yaml"];
    let said = command(folder.path(), &words).await;
    assert_eq!(said.code, 3, "{}", said.error);
    assert!(said.error.contains("set `kind: trades`"), "{}", said.error);
    let words = ["dead-letters", "list", "-c", "ingest.yaml"];
    assert_eq!(command(folder.path(), &words).await.well(), "");
}

#[tokio::test]
async fn a_topic_of_slots_is_read_as_its_stream_says() {
    let folder = TempDir::new().unwrap();
    let payloads = [
        r#"{"slot": 373000001, "parent": 373000000, "blockhash": null}"#,
        r#"{"Header": {"Slot": 373000002, "Timestamp": 1760000000}}"#,
        r#"{"slot": "none"}"#,
        r#"{"slot": 373000001, "parent": 373000000}"#,
    ];
    let records = payloads.iter().zip(0..).map(|(payload, offset)| Record {
        place: Place {
            topic: "slots".into(),
            partition: 0,
            offset,
        },
        timestamp: Some(UnixMillis(1_760_000_000_000)),
        key: None,
        payload: Some((*payload).into()),
    });
    record(folder.path(), &records.collect::<Vec<_>>());
    configure(folder.path(), "streams: [{topic: slots, kind: slots}]");
    let said = run(folder.path(), &["replay", RECORDING]).await;
    assert!(said.contains("4 messages: 2 new rows"), "{said}");
    let letters = run(folder.path(), &["dead-letters", "list"]).await;
    assert!(letters.contains("slots[0]@2  json"), "{letters}");
}

#[tokio::test]
async fn of_a_recording_that_was_cut_off_the_whole_records_are_stored() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(8, 50));
    let path = folder.path().join(RECORDING);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let said = command(folder.path(), &["replay", RECORDING]).await;
    assert!(said.out.contains("49 messages"), "{}", said.out);
    assert!(
        said.error.contains("ends in the middle of a record"),
        "{}",
        said.error
    );
    assert_eq!(said.code, 1, "not all of what was recorded is there");
    let letters = command(folder.path(), &["dead-letters", "list", "-n", "1000"]).await;
    assert_eq!(letters.code, 0, "what is whole is stored");
}

#[tokio::test]
async fn a_slot_far_ahead_of_what_is_stored_is_refused_also_after_a_restart_and_when_replayed() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(13, 30));
    let stored = command(folder.path(), &["replay", RECORDING]).await.well();
    let far = Plan {
        first_slot: Slot(plan(14).first_slot.0 + 100_000_000),
        poison: 0.0,
        ..plan(14)
    };
    record(
        folder.path(),
        &Generator::new(far).take(4).collect::<Vec<_>>(),
    );
    let said = command(folder.path(), &["replay", RECORDING]).await.well();
    assert!(said.contains("4 messages: 0 new rows"), "{stored}{said}");
    let class = ["--class", "slot"];
    let words = [&["dead-letters", "list"][..], &class].concat();
    let letters = command(folder.path(), &words).await.well();
    assert_eq!(letters.lines().count(), 4, "{letters}");
    let words = [&["dead-letters", "replay"][..], &class].concat();
    let replayed = command(folder.path(), &words).await;
    let told = "0 replayed, 4 still cannot be used";
    assert!(replayed.out.contains(told), "{}", replayed.out);
    assert_eq!(replayed.code, 1);
}

#[tokio::test]
async fn a_replay_that_is_interrupted_fails() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join(RECORDING);
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut program = Program::replay(folder.path(), &[RECORDING]);
    // A recording without an end: writes until nobody reads.
    let writer = std::thread::spawn(move || {
        let pipe = File::options().write(true).open(pipe).unwrap();
        let mut writer = RecordingWriter::new(pipe).unwrap();
        let mut records = Generator::new(plan(11));
        while records.all(|record| writer.write(&record).is_ok()) {}
    });
    until_within(PATIENCE, "it to read", || async {
        program.log().contains("partition assigned").then_some(())
    })
    .await;
    program.terminate();
    assert_eq!(program.ended().await.code(), Some(1), "{}", program.log());
    writer.join().unwrap();
    let told = "stopped before the whole recording was stored";
    assert!(program.log().contains(told), "{}", program.log());
}

#[tokio::test]
async fn a_replay_that_never_found_its_database_fails() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(12, 5));
    configure(
        folder.path(),
        "database: {url: \"postgres://x@127.0.0.1:1/x\"}",
    );
    let mut program = Program::replay(folder.path(), &[RECORDING, "-c", "ingest.yaml"]);
    until_within(PATIENCE, "it to wait for the database", || async {
        program.log().contains("database unavailable").then_some(())
    })
    .await;
    program.terminate();
    assert_eq!(program.ended().await.code(), Some(1), "{}", program.log());
}

#[tokio::test]
async fn dead_letters_are_replayed_once_they_can_be_used() {
    let redis = Redis::start().await;
    let folder = TempDir::new().unwrap();
    let large = too_large(folder.path(), &redis).await;
    let run = async |words: &[&str]| run(folder.path(), words).await;
    let listed = run(&["dead-letters", "list"]).await;
    assert_eq!(listed.lines().count(), large);
    assert!(
        listed.lines().all(|line| line.contains("too_large")),
        "{listed}"
    );
    let words = ["dead-letters", "replay", "-c", "ingest.yaml"];
    let replayed = command(folder.path(), &words).await;
    assert!(replayed.out.contains("0 replayed"), "{}", replayed.out);
    assert_eq!(replayed.code, 1, "not all could be used");

    let words = ["dead-letters", "replay", "--id", "999999"];
    let none = command(folder.path(), &words).await;
    assert!(
        none.error.contains("no dead letter 999999"),
        "{}",
        none.error
    );
    assert_eq!(none.code, 1);
    let words = ["dead-letters", "list", "--class", "nope"];
    let none = command(folder.path(), &words).await;
    assert!(
        none.error.contains("none of the class nope"),
        "{}",
        none.error
    );

    allow(folder.path(), &redis, "4MiB");
    let first = listed.split_whitespace().next().unwrap();
    let one = run(&["dead-letters", "replay", "--id", first]).await;
    assert!(one.contains("1 replayed, 0 still cannot be used"), "{one}");
    let rest = run(&["dead-letters", "replay", "--class", "too_large"]).await;
    let told = format!("{} replayed, 0 still cannot be used", large - 1);
    assert!(rest.contains(&told), "{rest}");
    assert_eq!(run(&["dead-letters", "list"]).await, "");
    let all = run(&["dead-letters", "list", "--all"]).await;
    assert_eq!(all.lines().count(), large);
    assert!(all.lines().all(|line| line.ends_with("replayed")), "{all}");

    // Everything is there as if nothing had been.
    redis_equals(&sqlite(folder.path()).await, &redis).await;
    let again = run(&["replay", RECORDING]).await;
    assert!(again.contains(" 0 new rows"), "{again}");
}

#[tokio::test]
async fn what_redis_missed_of_a_replay_it_gets_with_the_next() {
    let mut redis = Redis::start().await;
    let folder = TempDir::new().unwrap();
    too_large(folder.path(), &redis).await;
    allow(folder.path(), &redis, "4MiB");
    // As when Redis goes away in the midst of it.
    let url = redis.url();
    configure(folder.path(), "{}");
    run(folder.path(), &["dead-letters", "replay"]).await;
    configure(folder.path(), &format!("redis: {{url: \"{url}\"}}"));
    redis.kill().await;
    let words = ["dead-letters", "replay", "-c", "ingest.yaml"];
    let failed = command(folder.path(), &words).await;
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.error);
    redis.restart().await;
    run(folder.path(), &["replay", RECORDING]).await;
    run(folder.path(), &["dead-letters", "replay"]).await;
    redis_equals(&sqlite(folder.path()).await, &redis).await;
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_removed_while_it_runs() {
    let folder = TempDir::new().unwrap();
    let day = 86_400_000;
    let recent = plan(6);
    let old = Plan {
        start: UnixMillis(recent.start.0 - 30 * day),
        first_slot: Slot(recent.first_slot.0 - 30 * 216_000),
        ..plan(7)
    };
    for plan in [old, recent.clone()] {
        let records: Vec<Record> = Generator::new(plan).take(60).collect();
        record(folder.path(), &records);
        command(folder.path(), &["replay", RECORDING]).await.well();
    }
    let port = ports::take();
    // Nobody is there to read from, which is no reason to keep what is old.
    let text = format!(
        "http: {{listen: 127.0.0.1:{port}}}\n\
         kafka: {{brokers: [\"127.0.0.1:1\"], security: plaintext, group: {{id: x}}}}\n\
         database: {{url: \"sqlite:perijove.db\", retention: 168h}}"
    );
    configure(folder.path(), &text);
    let program = Program::start(&folder.path().join("ingest.yaml"), port);
    until_within(PATIENCE, "old rows to be removed", || async {
        let metrics = program.metrics().await;
        (metrics.sum("perijove_ingest_forgotten_total", &[]) > 0.0).then_some(())
    })
    .await;
    program.leave().await;
    let kept: Vec<Record> = Generator::new(recent).take(60).collect();
    let hours = sqlite(folder.path())
        .await
        .hours(0, i64::MAX)
        .await
        .unwrap();
    let trades: u64 = hours.iter().map(|hour| hour.trades).sum();
    let (all, sums) = (
        Ledger::of(kept.clone()).trades().len(),
        Ledger::of(kept).sums(),
    );
    assert_eq!(trades as usize, all - sums);
}

/// A reference for `verify` in which everything is so many times as much.
pub fn hours_as_csv(hours: &[HourTotals], factor: f64) -> String {
    let lines = hours.iter().map(|hour| {
        let since = std::time::Duration::from_millis(hour.start.unsigned_abs());
        let time = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since);
        let (trades, volume) = (hour.trades as f64 * factor, hour.volume_usd * factor);
        format!("{time},{trades},{volume}\n")
    });
    lines.collect()
}

#[tokio::test]
async fn hours_that_lack_trades_are_flagged() {
    let folder = TempDir::new().unwrap();
    let records = poisoned(4, 200);
    record(folder.path(), &records);
    command(folder.path(), &["replay", RECORDING]).await.well();
    let hours = sqlite(folder.path())
        .await
        .hours(0, i64::MAX)
        .await
        .unwrap();
    assert!(!hours.is_empty());
    let reference = |factor: f64| {
        std::fs::write(
            folder.path().join("reference.csv"),
            hours_as_csv(&hours, factor),
        )
        .unwrap();
    };
    let verify = ["verify", "--reference", "reference.csv"];
    reference(1.04);
    command(folder.path(), &verify).await.well();
    reference(1.06);
    let said = command(folder.path(), &verify).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("<-"), "{}", said.out);
    let tolerant = [&verify[..], &["--tolerance", "10"]].concat();
    command(folder.path(), &tolerant).await.well();
}

/// Says of every token that it costs as much.
async fn jupiter(dollars: f64) -> String {
    #[derive(serde::Deserialize)]
    struct Asked {
        ids: String,
    }
    let answer = async |State(dollars): State<Arc<f64>>, Query(asked): Query<Asked>| {
        let prices = asked.ids.split(',').map(|mint| {
            let told = json!({ "usdPrice": *dollars, "blockId": 1, "decimals": 6 });
            (mint.to_owned(), told)
        });
        axum::Json(prices.collect::<serde_json::Map<_, _>>())
    };
    let app = Router::new().route("/price/v3", get(answer));
    let app = app.with_state(Arc::new(dollars));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/price/v3")
}

#[tokio::test]
async fn prices_that_differ_from_jupiters_are_flagged() {
    let redis = Redis::start().await;
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(5, 200));
    configure(
        folder.path(),
        &format!("redis: {{url: \"{}\"}}", redis.url()),
    );
    command(folder.path(), &["replay", RECORDING, "-c", "ingest.yaml"])
        .await
        .well();
    let key = price(WSOL);
    let value = redis.value(&key).await;
    let (_, body) = open(&key, &value, 4096).unwrap();
    let Dollars {
        usd: ours,
        uncertain,
        ..
    } = Dollars::decode(&body).unwrap();
    assert!(uncertain > 0.0);
    let less = (uncertain / 2.0).to_string();
    let sol = WSOL.to_string();
    let unknown = Pubkey([9; 32]).to_string();
    let metrics = folder.path().join("prices.prom");
    for (factor, age, most, more, code, flag) in [
        (1.01, "100years", "1", None, 0, "1 good"),
        (1.05, "100years", "1", None, 1, "<- off"),
        (1.01, "1s", "1", None, 1, "<- old"),
        (1.01, "100years", &*less, None, 1, "<- uncertain"),
        (1.01, "100years", "1", Some(&*unknown), 1, "<- missing"),
    ] {
        let api = jupiter(ours * factor).await;
        let file = metrics.to_str().unwrap();
        let mut words = vec!["reconcile", "-c", "ingest.yaml", "--api", &api];
        words.extend(["--max-age", age, "--max-uncertainty", most]);
        words.extend(["--metrics", file, &sol]);
        words.extend(more);
        let said = command(folder.path(), &words).await;
        assert_eq!(said.code, code, "{}{}", said.out, said.error);
        assert!(said.out.contains(flag), "{}", said.out);
        let told = std::fs::read_to_string(&metrics).unwrap();
        let line = format!("perijove_price_deviation_ratio{{mint=\"{sol}\"}} ");
        let deviation = told.split_once(&line).unwrap().1;
        let deviation: f64 = deviation.lines().next().unwrap().parse().unwrap();
        assert!((deviation - (1.0 / factor - 1.0)).abs() < 1e-9, "{told}");
        let missing = format!("result=\"missing\"}} {}", u8::from(more.is_some()));
        assert!(told.contains(&missing), "{told}");
    }
    // With nothing to compare there is nothing good about it.
    redis.ask::<()>(&["FLUSHALL"]).await;
    let api = jupiter(ours).await;
    let words = ["reconcile", "-c", "ingest.yaml", "--api", &api];
    let said = command(folder.path(), &words).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("3 missing"), "{}", said.out);
}

#[tokio::test]
async fn commands_that_read_make_no_database() {
    let folder = TempDir::new().unwrap();
    configure(folder.path(), "");
    std::fs::write(
        folder.path().join("hours.csv"),
        "2025-10-09T08:00:00Z,1,1\n",
    )
    .unwrap();
    for words in [
        &["dead-letters", "list", "-c", "ingest.yaml"][..],
        &["verify", "-r", "hours.csv", "-c", "ingest.yaml"],
    ] {
        let before = std::fs::read_dir(folder.path()).unwrap().count();
        let said = command(folder.path(), words).await;
        assert_eq!(said.code, 1, "{words:?}: {}", said.error);
        assert!(
            said.error.contains("there is no database"),
            "{}",
            said.error
        );
        let after = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(before, after, "{words:?}");
    }
}

#[tokio::test]
async fn offsets_are_looked_at_in_kafka_before_a_database_is_made() {
    let folder = TempDir::new().unwrap();
    configure(
        folder.path(),
        "kafka: {brokers: [\"127.0.0.1:1\"], security: plaintext, connect: 1s, group: {id: x}}",
    );
    let reset = ["offsets", "reset", "--to", "earliest", "-c", "ingest.yaml"];
    for words in [&reset[..], &[&reset[..], &["--dry-run"]].concat()] {
        let said = command(folder.path(), words).await;
        assert_eq!(said.code, 1, "{words:?}: {}", said.error);
        let files = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(files.count(), 1, "nothing but the configuration");
    }
}
