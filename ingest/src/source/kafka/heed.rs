//! Does what came out of polling besides records: rebalances, errors, statistics.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use crate::source::Fault;
use crate::source::kafka::context::Note;
use crate::source::kafka::owned::{Owned, Stage};
use crate::source::kafka::reader::{Ending, Reader};
use crate::source::kafka::statistics::Statistics;

/// Between two looks at topics that are not there or not for us.
const LOOK: Duration = Duration::from_secs(5);

impl Reader {
    /// Does what came out of polling.
    pub(super) fn heed(&mut self) {
        for note in self.consumer.context().take() {
            match note {
                Note::Assign(list) => {
                    // Statistics, which would say it too, come up to a second later.
                    self.connected(true);
                    self.arrive(&list);
                }
                Note::Revoke(list) => self.revoke(list),
                Note::Error(code, reason) => self.heed_error(code, &reason),
                Note::Statistics(statistics) => self.heed_statistics(&statistics),
            }
        }
        if self.recheck && self.is_time_to_try() {
            self.out_of_range();
        }
        let paused = self.partitions.values().filter(|owned| owned.paused);
        self.metrics.room(paused.count(), self.room.bytes());
        let reading = |owned: &&Owned| owned.stage == Stage::Reading;
        let reading = self.partitions.values().filter(reading);
        self.status.set_partitions(reading.count());
        self.metrics.assigned(self.partitions.len());
    }

    fn heed_error(&mut self, code: RDKafkaErrorCode, reason: &str) {
        match code {
            RDKafkaErrorCode::AutoOffsetReset => self.recheck = true,
            RDKafkaErrorCode::AllBrokersDown => self.connected(false),
            _ => {}
        }
        // What is told of a fatal error is its cause, such as that somebody bears our name.
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            self.ending = Some(Ending::Broken(Fault::told(code, &reason)));
        }
        self.fault(Fault::told(code, reason));
    }

    fn heed_statistics(&mut self, statistics: &Statistics) {
        self.connected(statistics.is_connected());
        self.heed_ends(statistics);
        self.look_again();
    }

    /// Whether what we may not do or is not there has changed; the client would not say so.
    fn look_again(&mut self) {
        let fault = self.status.fault();
        if !fault.is_some_and(|fault| fault.kind.is_lasting()) || !self.is_time_to_look() {
            return;
        }
        self.look_after = Some(Instant::now() + LOOK);
        if self.policy.is_permitted(&self.consumer, &self.subscribed) {
            self.status.set_permitted();
        }
    }

    fn is_time_to_look(&self) -> bool {
        self.look_after.is_none_or(|time| Instant::now() >= time)
    }

    pub(super) fn connected(&self, connected: bool) {
        self.status.set_connected(connected);
        self.metrics.connected(connected);
    }

    pub(super) fn fault(&self, fault: Fault) {
        self.metrics.fault(fault.kind);
        let (kind, text) = (fault.kind, fault.to_string());
        let known = self.status.fault();
        self.status.set_fault(fault);
        if self.status.fault() == known {
            // Brokers that are away are away many times a second.
            tracing::debug!("{text}");
            return;
        }
        let hint = kind.hint().unwrap_or_default();
        tracing::warn!(kind = kind.label(), hint, "{text}");
    }
}
