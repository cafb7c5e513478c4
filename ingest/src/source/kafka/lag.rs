//! How far partitions are behind. A fetch tells where its partition ends; of those that are paused
//! nothing is fetched, which is when people want to know most, so the brokers are asked.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use crate::record::Partition;
use crate::source::kafka::owned::Stage;
use crate::source::kafka::reader::Reader;
use crate::source::kafka::statistics::Statistics;

/// Between two questions for the ends of what is paused.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the answer may take: the thread waits for it.
const ANSWER: Duration = Duration::from_secs(1);

impl Reader {
    /// Shows the lag of everything that is ours, with what the client has heard.
    pub(super) fn heed_ends(&mut self, statistics: &Statistics) {
        for (partition, owned) in &mut self.partitions {
            if let Some(end) = statistics.end(&partition.topic, partition.number) {
                owned.ends(end);
            }
        }
        if self.ends_after.is_none_or(|time| Instant::now() >= time) {
            self.ask_for_ends();
            self.ends_after = Some(Instant::now() + AGAIN);
        }
        for (partition, owned) in &self.partitions {
            if let Some(lag) = owned.lag() {
                self.metrics.lag(partition, lag);
            }
        }
    }

    fn ask_for_ends(&mut self) {
        let mut asked = TopicPartitionList::new();
        for (partition, owned) in &self.partitions {
            if owned.paused && owned.stage == Stage::Reading {
                let (topic, number) = (&partition.topic, partition.number);
                // Cannot fail: it is an offset that can be written.
                drop(asked.add_partition_offset(topic, number, Offset::End));
            }
        }
        if asked.count() == 0 {
            return;
        }
        // The end is a time as well to Kafka, later than every other.
        let Ok(ends) = self.consumer.offsets_for_times(asked, ANSWER) else {
            return;
        };
        for end in ends.elements() {
            if let Offset::Offset(offset) = end.offset() {
                let partition = Partition::new(self.topics.of(end.topic()), end.partition());
                if let Some(owned) = self.partitions.get_mut(&partition) {
                    owned.ends(offset);
                }
            }
        }
    }
}
