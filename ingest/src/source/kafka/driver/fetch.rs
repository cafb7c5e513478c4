//! Takes records from the client and hands them out in batches.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message;

use super::Driver;
use crate::record::Partition;
use crate::source::SourceEvent;
use crate::source::kafka::message::record;

/// Records taken before everything else is looked after again.
const BURST: usize = 1000;
/// How long a poll waits for a record.
const IDLE: Duration = Duration::from_millis(100);
/// The same while something else is expected.
const BUSY: Duration = Duration::from_millis(10);

impl Driver {
    pub(super) fn poll(&mut self) {
        let mut patience = if self.state.is_waiting() { BUSY } else { IDLE };
        for _ in 0..BURST {
            let Some(polled) = self.consumer.poll(patience) else {
                break;
            };
            patience = Duration::ZERO;
            // Errors are noted by the context.
            let Ok(message) = polled else { continue };
            let partition = Partition::new(self.topics.of(message.topic()), message.partition());
            let topic = Arc::clone(&partition.topic);
            let batch = self.state.take(&partition, || record(&message, topic));
            drop(message);
            if let Some(batch) = batch {
                let full = self.state.is_full(&batch.claim);
                self.emit(SourceEvent::Batch(batch));
                if full {
                    break;
                }
            }
        }
        for batch in self.state.take_batches() {
            self.emit(SourceEvent::Batch(batch));
        }
    }
}
