//! A cluster's topics: their records, and the removal of the oldest.

use futures::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use crate::kafka::{Kafka, Listener, PATIENCE};
use crate::wait::until_within;

impl Kafka {
    /// Makes a topic, with a copy of each partition on every broker, up to three.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn create_topic(&self, topic: &str, partitions: i32) {
        let copies = i32::try_from(self.brokers.len().min(3)).expect("a number of brokers");
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies))
            .set("min.insync.replicas", "1");
        let made = self.admin().create_topics([&topic], &options()).await;
        for topic in made.expect("an answer of the cluster") {
            topic.expect("the topic is made");
        }
    }

    /// Deletes a topic.
    ///
    /// # Panics
    /// If the cluster does not.
    pub async fn delete_topic(&self, topic: &str) {
        let gone = self.admin().delete_topics(&[topic], &options()).await;
        for topic in gone.expect("an answer of the cluster") {
            topic.expect("the topic is deleted");
        }
    }

    /// Makes the partitions of a topic more: as many as this.
    ///
    /// # Panics
    /// If the cluster does not.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) {
        let more = NewPartitions::new(topic, partitions);
        let made = self.admin().create_partitions([&more], &options()).await;
        for topic in made.expect("an answer of the cluster") {
            topic.expect("the partitions are made");
        }
    }

    /// Appends payloads to a partition, in this order.
    ///
    /// # Panics
    /// If one is not taken by the cluster.
    pub async fn produce<P: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        payloads: impl IntoIterator<Item = P>,
    ) {
        produce(&self.producer(), topic, partition, payloads).await;
    }

    /// A producer that comes in through the listener for everybody.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn producer(&self) -> FutureProducer {
        let mut config = self.client(Listener::Plaintext);
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "1");
        config.create().expect("a producer")
    }

    /// A producer that writes in transactions.
    ///
    /// # Panics
    /// If the cluster does not let it.
    pub async fn transactional_producer(&self, id: &str) -> FutureProducer {
        let mut config = self.client(Listener::Plaintext);
        let producer = config.set("transactional.id", id).create();
        let producer: FutureProducer = producer.expect("a producer");
        let ready = spawn_blocking(move || {
            let ready = producer.init_transactions(PATIENCE);
            ready.map(|()| producer)
        });
        ready.await.expect("an answer").expect("transactions")
    }

    /// Deletes all records of a partition before this offset, as retention would.
    ///
    /// # Panics
    /// If the cluster does not.
    pub async fn lose_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .expect("an offset");
        let lost = self.admin().delete_records(&list, &options()).await;
        let lost = lost.expect("an answer of the cluster");
        for partition in lost.elements() {
            partition.error().expect("the records are deleted");
        }
    }

    /// The offsets of the oldest record of a partition and of the next one to come.
    ///
    /// # Panics
    /// If the cluster does not say.
    pub async fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        // A topic that was just made has no leader for a moment.
        until_within(PATIENCE, "the watermarks", || {
            let client = self.client(Listener::Plaintext).create();
            let client: BaseConsumer = client.expect("a consumer");
            let topic = topic.to_owned();
            let asked =
                spawn_blocking(move || client.fetch_watermarks(&topic, partition, PATIENCE));
            async move { asked.await.expect("an answer").ok() }
        })
        .await
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let config = self.client(Listener::Plaintext);
        config.create().expect("an admin client")
    }
}

/// Appends payloads to a partition of any cluster, in this order.
///
/// # Panics
/// If one is not taken.
pub async fn produce<P: AsRef<[u8]>>(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    payloads: impl IntoIterator<Item = P>,
) {
    let sent: Vec<_> = payloads
        .into_iter()
        .map(|payload| {
            let record = FutureRecord::<(), _>::to(topic).partition(partition);
            let sent = producer.send_result(record.payload(payload.as_ref()));
            sent.map_err(|(error, _)| error).expect("room for a record")
        })
        .collect();
    for one in join_all(sent).await {
        let delivered = one.expect("a producer that lives");
        delivered.map_err(|(error, _)| error).expect("delivery");
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}
