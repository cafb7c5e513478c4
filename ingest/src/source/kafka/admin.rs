//! Queries to the cluster without joining the group: topics, the bounds of their partitions, the
//! group's committed offsets, single records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataBroker, MetadataPartition, MetadataTopic};
use rdkafka::{Message, Offset};
use tokio::time::Instant;

use crate::config::{Kafka, Reset, Start};
use crate::offsets::Watermarks;
use crate::record::{Partition, Record, UnixMillis};
use crate::source::kafka::context::{ClientEvent, Context};
use crate::source::kafka::message::record;
use crate::source::kafka::offset_lookup::{OffsetLookup, list, names};
use crate::source::kafka::settings::stranger;
use crate::source::kafka::topics::Topics;
use crate::source::{SourceError, SourceErrorKind};

/// A query waits in steps, the first this long and each twice as long as the one before: in between
/// it may turn out that there will be no answer.
const STEP: Duration = Duration::from_secs(1);
/// Between two steps, for what has been said meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// How long all partitions together are waited for when one record of each is wanted.
const RECORD: Duration = Duration::from_secs(5);
/// How long a poll waits for a record.
const POLL: Duration = Duration::from_millis(100);

/// A client of the cluster. All queries wait for their answer, each at most the configured time for
/// a connection.
pub struct Admin {
    consumer: BaseConsumer<Context>,
    patience: Duration,
    topics: Topics,
}

/// What is at an offset or behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextRecord {
    Is(Record),
    /// Nothing, up to the end: marks of transactions and aborted records, which are not delivered.
    None,
}

/// The members of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Addresses by number.
    pub brokers: BTreeMap<i32, String>,
    /// Partitions by topic, as far as the account may see them.
    pub topics: BTreeMap<String, usize>,
}

impl Admin {
    /// # Errors
    /// The settings are such that there can be no client.
    pub fn new(kafka: &Kafka) -> Result<Self, SourceError> {
        let mut config = stranger(kafka);
        config.set("enable.partition.eof", "true");
        let consumer = BaseConsumer::from_config_and_context(&config, Context::default())
            .map_err(|error| SourceError::of(&error))?;
        Ok(Self {
            consumer,
            patience: kafka.connect,
            topics: Topics::default(),
        })
    }

    /// Brokers and topics.
    pub fn cluster(&self) -> Result<Cluster, SourceError> {
        let metadata = self.ask(|consumer, patience| consumer.fetch_metadata(None, patience))?;
        let address = |broker: &MetadataBroker| format!("{}:{}", broker.host(), broker.port());
        Ok(Cluster {
            brokers: metadata
                .brokers()
                .iter()
                .map(|broker| (broker.id(), address(broker)))
                .collect(),
            topics: metadata
                .topics()
                .iter()
                .map(|topic| (topic.name().to_owned(), topic.partitions().len()))
                .collect(),
        })
    }

    /// The partitions of a topic.
    ///
    /// # Errors
    /// There is no such topic, or none that we may see.
    pub fn partitions(&mut self, topic: &str) -> Result<Vec<Partition>, SourceError> {
        let metadata =
            self.ask(|consumer, patience| consumer.fetch_metadata(Some(topic), patience))?;
        let found = metadata.topics().iter().find(|one| one.name() == topic);
        if let Some(error) = found.and_then(MetadataTopic::error) {
            let code = RDKafkaErrorCode::from(error);
            return Err(SourceError::told(code, &format!("{topic}: {code}")));
        }
        let name = self.topics.of(topic);
        let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
        if partitions.is_empty() {
            let message = format!("there is no topic {topic}");
            return Err(SourceError::new(SourceErrorKind::Topic, message));
        }
        let mut numbers: Vec<i32> = partitions.iter().map(MetadataPartition::id).collect();
        numbers.sort_unstable();
        let named = |number| Partition::new(Arc::clone(&name), number);
        Ok(numbers.into_iter().map(named).collect())
    }

    /// Where a partition begins and ends.
    pub fn bounds(&self, partition: &Partition) -> Result<Watermarks, SourceError> {
        let (topic, number) = (&partition.topic, partition.number);
        let (low, high) =
            self.ask(|consumer, patience| consumer.fetch_watermarks(topic, number, patience))?;
        Ok(Watermarks { low, high })
    }

    /// Where a partition would begin that was never read.
    pub fn begin(
        &self,
        partition: &Partition,
        start: Start,
        clock: fn() -> UnixMillis,
    ) -> Result<i64, SourceError> {
        let begin = self.ask(|consumer, timeout| {
            let lookup = OffsetLookup {
                start,
                reset: Reset::Earliest,
                timeout,
                clock,
            };
            lookup.begin(consumer, partition, None)
        })?;
        Ok(begin.offset)
    }

    /// The offsets that the group has committed to Kafka; nothing for partitions without one.
    pub fn committed(
        &self,
        partitions: &[Partition],
    ) -> Result<BTreeMap<Partition, i64>, SourceError> {
        let list =
            self.ask(|consumer, patience| consumer.committed_offsets(names(partitions), patience))?;
        let offset = |partition: &Partition| {
            let found = list.find_partition(&partition.topic, partition.number)?;
            match found.offset() {
                Offset::Offset(offset) => Some((partition.clone(), offset)),
                _ => None,
            }
        };
        Ok(partitions.iter().filter_map(offset).collect())
    }

    /// Commits to Kafka, in the group's name, where partitions continue.
    ///
    /// # Errors
    /// The group has members, or the cluster does not answer.
    pub fn commit(&self, offsets: &BTreeMap<Partition, i64>) -> Result<(), SourceError> {
        // Without a coordinator the client would wait ten minutes for one.
        let partitions: Vec<Partition> = offsets.keys().cloned().collect();
        self.committed(&partitions)?;
        let offsets = offsets.iter().map(|(partition, next)| (partition, *next));
        list(offsets)
            .and_then(|list| self.consumer.commit(&list, CommitMode::Sync))
            .map_err(|error| SourceError::of(&error))
    }

    /// Reads partitions from these offsets on, without joining the group. Calls `each` with every
    /// record until it has enough; it is also called when there are none.
    ///
    /// # Errors
    /// The next record of a partition is gone, the account may not read the topic, or whatever
    /// `each` returns.
    pub fn read<E: From<SourceError>>(
        &mut self,
        offsets: &BTreeMap<Partition, i64>,
        mut each: impl FnMut(Option<Record>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let offsets = offsets.iter().map(|(partition, next)| (partition, *next));
        list(offsets)
            .and_then(|list| self.consumer.assign(&list))
            .map_err(|error| SourceError::of(&error))?;
        loop {
            let polled = self.consumer.poll(POLL);
            let record = polled.and_then(Result::ok).map(|message| {
                let topic = self.topics.of(message.topic());
                record(&message, topic)
            });
            if each(record)? {
                break;
            }
            if let Some(fault) = self.told().into_iter().find(|fault| fault.kind.is_final()) {
                return Err(fault.into());
            }
        }
        let unassigned = self.consumer.unassign();
        Ok(unassigned.map_err(|error| SourceError::of(&error))?)
    }

    /// What comes at each of these offsets or behind it; partitions of which nothing was heard within
    /// some seconds are left out.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn next_of(
        &mut self,
        offsets: &BTreeMap<Partition, i64>,
    ) -> Result<BTreeMap<Partition, NextRecord>, SourceError> {
        let deadline = Instant::now() + self.patience.min(RECORD);
        let mut found = BTreeMap::new();
        // One topic at a time: an end is told by the number of its partition alone.
        let of_topics = offsets.iter().collect::<Vec<_>>();
        for topic in of_topics.chunk_by(|one, other| one.0.topic == other.0.topic) {
            self.next_of_topic(topic, deadline, &mut found)?;
        }
        Ok(found)
    }

    fn next_of_topic(
        &mut self,
        offsets: &[(&Partition, &i64)],
        deadline: Instant,
        found: &mut BTreeMap<Partition, NextRecord>,
    ) -> Result<(), SourceError> {
        let Some((Partition { topic, .. }, _)) = offsets.first() else {
            return Ok(());
        };
        list(offsets.iter().map(|(partition, next)| (*partition, **next)))
            .and_then(|list| self.consumer.assign(&list))
            .map_err(|error| SourceError::of(&error))?;
        let mut missing: BTreeSet<i32> = offsets.iter().map(|(one, _)| one.number).collect();
        while !missing.is_empty() && Instant::now() < deadline {
            let (number, next) = match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let record = record(&message, Arc::clone(topic));
                    (message.partition(), NextRecord::Is(record))
                }
                Some(Err(KafkaError::PartitionEOF(number))) => (number, NextRecord::None),
                Some(Err(_)) | None => {
                    let told = self.told();
                    if let Some(fault) = told.into_iter().find(|fault| fault.kind.is_final()) {
                        return Err(fault);
                    }
                    continue;
                }
            };
            if missing.remove(&number) {
                found.insert(Partition::new(Arc::clone(topic), number), next);
            }
        }
        let unassigned = self.consumer.unassign();
        unassigned.map_err(|error| SourceError::of(&error))
    }

    fn ask<T>(
        &self,
        question: impl Fn(&BaseConsumer<Context>, Duration) -> KafkaResult<T>,
    ) -> Result<T, SourceError> {
        let deadline = Instant::now() + self.patience;
        let mut step = STEP;
        let mut likely: Option<SourceError> = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = question(&self.consumer, step.min(left));
            let fault = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => SourceError::of(&error),
            };
            // Errors come with polling; there are no records, because nothing is assigned.
            while self.consumer.poll(PAUSE).is_some() {}
            for told in self.told() {
                if told.kind.is_final() {
                    return Err(told);
                }
                if !likely
                    .as_ref()
                    .is_some_and(|known| told.says_less_than(known))
                {
                    likely = Some(told);
                }
            }
            let waits = matches!(
                fault.kind,
                SourceErrorKind::Timeout | SourceErrorKind::Unreachable | SourceErrorKind::Election
            );
            if !waits || left.is_zero() {
                return Err(likely.filter(|_| waits).unwrap_or(fault));
            }
            step *= 2;
        }
    }

    /// What went wrong meanwhile.
    fn told(&self) -> Vec<SourceError> {
        let notes = self.consumer.context().take();
        let faults = notes.into_iter().filter_map(|note| match note {
            ClientEvent::Error(code, reason) => Some(SourceError::told(code, &reason)),
            _ => None,
        });
        faults.collect()
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.consumer.context().close();
    }
}
