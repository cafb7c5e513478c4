//! Brokers and stores over TLS, and what is replaced on disk while the program runs.

use std::path::Path;

use perijove_ingest::generator::Generator;
use perijove_ingest::record::Record;
use perijove_ingest::recording::RecordingWriter;
use perijove_tests::kafka::{Kafka, Listener, PASSWORD, USER};
use perijove_tests::ports;
use perijove_tests::redis::Redis;
use perijove_tests::tls::Identity;
use perijove_tests::wait::until_within;
use serde_json::json;
use tempfile::TempDir;

use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program, command_with};
use crate::world::{PARTITIONS, TOPIC};

/// A configuration that stores into SQLite what comes through this listener.
fn settings(kafka: &Kafka, listener: Listener, port: u16) -> String {
    let servers = kafka.servers(listener);
    let brokers: Vec<String> = servers.split(',').map(|one| format!("\"{one}\"")).collect();
    let security = match listener {
        Listener::SaslSsl => "sasl_ssl",
        _ => "sasl_plaintext",
    };
    let mut text = format!(
        "http: {{listen: 127.0.0.1:{port}}}
streams: [{{topic: {TOPIC}, kind: trades}}]
batch: {{rows: 300, wait: 20ms}}
database: {{url: \"sqlite:perijove.db\"}}
shutdown: {{grace: 2s}}
kafka:
  brokers: [{}]
  security: {security}
  username: {{file: user}}
  password: {{file: password}}
  start: earliest
  session_timeout: 6s
  heartbeat: 1s
  max_poll_interval: 10s
  group: {{prefix: {USER}, app: tests, instance: one}}
",
        brokers.join(", ")
    );
    if listener.secured() {
        text.push_str("  tls: {ca: ca.pem, certificate: client.pem, key: client.key}\n");
    }
    text
}

fn provide(folder: &Path, kafka: &Kafka, password: &str) {
    std::fs::write(folder.join("user"), USER).unwrap();
    std::fs::write(folder.join("password"), password).unwrap();
    std::fs::copy(kafka.ca_file(), folder.join("ca.pem")).unwrap();
    std::fs::copy(kafka.certificate_file(), folder.join("client.pem")).unwrap();
    std::fs::copy(kafka.key_file(), folder.join("client.key")).unwrap();
}

async fn rows(program: &Program) -> f64 {
    let metrics = program.metrics().await;
    metrics.sum("perijove_ingest_rows_total", &[("outcome", "new")])
}

async fn until_stored(program: &Program, ledger: &Ledger) {
    let wanted = ledger.trades().len() as f64;
    until_within(PATIENCE, "all trades to be stored", || async {
        (rows(program).await >= wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_are_read_over_tls_with_login_and_certificate() {
    let mut kafka = Kafka::start_brokers(3).await;
    kafka.create_topic(TOPIC, PARTITIONS).await;
    let folder = TempDir::new().unwrap();
    provide(folder.path(), &kafka, PASSWORD);
    let port = ports::take();
    let file = folder.path().join("ingest.yaml");
    std::fs::write(&file, settings(&kafka, Listener::SaslSsl, port)).unwrap();
    let program = Program::start(&file, port);
    let producer = kafka.producer();
    let mut ledger = Ledger::default();
    let mut stream = Generator::new(plan(31));
    ledger
        .send(&producer, stream.by_ref().take(100).collect())
        .await;
    until_stored(&program, &ledger).await;
    // The first of the addresses is gone; the others know everything.
    kafka.kill(0);
    ledger
        .send(&producer, stream.by_ref().take(100).collect())
        .await;
    until_stored(&program, &ledger).await;
    program
        .healthy_when("health with two of three brokers", |health| {
            health["status"] == json!("healthy") && health["partitions"] == json!(PARTITIONS)
        })
        .await;
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_a_certificate_that_are_replaced_on_disk_are_taken_over() {
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, PARTITIONS).await;
    let folder = TempDir::new().unwrap();
    provide(folder.path(), &kafka, "the old one");
    let port = ports::take();
    let file = folder.path().join("ingest.yaml");
    std::fs::write(&file, settings(&kafka, Listener::SaslSsl, port)).unwrap();
    let program = Program::start(&file, port);
    let producer = kafka.producer();
    let mut ledger = Ledger::default();
    let mut stream = Generator::new(plan(32));
    ledger
        .send(&producer, stream.by_ref().take(60).collect())
        .await;
    program
        .healthy_when("the login to fail", |health| {
            health["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("uthentication"))
        })
        .await;
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    until_stored(&program, &ledger).await;

    // An authority that has not signed the broker's certificate: nobody is connected any more.
    std::fs::copy(kafka.other_ca_file(), folder.path().join("ca.pem")).unwrap();
    program
        .healthy_when("the certificate to be refused", |health| {
            health["kafka_connected"] == json!(false)
        })
        .await;
    std::fs::copy(kafka.ca_file(), folder.path().join("ca.pem")).unwrap();
    ledger
        .send(&producer, stream.by_ref().take(60).collect())
        .await;
    until_stored(&program, &ledger).await;
    assert!(
        program.log().contains("reconnecting to Kafka"),
        "{}",
        program.log()
    );
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_gets_over_tls_what_is_stored() {
    let identity = Identity::of("localhost");
    let redis = Redis::secured(&identity).await;
    let folder = TempDir::new().unwrap();
    let records: Vec<Record> = Generator::new(plan(33)).take(100).collect();
    let recording = std::fs::File::create(folder.path().join("trades.rec")).unwrap();
    let mut writer = RecordingWriter::new(recording).unwrap();
    for record in &records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    let text = format!("redis: {{url: \"rediss://localhost:{}\"}}", redis.port());
    std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
    let trusted = identity.certificate_file();
    let variables = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    let words = ["replay", "trades.rec", "-c", "ingest.yaml"];
    let said = command_with(folder.path(), &words, &variables).await;
    assert!(!said.error.contains("panicked"), "{}", said.error);
    assert!(!said.error.contains("Redis has not got"), "{}", said.error);
    said.well();
    let keys = redis.keys().await;
    let candles = keys.iter().any(|key| key.contains("candles"));
    let prices = keys.iter().any(|key| key.starts_with("pj:v1:usd:"));
    assert!(candles && prices, "{keys:?}");
}
