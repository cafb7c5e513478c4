//! What only reads the topic, and what only decodes.

use std::hint::black_box;
use std::time::Duration;

use perijove_ingest::decode::{Encoding, Kind, Limits, decode};
use perijove_ingest::project::project;
use perijove_ingest::record::Record;
use perijove_tests::kafka::Listener;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use crate::place::{PARTITIONS, Place, TOPIC};
use crate::usage::cpu;

/// What something came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    pub messages: usize,
    pub trades: usize,
    pub bytes: usize,
    pub seconds: f64,
    /// Of the process, where that says something.
    pub cpu: f64,
}

/// A bare consumer of the same client, set as the program sets its own, which looks at nothing.
pub fn bare(place: &Place, messages: usize) -> Pass {
    let mut config = place.kafka.client(Listener::Plaintext);
    config
        .set("group.id", "bare")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .set("check.crcs", "true")
        .set("fetch.max.bytes", "52428800");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
    }
    let before = cpu(std::process::id());
    consumer.assign(&list).unwrap();
    let (mut pass, mut begun) = (Pass::default(), None);
    while pass.messages < messages {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            begun.get_or_insert_with(Instant::now);
            pass.bytes += message.unwrap().payload_len();
            pass.messages += 1;
        }
    }
    pass.seconds = begun.unwrap().elapsed().as_secs_f64();
    pass.cpu = cpu(std::process::id()) - before;
    pass
}

/// One thread that decodes and projects messages from memory, for some seconds.
pub fn decoding(records: &[Record], seconds: u64) -> Pass {
    let (limits, begun) = (Limits::default(), Instant::now());
    let mut pass = Pass::default();
    while begun.elapsed().as_secs() < seconds {
        for record in records {
            let payload = record.payload.as_ref();
            let message = decode(Kind::Trades, Encoding::Auto, payload, &limits).unwrap();
            let projected = black_box(project(message, record.timestamp.unwrap()));
            pass.trades += projected.trades.len();
            pass.bytes += payload.unwrap().len();
        }
        pass.messages += records.len();
    }
    pass.seconds = begun.elapsed().as_secs_f64();
    pass.cpu = pass.seconds;
    pass
}
