//! Messages of Kafka's client as records.

use std::sync::Arc;

use bytes::Bytes;
use rdkafka::Message;

use crate::record::{Place, Record, UnixMillis};

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
