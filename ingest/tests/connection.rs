//! The commands of ingest that ask Kafka: what they find, and what they say when something is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use perijove_tests::kafka::{GUEST, Kafka, Listener, PASSWORD, PATIENCE, USER, produce};
use rdkafka::producer::Producer as _;
use tempfile::TempDir;
use tokio::process::Command;

const TOPIC: &str = "solana.dextrades.proto";

/// A configuration, to be spoilt.
struct Settings {
    brokers: String,
    security: &'static str,
    mechanism: &'static str,
    username: &'static str,
    password: &'static str,
    topic: &'static str,
    ca: Option<PathBuf>,
    /// Where commands run, with the database that is the default.
    folder: TempDir,
}

impl Settings {
    fn through(kafka: &Kafka, listener: Listener) -> Self {
        Self {
            brokers: kafka.servers(listener),
            security: match listener {
                Listener::Plaintext => "plaintext",
                Listener::SaslPlaintext => "sasl_plaintext",
                Listener::Ssl => "ssl",
                Listener::SaslSsl => "sasl_ssl",
            },
            mechanism: "scram-sha-512",
            username: USER,
            password: PASSWORD,
            topic: TOPIC,
            ca: listener.secured().then(|| kafka.ca_file()),
            folder: TempDir::new().unwrap(),
        }
    }

    fn text(&self) -> String {
        let Self {
            brokers,
            security,
            mechanism,
            topic,
            ..
        } = self;
        let mut text = format!(
            "kafka:\n  brokers: [\"{}\"]\n  security: {security}\n  mechanism: {mechanism}\n  \
             connect: 10s\n  group: {{ prefix: {USER} }}\n",
            brokers.replace(',', "\", \"")
        );
        if security.starts_with("sasl") {
            text.push_str("  username: ${KAFKA_USER}\n  password: ${KAFKA_PASSWORD}\n");
        }
        if let Some(ca) = &self.ca {
            writeln!(text, "  tls: {{ ca: \"{}\" }}", ca.display()).unwrap();
        }
        write!(text, "streams:\n  - topic: {topic}\n    kind: trades\n").unwrap();
        text
    }

    /// Runs a command with it: whether that went well, and what it said.
    async fn run(&self, command: &[&str]) -> (bool, String) {
        let file = self.folder.path().join("ingest.yaml");
        std::fs::write(&file, self.text()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_perijove-ingest"))
            .args(command)
            .arg("--config")
            .arg(&file)
            .env("KAFKA_USER", self.username)
            .env("KAFKA_PASSWORD", self.password)
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (output.status.success(), said)
    }

    /// What there is in the folder.
    fn files(&self) -> Vec<std::ffi::OsString> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().file_name()).collect()
    }

    /// What a command says of partition 1 in its table.
    async fn row(&self, command: &[&str]) -> Vec<String> {
        let (well, said) = self.run(command).await;
        assert!(well, "{said}");
        let partition = format!("{TOPIC}[1]");
        let row = said.lines().find_map(|line| line.strip_prefix(&partition));
        let row = row.unwrap_or_else(|| panic!("no {partition} in: {said}"));
        row.split_whitespace().map(str::to_owned).collect()
    }

    /// Asserts that trying the connection fails at this step first, and what is said about it.
    async fn assert_fails(&self, step: &str, says: &str) {
        let (well, said) = self.run(&["test-connection"]).await;
        assert!(!well, "{said}");
        let failed = said.lines().find_map(|line| line.strip_prefix("FAIL"));
        let failed = failed.unwrap_or_else(|| panic!("no failure in: {said}"));
        assert_eq!(failed.split_whitespace().next(), Some(step), "{said}");
        assert!(said.contains(says), "{says} is not in: {said}");
        assert!(!said.contains(self.password), "{said}");
    }
}

/// Messages with trades.
async fn messages() -> Vec<Bytes> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("trades");
    let made = Command::new(env!("CARGO_BIN_EXE_perijove-ingest"))
        .args(["generate", "--messages", "10"])
        .arg(&file)
        .output()
        .await
        .unwrap();
    assert!(made.status.success());
    let file = std::fs::File::open(&file).unwrap();
    let records = perijove_ingest::recording::RecordingReader::new(file).unwrap();
    let payloads = records.map(|record| record.unwrap().payload.unwrap());
    payloads.collect()
}

/// The topic with some of them.
async fn produced(kafka: &Kafka) {
    kafka.create_topic(TOPIC, 2).await;
    kafka.produce(TOPIC, 1, messages().await).await;
}

#[tokio::test]
async fn a_connection_that_is_well_is_shown_step_by_step() {
    let kafka = Kafka::start().await;
    produced(&kafka).await;
    for listener in [Listener::SaslPlaintext, Listener::SaslSsl] {
        let (well, said) = Settings::through(&kafka, listener)
            .run(&["test-connection"])
            .await;
        assert!(well, "{said}");
        for step in [
            "name", "port", "settings", "login", "topic", "offsets", "record", "group",
        ] {
            assert!(
                said.contains(&format!("ok    {step}")),
                "{step} is not in: {said}"
            );
        }
        assert!(said.contains("[1]: 0 to 10"), "{said}");
        assert!(said.contains("[1]@2 of slot"), "{said}");
        assert!(said.ends_with("all checks passed\n"), "{said}");
    }
}

#[tokio::test]
async fn a_topic_that_is_written_in_transactions_is_no_less_well() {
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 2).await;
    let payloads = messages().await;
    let producer = kafka.transactional_producer("tests").await;
    producer.begin_transaction().unwrap();
    produce(&producer, TOPIC, 1, &payloads).await;
    let producer = tokio::task::spawn_blocking(move || {
        producer.commit_transaction(PATIENCE).unwrap();
        producer
    });
    drop(producer.await.unwrap());
    // The last offset is that of the mark that ends the transaction.
    assert_eq!(kafka.watermarks(TOPIC, 1).await, (0, 11));
    let settings = Settings::through(&kafka, Listener::Plaintext);
    let (well, said) = settings.run(&["test-connection"]).await;
    assert!(well, "{said}");
    let (well, said) = settings
        .run(&["offsets", "reset", "--to", "10", "--partition", "1"])
        .await;
    assert!(well, "{said}");
    let lag = settings.row(&["lag"]).await;
    assert_eq!(lag, ["10", "11", "0", "0s"], "nothing is left but the mark");
}

#[tokio::test]
async fn brokers_that_are_only_learnt_are_tried_as_well() {
    let kafka = Kafka::start().await;
    produced(&kafka).await;
    let mut settings = Settings::through(&kafka, Listener::SaslPlaintext);
    let learnt = settings.brokers.clone();
    settings.brokers = learnt.replace("127.0.0.1", "localhost");
    let (well, said) = settings.run(&["test-connection"]).await;
    assert!(well, "{said}");
    assert!(
        said.contains(&format!("ok    port      {learnt}")),
        "{said}"
    );
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_found_where_it_is_wrong() {
    let kafka = Kafka::start().await;
    produced(&kafka).await;
    let nowhere = Settings {
        brokers: format!("127.0.0.1:{}", perijove_tests::ports::take()),
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    nowhere.assert_fails("port", "refused").await;
    let nameless = Settings {
        brokers: "no-such-host.invalid:9092".to_owned(),
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    nameless.assert_fails("name", "[name]").await;
    let wrong_password = Settings {
        password: "wrong",
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    wrong_password.assert_fails("login", "[login]").await;
    let no_rights = Settings {
        username: GUEST,
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    no_rights.assert_fails("topic", "[forbidden]").await;
    let wrong_mechanism = Settings {
        mechanism: "plain",
        ..Settings::through(&kafka, Listener::SaslSsl)
    };
    wrong_mechanism.assert_fails("login", "SCRAM-SHA-512").await;
    let wrong_topic = Settings {
        topic: "solana.slot_update_stream_1_13",
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    wrong_topic.assert_fails("topic", TOPIC).await;
    let wrong_authority = Settings {
        ca: Some(kafka.other_ca_file()),
        ..Settings::through(&kafka, Listener::SaslSsl)
    };
    wrong_authority.assert_fails("login", "[tls]").await;
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is_are_found() {
    let kafka = Kafka::start().await;
    let tls = Settings {
        brokers: kafka.servers(Listener::SaslPlaintext),
        ..Settings::through(&kafka, Listener::SaslSsl)
    };
    tls.assert_fails("login", "[handshake]").await;
    let none = Settings {
        brokers: kafka.servers(Listener::SaslSsl),
        ..Settings::through(&kafka, Listener::SaslPlaintext)
    };
    none.assert_fails("login", "kafka.security").await;
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_is_found() {
    let kafka = Kafka::start().await;
    let settings = Settings::through(&kafka, Listener::Ssl);
    settings
        .assert_fails("login", "kafka.tls.certificate")
        .await;
}

#[tokio::test]
async fn the_lag_is_shown_and_a_stream_recorded_without_the_group_knowing() {
    let kafka = Kafka::start().await;
    produced(&kafka).await;
    let settings = Settings::through(&kafka, Listener::Plaintext);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recording");
    let name = file.display().to_string();
    let record = [
        "record",
        &name,
        "--from",
        "earliest",
        "--time",
        "1m",
        "--messages",
        "10",
    ];
    let (well, said) = settings.run(&record).await;
    assert!(well && said.contains("10 records"), "{said}");
    let file = std::fs::File::open(&file).unwrap();
    let records = perijove_ingest::recording::RecordingReader::new(file).unwrap();
    let places: Vec<String> = records
        .map(|record| record.unwrap().place.to_string())
        .collect();
    assert_eq!(places.len(), 10);
    assert_eq!(places[9], format!("{TOPIC}[1]@9"));

    assert_eq!(settings.row(&["lag"]).await, ["-", "10", "-", "-"]);
    assert_eq!(settings.files(), ["ingest.yaml"], "reading makes none");
}

#[tokio::test]
async fn offsets_are_shown_and_set_where_they_are_kept_and_kafka_is_told() {
    let kafka = Kafka::start().await;
    produced(&kafka).await;
    let settings = Settings::through(&kafka, Listener::Plaintext);
    let shown = ["offsets", "show"];
    let (well, said) = settings.run(&shown).await;
    assert!(!well && said.contains("there is no database"), "{said}");
    assert_eq!(settings.files(), ["ingest.yaml"], "reading makes none");

    let reset = |to: &'static str| ["offsets", "reset", "--partition", "1", "--to", to];
    let (well, said) = settings.run(&reset("3")).await;
    assert!(well && said.contains("never read before"), "{said}");
    assert_eq!(settings.row(&shown).await, ["3", "3", "0", "10", "7"]);
    let lag = settings.row(&["lag"]).await;
    assert_eq!(lag[..3], ["3", "10", "7"]);
    assert!(lag[3].ends_with('s'), "{lag:?}");

    let (well, said) = settings.run(&["record", "nope/x.rec"]).await;
    assert!(
        !well && said.contains("cannot write nope/x.rec: "),
        "{said}"
    );
    let (well, said) = settings.run(&reset("11")).await;
    assert!(!well && said.contains("0 to 10"), "{said}");
    let dry = [&reset("latest")[..], &["--dry-run"]].concat();
    let (well, said) = settings.run(&dry).await;
    assert!(well && said.contains("7 records are skipped"), "{said}");
    let (well, said) = settings
        .run(&["offsets", "reset", "--to", "0", "--partition", "2"])
        .await;
    assert!(
        !well && said.contains("no such partition: --partition 2"),
        "{said}"
    );
    assert_eq!(settings.row(&shown).await, ["3", "3", "0", "10", "7"]);

    kafka.lose_before(TOPIC, 1, 5).await;
    let (well, said) = settings.run(&shown).await;
    assert!(
        well && said.contains("the next 2 records expired unread"),
        "{said}"
    );
    let (well, said) = settings.run(&reset("earliest")).await;
    assert!(well && said.contains("2 records are skipped"), "{said}");
    assert_eq!(settings.row(&shown).await, ["5", "5", "5", "10", "5"]);
}

#[tokio::test]
async fn offsets_are_shown_also_while_kafka_is_away() {
    let mut kafka = Kafka::start().await;
    produced(&kafka).await;
    let settings = Settings::through(&kafka, Listener::Plaintext);
    let (well, said) = settings
        .run(&["offsets", "reset", "--to", "earliest"])
        .await;
    assert!(well, "{said}");
    kafka.kill(0);
    let (well, said) = settings.run(&["offsets", "show"]).await;
    assert!(
        !well && said.contains("only what the database has"),
        "{said}"
    );
    assert!(said.contains(&format!("{TOPIC}[1]")), "{said}");
}
