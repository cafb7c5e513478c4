//! Takes records from the client and hands them out in batches.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message;

use crate::record::{Partition, Place, Record, UnixMillis};
use crate::source::Event;
use crate::source::kafka::owned::{Owned, Stage};
use crate::source::kafka::reader::{Reader, send};
use crate::source::room::Fill;

/// Records taken before everything else is looked after again.
const BURST: usize = 1000;
/// How long a poll waits for a record.
const IDLE: Duration = Duration::from_millis(100);
/// The same while something else is expected.
const BUSY: Duration = Duration::from_millis(10);

impl Reader {
    pub(super) fn poll(&mut self) {
        let expecting = self.arrival.is_some()
            || self.departure.is_some()
            || self.recheck
            || self
                .partitions
                .values()
                .any(|owned| owned.paused || owned.stage != Stage::Reading);
        let mut patience = if expecting { BUSY } else { IDLE };
        for _ in 0..BURST {
            let Some(polled) = self.consumer.poll(patience) else {
                break;
            };
            patience = Duration::ZERO;
            // Errors are noted by the context.
            let Ok(message) = polled else { continue };
            let partition = Partition::new(self.topics.of(message.topic()), message.partition());
            let Some(owned) = self.partitions.get_mut(&partition) else {
                continue;
            };
            let record = record(&message, partition.topic);
            drop(message);
            if let Some(batch) = owned.take(record) {
                let full = owned.fill() == Fill::Full;
                self.tell(Event::Batch(batch));
                if full {
                    break;
                }
            }
        }
        let Self {
            partitions, events, ..
        } = self;
        for batch in partitions.values_mut().filter_map(Owned::batch) {
            send(events, Event::Batch(batch));
        }
    }

    /// Hands out what has come together of one partition.
    pub(super) fn flush(&mut self, partition: &Partition) {
        let batch = self.partitions.get_mut(partition).and_then(Owned::batch);
        if let Some(batch) = batch {
            self.tell(Event::Batch(batch));
        }
    }
}

/// Copies a record out of the client.
pub(super) fn record(message: &impl Message, topic: Arc<str>) -> Record {
    Record {
        place: Place {
            topic,
            partition: message.partition(),
            offset: message.offset(),
        },
        timestamp: message.timestamp().to_millis().map(UnixMillis),
        key: message.key().map(Bytes::copy_from_slice),
        payload: message.payload().map(Bytes::copy_from_slice),
    }
}
