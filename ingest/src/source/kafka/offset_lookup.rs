//! Queries the brokers for where partitions begin and end. Every query waits for its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

use crate::config::{Reset, Start};
use crate::offsets::{StartPosition, Watermarks, begin};
use crate::position::StoredPosition;
use crate::record::{Partition, UnixMillis};

/// How long the brokers may take over what is asked for again anyway.
const ACCESS: Duration = Duration::from_secs(1);

/// How reading begins where nothing or nonsense is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct OffsetLookup {
    pub(super) start: Start,
    pub(super) reset: Reset,
    /// How long one question to a broker may take.
    pub(super) timeout: Duration,
    pub(super) clock: fn() -> UnixMillis,
}

impl OffsetLookup {
    /// Where to begin. Asks the brokers, and waits for them.
    pub(super) fn begin<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partition: &Partition,
        stored: Option<StoredPosition>,
    ) -> KafkaResult<StartPosition> {
        let (topic, number) = (&partition.topic, partition.number);
        let (low, high) = consumer.fetch_watermarks(topic, number, self.timeout)?;
        let timed = match (stored, self.start) {
            (None, Start::Ago(ago)) => self.timed(consumer, partition, ago)?,
            _ => None,
        };
        let bounds = Watermarks { low, high };
        Ok(begin(stored, bounds, timed, self.start, self.reset))
    }

    /// Where to begin a partition that the group has assigned. If no member has read it although
    /// the group reads its topic, it was added to the topic meanwhile. Beginning it with the next
    /// record would skip what came before anybody noticed.
    pub(super) fn start<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partition: &Partition,
        stored: Option<StoredPosition>,
    ) -> KafkaResult<StartPosition> {
        let mut lookup = *self;
        if stored.is_none()
            && lookup.start != Start::Earliest
            && lookup.is_added(consumer, partition)?
        {
            tracing::info!(
                %partition,
                "the partition was added to its topic; it is read from its oldest record"
            );
            lookup.start = Start::Earliest;
        }
        lookup.begin(consumer, partition, stored)
    }

    /// Those that have a leader.
    pub(super) fn with_leader<'p, C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partitions: impl Iterator<Item = &'p Partition>,
    ) -> KafkaResult<BTreeSet<Partition>> {
        let topics: BTreeSet<&Arc<str>> = partitions.map(|one| &one.topic).collect();
        let mut found = BTreeSet::new();
        for topic in topics {
            let metadata = consumer.fetch_metadata(Some(topic), self.timeout)?;
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let led = partitions.filter(|one| one.leader() >= 0);
            found.extend(led.map(|one| Partition::new(Arc::clone(topic), one.id())));
        }
        Ok(found)
    }

    /// Whether all topics exist and the group is permitted. Waits briefly: the query is repeated.
    pub(super) fn is_permitted<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        topics: &[String],
    ) -> bool {
        let timeout = self.timeout.min(ACCESS);
        let mut first = TopicPartitionList::new();
        for name in topics {
            let Ok(metadata) = consumer.fetch_metadata(Some(name), timeout) else {
                return false;
            };
            let is_there = |topic: &MetadataTopic| {
                topic.name() == name && topic.error().is_none() && !topic.partitions().is_empty()
            };
            if !metadata.topics().iter().any(is_there) {
                return false;
            }
            first.add_partition(name, 0);
        }
        consumer.committed_offsets(first, timeout).is_ok()
    }

    /// Whether the group has committed other partitions of the topic and not this one.
    pub(super) fn is_added<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partition: &Partition,
    ) -> KafkaResult<bool> {
        let metadata = consumer.fetch_metadata(Some(&partition.topic), self.timeout)?;
        let mut all = TopicPartitionList::new();
        for topic in metadata.topics() {
            for one in topic.partitions() {
                all.add_partition(topic.name(), one.id());
            }
        }
        let told = consumer.committed_offsets(all, self.timeout)?;
        let is_told = |one: &TopicPartitionListElem<'_>| matches!(one.offset(), Offset::Offset(_));
        let told: Vec<i32> = told
            .elements()
            .iter()
            .filter(|one| is_told(one))
            .map(TopicPartitionListElem::partition)
            .collect();
        Ok(!told.is_empty() && !told.contains(&partition.number))
    }

    /// The first record that is no older.
    fn timed<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        partition: &Partition,
        ago: Duration,
    ) -> KafkaResult<Option<i64>> {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        let time = (self.clock)().0.saturating_sub(ago).max(0);
        let list = list([(partition, time)])?;
        let found = consumer.offsets_for_times(list, self.timeout)?;
        let offset = found.elements().first().map(TopicPartitionListElem::offset);
        Ok(match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        })
    }
}

/// Partitions with offsets, as Kafka's client takes them.
pub(super) fn list<'p>(
    offsets: impl IntoIterator<Item = (&'p Partition, i64)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let offset = Offset::Offset(offset);
        list.add_partition_offset(&partition.topic, partition.number, offset)?;
    }
    Ok(list)
}

/// Partitions without offsets.
pub(super) fn names<'p>(partitions: impl IntoIterator<Item = &'p Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}
