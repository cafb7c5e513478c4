//! The mock cluster of Kafka's client.

use perijove_ingest::config::Kafka;
use perijove_ingest::record::Partition;
use perijove_tests::kafka;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer};

use crate::member::{TOPIC, settings};
use crate::store::{Row, Store};

/// A cluster with the topic.
pub struct Mock {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
}

impl Mock {
    pub fn start(partitions: i32) -> Self {
        let cluster = MockCluster::new(3).unwrap();
        cluster.create_topic(TOPIC, partitions, 3).unwrap();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("linger.ms", "1");
        Self {
            producer: config.create().unwrap(),
            cluster,
        }
    }

    pub fn settings(&self) -> Kafka {
        settings(&self.cluster.bootstrap_servers())
    }

    /// Appends so many records, each saying its number in the partition.
    pub async fn produce(&self, partition: i32, numbers: std::ops::Range<i64>) {
        let payloads = numbers.map(|number| format!("{partition}/{number}"));
        kafka::produce(&self.producer, TOPIC, partition, payloads).await;
    }

    /// Appends records of this size.
    pub async fn produce_large(&self, partition: i32, count: usize, bytes: usize) {
        let payloads = (0..count).map(|_| vec![b'x'; bytes]);
        kafka::produce(&self.producer, TOPIC, partition, payloads).await;
    }
}

pub fn partition(number: i32) -> Partition {
    Partition::new(TOPIC, number)
}

/// Asserts that the store has the records of `Mock::produce`, each once.
pub fn assert_once(store: &Store, partitions: i32, numbers: std::ops::Range<i64>) {
    let expected: Vec<Row> = (0..partitions)
        .flat_map(|at| numbers.clone().map(move |offset| (at, offset)))
        .map(|(at, offset)| Row {
            partition: partition(at),
            offset,
            payload: format!("{at}/{offset}").into_bytes(),
        })
        .collect();
    assert_eq!(store.rows(), expected);
}
