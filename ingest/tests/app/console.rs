//! What an operator reads: errors that name the file, the setting and the cure, and logs for machines.

use perijove_ingest::generator::Generator;
use perijove_ingest::record::Record;
use perijove_ingest::recording::RecordingWriter;
use perijove_tests::kafka::{Kafka, Listener, PASSWORD, USER};
use perijove_tests::ports;
use perijove_tests::postgres::Postgres;
use tempfile::TempDir;

use crate::messages::plan;
use crate::program::{Program, command, command_on_terminal, command_with};

#[tokio::test]
async fn what_is_wrong_with_a_reference_is_said_before_anything_is_asked() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "hours.csv",
        "hour,trades,volume_usd\n09.10.2025 08:00,1,2\n",
    );
    write("empty.csv", "hour,trades,volume_usd\n");
    write("values.csv", "2025-10-09T08:00:00Z;1;2\n");
    for (file, told) in [
        (
            "nofile.csv",
            "--reference nofile.csv: cannot be read: No such file",
        ),
        ("nofile.csv", "give a CSV of hour,trades,volume_usd"),
        (
            "hours.csv",
            "--reference hours.csv, line 2: the hour `09.10.2025 08:00` is not written as 2025-",
        ),
        ("empty.csv", "--reference empty.csv: has no hours"),
        ("values.csv", "line 1: has 1 values instead of three"),
    ] {
        let said = command(folder.path(), &["verify", "-r", file]).await;
        assert_eq!(said.code, 1, "{file}");
        assert!(said.error.contains(told), "{file}: {}", said.error);
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let folder = TempDir::new().unwrap();
    let conf = "database: {url: 'sqlite:x.db'}\nkafka: {brokers: ['127.0.0.1:9'], security: plaintext, group: {id: g}}\nstreams: [{topic: t, kind: trades}]\n";
    std::fs::write(folder.path().join("ingest.yaml"), conf).unwrap();
    for (words, told) in [(
        &["offsets", "reset", "--to", "99999999999999999999"][..],
        "or an offset, up to 9223372036854775807",
    )] {
        let words = [words, &["-c", "ingest.yaml"]].concat();
        let said = command(folder.path(), &words).await;
        assert_ne!(said.code, 0, "{words:?}");
        assert!(said.error.contains(told), "{words:?}: {}", said.error);
    }
}

#[tokio::test]
async fn an_empty_password_counts_as_none() {
    let folder = TempDir::new().unwrap();
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/ingest.yaml");
    for variables in [
        &[("BITQUERY_PASSWORD", "")][..],
        &[("BITQUERY_PASSWORD", ""), ("BITQUERY_USERNAME", "")],
    ] {
        let said = command_with(folder.path(), &["check", "-c", conf], variables).await;
        assert!(
            said.error.contains("only recordings can be read"),
            "{}",
            said.error
        );
        assert!(said.well().contains("recordings only"));
    }
}

#[tokio::test]
async fn a_database_of_another_make_is_refused_with_what_there_is() {
    let folder = TempDir::new().unwrap();
    let conf = folder.path().join("ingest.yaml");
    std::fs::write(&conf, "database: {url: \"mysql://db/trades\"}").unwrap();
    let said = command(folder.path(), &["check", "-c", "ingest.yaml"]).await;
    assert_eq!(said.code, 3);
    for told in [
        "database.url",
        "`mysql:` is not supported",
        "sqlite:FILE",
        "postgres://USER@HOST/DATABASE",
    ] {
        assert!(said.error.contains(told), "{told}: {}", said.error);
    }
}

#[tokio::test]
async fn a_database_that_refuses_is_named_with_its_cause() {
    let folder = TempDir::new().unwrap();
    let postgres = Postgres::shared().await;
    let url = postgres.url().replace("/test_", "/no_such_");
    let text = format!("database: {{url: \"{url}\"}}");
    std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
    for words in [
        &["dead-letters", "list", "-c", "ingest.yaml"][..],
        &["replay", "trades.rec", "-c", "ingest.yaml"],
    ] {
        let file = std::fs::File::create(folder.path().join("trades.rec")).unwrap();
        RecordingWriter::new(file).unwrap().finish().unwrap();
        let said = command(folder.path(), words).await;
        assert_eq!(said.code, 1, "{words:?}");
        let shown = url.replace("perijove@", "");
        assert!(said.error.contains(&shown), "{}", said.error);
        assert!(said.error.contains("does not exist"), "{}", said.error);
        assert!(!said.error.contains("at line"), "{}", said.error);
    }
}

#[tokio::test]
async fn logins_at_a_listener_that_knows_none_are_told_as_that() {
    let kafka = Kafka::start().await;
    let folder = TempDir::new().unwrap();
    let text = format!(
        "kafka:\n  brokers: [\"{}\"]\n  security: sasl_plaintext\n  username: ${{KAFKA_USER}}\n  \
         password: ${{KAFKA_PASSWORD}}\n  connect: 10s\n  group: {{prefix: {USER}}}\n",
        kafka.servers(Listener::Plaintext)
    );
    std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
    let variables = [("KAFKA_USER", USER), ("KAFKA_PASSWORD", PASSWORD)];
    let words = ["test-connection", "-c", "ingest.yaml"];
    let said = command_with(folder.path(), &words, &variables).await;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("[no_login]"), "{}", said.out);
    assert!(said.out.contains("kafka.security"), "{}", said.out);
}

#[tokio::test]
async fn lines_of_a_log_in_a_file_are_json_or_at_least_without_colours() {
    let folder = TempDir::new().unwrap();
    let recording = std::fs::File::create(folder.path().join("trades.rec")).unwrap();
    let mut writer = RecordingWriter::new(recording).unwrap();
    let mut records: Vec<Record> = Generator::new(plan(51)).take(20).collect();
    records[3].payload = Some("no message".into());
    for record in &records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap();
    for format in ["json", "pretty"] {
        let text = format!(
            "log: {{format: {format}, level: debug}}\ndatabase: {{url: \"sqlite:{format}.db\"}}"
        );
        std::fs::write(folder.path().join("ingest.yaml"), text).unwrap();
        let words = ["replay", "trades.rec", "-c", "ingest.yaml"];
        let said = command(folder.path(), &words).await;
        assert_eq!(said.code, 0, "{}", said.error);
        assert!(said.error.contains("dead letter"), "{}", said.error);
        assert!(!said.error.contains('\u{1b}'), "{}", said.error);
        if format == "json" {
            for line in said.error.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                for (name, value) in line.as_object().unwrap() {
                    let text = value.as_str().unwrap_or_default();
                    assert!(
                        !text.starts_with("Some(") && !text.contains(" { "),
                        "{name}: {text}"
                    );
                }
            }
        }
    }
    // A program that runs says it so as well.
    let port = ports::take();
    let file = folder.path().join("run.yaml");
    let text = format!(
        "http: {{listen: 127.0.0.1:{port}}}\nlog: {{format: pretty}}\n\
         kafka: {{brokers: [\"127.0.0.1:1\"], security: plaintext, group: {{id: x}}}}"
    );
    std::fs::write(&file, text).unwrap();
    let program = Program::start(&file, port);
    program
        .healthy_when("a fault", |health| !health["last_error"].is_null())
        .await;
    let log = program.log();
    program.leave().await;
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[tokio::test]
async fn bytes_for_sqlite_are_made_of_base58() {
    let folder = TempDir::new().unwrap();
    let mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
    let said = command(folder.path(), &["base58", mint]).await.well();
    assert_eq!(
        said.trim(),
        "X'c6fa7af3bedbad3a3d65f36aabc97431b1bbe4c2d2f6e0e47ca60203452f5d61'"
    );
    let said = command(folder.path(), &["base58", "0O"]).await;
    assert_eq!(said.code, 1);
    assert!(said.error.contains("`0O` is not base58"), "{}", said.error);
}

#[tokio::test]
async fn progress_is_a_bar_on_a_terminal_and_nowhere_else() {
    let folder = TempDir::new().unwrap();
    let words = ["generate", "trades.rec", "--messages", "1500"];
    let terminal = command_on_terminal(folder.path(), &words.join(" ")).await;
    let shown = terminal.well();
    for part in ["generate [", "messages, ", "/s, ", " left"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let elsewhere = command(folder.path(), &words).await;
    assert!(!elsewhere.error.contains('\r'), "{}", elsewhere.error);
    assert!(!elsewhere.well().contains('\r'));
}
