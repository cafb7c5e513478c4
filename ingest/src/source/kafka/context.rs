//! Callbacks of Kafka's client while it is polled. Everything is queued and handled afterwards: a
//! rebalance needs the database's answer first, and polling must go on until then.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::TopicPartitionList;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use crate::source::kafka::statistics::Statistics;

/// Events of the client.
#[derive(Debug)]
pub(super) enum ClientEvent {
    /// Partitions that are ours once they are assigned.
    Assign(TopicPartitionList),
    /// Partitions that are ours until they are unassigned.
    Revoke(TopicPartitionList),
    Error(RDKafkaErrorCode, String),
    Statistics(Statistics),
}

/// Events of the client not taken yet.
#[derive(Debug, Default)]
pub(super) struct Context {
    events: Mutex<Vec<ClientEvent>>,
    closing: AtomicBool,
}

impl Context {
    /// The events since the last call.
    pub(super) fn take(&self) -> Vec<ClientEvent> {
        mem::take(&mut *self.events.lock())
    }

    /// From now on partitions are released as soon as they are revoked: nobody takes events any
    /// more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn push(&self, event: ClientEvent) {
        self.events.lock().push(event);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let assigns = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            let _closing = complete_rebalance(consumer, assigns, &TopicPartitionList::new(), list);
        } else if assigns {
            self.push(ClientEvent::Assign(list.clone()));
        } else {
            self.push(ClientEvent::Revoke(list.clone()));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // The database has the offset; the next commit brings Kafka up to date.
            tracing::debug!(%error, "an offset was not committed to Kafka");
        }
    }
}

/// Ends a rebalance: `new` is read from now on, or `old` no more.
pub(super) fn complete_rebalance(
    consumer: &BaseConsumer<Context>,
    assigns: bool,
    new: &TopicPartitionList,
    old: &TopicPartitionList,
) -> KafkaResult<()> {
    let cooperative = matches!(
        consumer.rebalance_protocol(),
        RebalanceProtocol::Cooperative
    );
    match (cooperative, assigns) {
        (true, true) => consumer.incremental_assign(new),
        (true, false) => consumer.incremental_unassign(old),
        (false, true) => consumer.assign(new),
        (false, false) => consumer.unassign(),
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error as well and is logged as such.
        match level {
            RDKafkaLogLevel::Debug => tracing::trace!(facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::debug!(facility, "{message}");
            }
            _ => tracing::info!(facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice(statistics) {
            Ok(statistics) => self.push(ClientEvent::Statistics(statistics)),
            Err(error) => tracing::warn!(%error, "cannot parse Kafka client statistics"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let code = code.unwrap_or(RDKafkaErrorCode::Unknown);
        self.push(ClientEvent::Error(code, reason.to_owned()));
    }
}
