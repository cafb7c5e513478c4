//! Every setting arrives at Kafka's client, under its name.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::{Group, KafkaTls};

#[test]
fn bitquerys_defaults_are_what_its_pages_and_the_users_list_say() {
    let kafka = Kafka {
        username: Some(Secret::new("solana_113")),
        password: Some(Secret::new("p")),
        group: Group {
            id: "solana_113-dex-monitor-prod-01".to_owned(),
            member: None,
        },
        ..Kafka::default()
    };
    let config = member(&kafka);
    for (key, value) in [
        (
            "bootstrap.servers",
            "rpk0.bitquery.io:9092,rpk1.bitquery.io:9092,rpk2.bitquery.io:9092",
        ),
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "solana_113"),
        ("sasl.password", "p"),
        ("group.id", "solana_113-dex-monitor-prod-01"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("session.timeout.ms", "45000"),
        ("heartbeat.interval.ms", "3000"),
        ("max.poll.interval.ms", "300000"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "error"),
        ("queued.max.messages.kbytes", "65536"),
        ("fetch.queue.backoff.ms", "10"),
        ("fetch.max.bytes", "16777216"),
        ("topic.metadata.refresh.interval.ms", "60000"),
    ] {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
    for key in ["group.instance.id", "ssl.ca.location"] {
        assert_eq!(config.get(key), None, "{key}");
    }
    config.create_native_config().unwrap();
}

#[test]
fn everything_else_can_be_chosen() {
    let file = |name: &str| Some(PathBuf::from(name));
    let kafka = Kafka {
        security: Security::SaslSsl,
        mechanism: Mechanism::Plain,
        assignment: Assignment::RoundRobin,
        tls: KafkaTls {
            ca: file("ca"),
            certificate: file("certificate"),
            key: file("key"),
            key_password: Some(Secret::new("k")),
            verify_hostname: true,
        },
        group: Group {
            id: "g".to_owned(),
            member: Some("pod-0".to_owned()),
        },
        prefetch: 1 << 20,
        connect: Duration::from_secs(7),
        ..Kafka::default()
    };
    let config = member(&kafka);
    for (key, value) in [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("partition.assignment.strategy", "roundrobin"),
        ("ssl.ca.location", "ca"),
        ("ssl.certificate.location", "certificate"),
        ("ssl.key.location", "key"),
        ("ssl.key.password", "k"),
        ("ssl.endpoint.identification.algorithm", "https"),
        ("group.instance.id", "pod-0"),
        ("queued.max.messages.kbytes", "1024"),
        ("fetch.max.bytes", "1048576"),
        ("socket.connection.setup.timeout.ms", "7000"),
    ] {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
    config.create_native_config().unwrap();
}

#[test]
fn who_only_asks_does_not_bear_the_name_of_a_member() {
    let kafka = Kafka {
        group: Group {
            id: "g".to_owned(),
            member: Some("pod-0".to_owned()),
        },
        ..Kafka::default()
    };
    let config = stranger(&kafka);
    assert_eq!(config.get("group.id"), Some("g"));
    assert_eq!(config.get("group.instance.id"), None);
}
