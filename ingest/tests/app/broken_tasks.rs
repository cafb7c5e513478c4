//! A task that ends ends the program, whichever it is: with a line in the log and a failure, for the service manager.

use perijove_tests::ports;
use tempfile::TempDir;

use crate::commands::{RECORDING, configure, poisoned, record};
use crate::program::{Program, command_with};

/// Names the task to break, in builds for tests.
const PLANTED: &str = "PERIJOVE_INGEST_PLANTED_FAULT";

/// A program with these settings besides, in which a task is broken.
fn broken(folder: &TempDir, task: &str, database: &str) -> Program {
    let port = ports::take();
    let file = folder.path().join(format!("{task}.yaml"));
    let settings = format!(
        "http: {{listen: 127.0.0.1:{port}}}
database: {{url: \"{database}\", retention: 30d, connect: 200ms}}
redis: {{url: \"redis://127.0.0.1:1\"}}
shutdown: {{grace: 1s}}
kafka: {{brokers: [\"127.0.0.1:1\"], security: plaintext, group: {{id: broken}}}}
"
    );
    std::fs::write(&file, settings).unwrap();
    Program::start_with(&file, port, &[(PLANTED, task)])
}

fn assert_told(log: &str, task: &str) {
    let line = log
        .lines()
        .find(|line| line.contains("ended unexpectedly; shutting down"));
    let line = line.unwrap_or_else(|| panic!("{task}: {log}"));
    assert!(line.contains("ERROR") && line.contains(task), "{line}");
}

#[tokio::test]
async fn whichever_task_breaks_the_program_ends_and_says_which() {
    let folder = TempDir::new().unwrap();
    let file = format!("sqlite:{}", folder.path().join("ingest.db").display());
    for (task, told, database) in [
        ("http", "http", &*file),
        ("retention", "retention", &*file),
        ("indexes", "indexes", &*file),
        ("prices", "prices", &*file),
        ("kafka", "source", &*file),
        // While it waits for its database, too.
        ("http", "http", "postgres://nobody@127.0.0.1:1/none"),
    ] {
        let mut program = broken(&folder, task, database);
        let status = program.ended().await;
        assert_eq!(status.code(), Some(1), "{task}: {}", program.log());
        assert_told(&program.log(), told);
    }
}

#[tokio::test]
async fn a_replay_whose_task_breaks_is_no_success() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &poisoned(23, 40));
    configure(
        folder.path(),
        "database: {url: \"sqlite:ingest.db\"}\nredis: {url: \"redis://127.0.0.1:1\"}\nshutdown: {grace: 1s}\n",
    );
    let words = ["replay", RECORDING, "-c", "ingest.yaml"];
    for (task, told) in [
        ("replay", "source"),
        ("redis", "redis"),
        ("prices", "prices"),
    ] {
        let said = command_with(folder.path(), &words, &[(PLANTED, task)]).await;
        assert_eq!(said.code, 1, "{task}: {}{}", said.out, said.error);
        assert_told(&said.error, told);
    }
    command_with(folder.path(), &words, &[(PLANTED, "none")])
        .await
        .well();
}
