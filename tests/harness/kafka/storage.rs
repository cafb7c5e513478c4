//! What must be on a broker's disk before its first start: the cluster it belongs to, and the
//! accounts with their SCRAM credentials.

use std::fs;
use std::process::Command;

use crate::kafka::java::Java;
use crate::kafka::settings::Settings;
use crate::kafka::{GUEST, PASSWORD, USER};

/// 16 bytes in base64, as every cluster has them.
const CLUSTER: &str = "UGVyaWpvdmVUZXN0czAwMQ";

/// Kafka's own tool formats the first broker's folder; the others get the same with their number,
/// which saves starting Java for each.
pub(super) fn format(java: &Java, brokers: &[Settings]) {
    for settings in brokers {
        fs::create_dir_all(settings.data()).expect("a folder");
        fs::write(settings.file(), settings.text()).expect("a file");
    }
    let (first, others) = brokers.split_first().expect("a broker");
    run(java, first);
    for other in others {
        let name = "bootstrap.checkpoint";
        fs::copy(first.data().join(name), other.data().join(name)).expect("a file");
        let properties = format!("version=1\ncluster.id={CLUSTER}\nnode.id={}\n", other.id);
        fs::write(other.data().join("meta.properties"), properties).expect("a file");
    }
}

fn run(java: &Java, settings: &Settings) {
    let mut command = java.command("kafka.tools.StorageTool", &[]);
    let file = settings.file().display().to_string();
    command.extend(["format", "-t", CLUSTER, "-c", &file].map(str::to_owned));
    for (mechanism, user) in [
        ("SCRAM-SHA-256", USER),
        ("SCRAM-SHA-512", USER),
        ("SCRAM-SHA-512", GUEST),
    ] {
        let account = format!("{mechanism}=[name={user},password={PASSWORD}]");
        command.extend(["--add-scram".to_owned(), account]);
    }
    let (program, arguments) = command.split_first().expect("a program");
    let output = Command::new(program).args(arguments).output();
    let output = output.expect("java runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
