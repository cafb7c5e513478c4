//! What a process tells before anything has happened: every metric, with every label, at 0. A series that appears with
//! its first event shows no increase that an alert could see.

use std::collections::{BTreeMap, BTreeSet};

use perijove_ingest::dead_letter::DeadLetter;
use perijove_ingest::project::Skip;
use perijove_ingest::sink::database::DatabaseError;
use perijove_ingest::sink::market::MarketError;
use perijove_ingest::source::SourceErrorKind;
use perijove_tests::metrics::Metrics;
use perijove_tests::ports;
use tempfile::TempDir;

use crate::program::Program;
use crate::world::TOPIC;

/// Of partitions that are assigned, and none is.
const NOT_KNOWN: &str = "kafka_consumer_lag";

/// A process that has nothing around it: neither brokers, nor a database, nor Redis.
fn alone(folder: &TempDir) -> Program {
    let port = ports::take();
    let file = folder.path().join("alone.yaml");
    let settings = format!(
        "http: {{listen: 127.0.0.1:{port}}}
streams: [{{topic: {TOPIC}, kind: trades}}]
database: {{url: \"postgres://nobody@127.0.0.1:1/none\", connect: 200ms}}
redis: {{url: \"redis://127.0.0.1:1\"}}
kafka: {{brokers: [\"127.0.0.1:1\"], security: plaintext, group: {{id: alone}}}}
"
    );
    std::fs::write(&file, settings).unwrap();
    Program::start(&file, port)
}

/// A row of the documentation's table.
struct Family {
    kind: &'static str,
    labels: BTreeSet<&'static str>,
}

/// Every metric of the documentation, by name.
fn documented() -> BTreeMap<&'static str, Family> {
    let page = include_str!("../../../docs/ingest-storing.md");
    let (_, table) = page.split_once("## Metrics").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let quoted = cells[3].split('`').skip(1).step_by(2);
        let family = Family {
            kind: cells[2],
            labels: quoted.collect(),
        };
        (cells[1].trim_matches('`'), family)
    };
    rows.map(row).collect()
}

/// The types that a scrape tells.
fn types(scrape: &str) -> BTreeMap<&str, &str> {
    let lines = scrape.lines();
    let types = lines.filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}

/// Names and labels of all series.
pub fn series(scrape: &str) -> BTreeSet<&str> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, _)| series)
        .collect()
}

/// Every value that a label of a metric can have, by the types that tell it.
fn values() -> [(&'static str, &'static str, Vec<String>); 12] {
    let owned = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect();
    let classes: Vec<String> = DeadLetter::classes().map(str::to_owned).collect();
    let database = DatabaseError::LABELS.iter().chain(&["timeout"]);
    let database = database.map(|label| format!("database_{label}"));
    let redis = MarketError::LABELS.iter();
    let redis = redis.map(|label| format!("redis_{label}"));
    let failures = database.chain(redis).chain(["prices".to_owned()]);
    let failures: Vec<String> = failures.chain(classes.clone()).collect();
    let skips = Skip::ALL.iter().map(|skip| skip.label().to_owned());
    let sinks = &["database", "redis"];
    [
        ("messages_processed_total", "topic", owned(&[TOPIC])),
        ("processing_errors_total", "kind", failures),
        ("dead_letters_total", "class", classes),
        (
            "kafka_rebalances_total",
            "kind",
            owned(&["assign", "revoke", "lose"]),
        ),
        ("kafka_errors_total", "kind", owned(SourceErrorKind::LABELS)),
        ("kafka_gaps_total", "topic", owned(&[TOPIC])),
        ("kafka_gap_records_total", "topic", owned(&[TOPIC])),
        (
            "perijove_ingest_rows_total",
            "outcome",
            owned(&["new", "known"]),
        ),
        (
            "perijove_ingest_skipped_rows_total",
            "reason",
            skips.collect(),
        ),
        ("perijove_ingest_sink_seconds_count", "sink", owned(sinks)),
        ("perijove_ingest_breaker_state", "sink", owned(sinks)),
        (
            "perijove_ingest_redis_batches_total",
            "how",
            owned(&["live", "mended"]),
        ),
    ]
}

#[tokio::test]
async fn every_metric_is_there_from_the_start_with_all_its_labels() {
    let folder = TempDir::new().unwrap();
    let program = alone(&folder);
    let (_, scrape) = program.ask("/metrics").await;
    let types = types(&scrape);
    let all = series(&scrape);
    for (name, family) in documented() {
        if name == NOT_KNOWN {
            continue;
        }
        assert_eq!(types.get(name), Some(&family.kind), "{name}");
        let one = all.iter().find(|one| {
            let rest = one.strip_prefix(name);
            rest.is_some_and(|rest| matches!(rest.split('{').next(), Some("" | "_count")))
        });
        let labels = one.unwrap().split_once('{').map_or("", |(_, rest)| rest);
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let labels: BTreeSet<&str> = labels.map(|(label, _)| label).collect();
        assert_eq!(labels, family.labels, "{name}");
        if family.kind == "counter" {
            let sum = Metrics::parse(&scrape).sum(name, &[]);
            assert!(sum.abs() < f64::EPSILON, "{name}: {sum}");
        }
    }
    let metrics = Metrics::parse(&scrape);
    for (name, label, mut expected) in values() {
        expected.sort();
        expected.dedup();
        assert_eq!(metrics.label_values(name, label), expected, "{name}");
    }
}

/// No series of a process of [`TOPIC`] was missing before its events, but for what was not known.
pub async fn assert_were_there(scrape: &str) {
    let folder = TempDir::new().unwrap();
    let (_, before) = alone(&folder).ask("/metrics").await;
    let before = series(&before);
    let late = series(scrape).into_iter().filter(|one| {
        let name = one.split('{').next().unwrap_or_default();
        name != NOT_KNOWN && !before.contains(one)
    });
    assert_eq!(late.collect::<Vec<_>>(), Vec::<&str>::new());
}
