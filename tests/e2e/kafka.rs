//! Apache Kafka as the harness runs it: through every listener, with nobody let in who should not
//! be, and with what it holds still there after it was killed.

use std::time::Duration;

use futures::future::join_all;
use perijove_tests::kafka::{Kafka, Listener, PATIENCE};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

const TOPIC: &str = "solana.dextrades.proto";

/// The payloads of a partition from its beginning, as many as are asked for.
async fn read(config: &ClientConfig, partition: i32, count: usize) -> Vec<String> {
    let mut config = config.clone();
    config.set("group.id", "reader");
    spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        // Errors pass: where a broker has died, asking goes on until the others have taken over.
        let message = || (0..100).find_map(|_| consumer.poll(PATIENCE / 100)?.ok());
        let payload = || message().unwrap().payload().unwrap().to_vec();
        let text = || String::from_utf8(payload()).unwrap();
        (0..count).map(|_| text()).collect()
    })
    .await
    .unwrap()
}

/// Whether a client learns nothing at all from the cluster.
async fn is_refused(config: &ClientConfig) -> bool {
    let config = config.clone();
    spawn_blocking(move || {
        let consumer: BaseConsumer = config.create().unwrap();
        let answer = consumer.fetch_metadata(None, Duration::from_secs(3));
        answer.is_err()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn records_are_read_through_every_listener_with_every_mechanism() {
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 2).await;
    kafka.produce(TOPIC, 1, ["a", "b", "c"]).await;
    for listener in Listener::ALL {
        let read = read(&kafka.client(listener), 1, 3).await;
        assert_eq!(read, ["a", "b", "c"], "{listener:?}");
    }
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let mut config = kafka.client(Listener::SaslPlaintext);
        config.set("sasl.mechanism", mechanism);
        assert_eq!(read(&config, 1, 1).await, ["a"], "{mechanism}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_password_or_certificate() {
    let kafka = Kafka::start().await;
    let with = |listener, settings: &[(&str, &str)]| {
        let mut config = kafka.client(listener);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    };
    let other = kafka.other_ca_file().display().to_string();
    let mut bare = kafka.client(Listener::Ssl);
    bare.remove("ssl.certificate.location");
    bare.remove("ssl.key.location");
    let wrong = ("sasl.password", "wrong");
    let strangers = [
        with(Listener::SaslPlaintext, &[wrong]),
        with(
            Listener::SaslPlaintext,
            &[wrong, ("sasl.mechanism", "PLAIN")],
        ),
        with(
            Listener::SaslPlaintext,
            &[wrong, ("sasl.mechanism", "SCRAM-SHA-256")],
        ),
        with(Listener::SaslSsl, &[("sasl.mechanism", "PLAIN")]),
        with(Listener::Ssl, &[("ssl.ca.location", &other)]),
        bare,
    ];
    let refused = strangers.iter().map(is_refused);
    assert_eq!(join_all(refused).await, [true; 6]);
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_records() {
    let mut kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 1).await;
    kafka.produce(TOPIC, 0, ["a", "b"]).await;
    kafka.kill(0);
    kafka.restart(0).await;
    let read = read(&kafka.client(Listener::Plaintext), 0, 2).await;
    assert_eq!(read, ["a", "b"]);
}

#[tokio::test]
async fn the_oldest_records_can_be_lost() {
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 1).await;
    kafka.produce(TOPIC, 0, ["a", "b", "c"]).await;
    kafka.lose_before(TOPIC, 0, 2).await;
    assert_eq!(kafka.watermarks(TOPIC, 0).await, (2, 3));
    let read = read(&kafka.client(Listener::Plaintext), 0, 1).await;
    assert_eq!(read, ["c"]);
}

#[tokio::test]
async fn three_brokers_serve_on_when_one_is_killed() {
    let mut kafka = Kafka::start_brokers(3).await;
    kafka.create_topic(TOPIC, 3).await;
    for partition in 0..3 {
        kafka.produce(TOPIC, partition, ["before"]).await;
    }
    kafka.kill(0);
    for partition in 0..3 {
        kafka.produce(TOPIC, partition, ["after"]).await;
        let read = read(&kafka.client(Listener::SaslSsl), partition, 2).await;
        assert_eq!(read, ["before", "after"]);
    }
    kafka.restart(0).await;
}
