//! Progress of what takes long: a bar on a terminal with count, rate and time left, and none elsewhere.

use perijove_ingest::generator::Generator;
use perijove_tests::kafka::{Kafka, Listener};
use tempfile::TempDir;

use crate::commands::{RECORDING, configure, poisoned, record};
use crate::messages::{Ledger, plan};
use crate::program::{command, command_on_terminal};
use crate::world::{PARTITIONS, TOPIC};

/// Runs a command on a terminal, where it has to draw a bar with these parts, and elsewhere, where it draws none.
async fn assert_drawn(folder: &TempDir, words: &str, parts: &[&str]) {
    let shown = command_on_terminal(folder.path(), words).await.out;
    for part in parts {
        assert!(shown.contains(part), "{words}: no {part}: {shown}");
    }
    let words: Vec<&str> = words.split(' ').collect();
    let elsewhere = command(folder.path(), &words).await;
    let said = elsewhere.out + &elsewhere.error;
    assert!(!said.contains('\r') && !said.contains(parts[0]), "{said}");
}

#[tokio::test]
async fn a_replay_and_what_verifies_it_draw_bars() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(45, 300));
    configure(folder.path(), "database: {url: \"sqlite:ingest.db\"}\n");
    let replay = format!("replay {RECORDING} -c ingest.yaml");
    assert_drawn(&folder, &replay, &["replay [", " messages, ", "/s"]).await;
    let hours: Vec<String> = (0..24)
        .map(|hour| format!("2025-10-09T{hour:02}:00:00Z,1,1"))
        .collect();
    std::fs::write(folder.path().join("hours.csv"), hours.join("\n")).unwrap();
    let verify = "verify -r hours.csv -c ingest.yaml";
    assert_drawn(&folder, verify, &["verify [", " hours, ", "/s"]).await;
}

#[tokio::test]
async fn a_stream_that_is_recorded_draws_one() {
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, PARTITIONS).await;
    let records = Generator::new(plan(47)).take(60).collect();
    Ledger::default().send(&kafka.producer(), records).await;
    let folder = TempDir::new().unwrap();
    let brokers = kafka.servers(Listener::Plaintext);
    let text = format!(
        "streams: [{{topic: {TOPIC}, kind: trades}}]\n\
         kafka: {{brokers: [\"{brokers}\"], security: plaintext, group: {{id: tests}}}}\n"
    );
    configure(folder.path(), &text);
    let words = "record out.rec --from earliest --messages 40 --time 1m -c ingest.yaml";
    assert_drawn(&folder, words, &["record [", " records, ", "/s"]).await;
}
