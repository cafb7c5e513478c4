//! The records of the brokers.

use std::sync::Arc;

use crate::record::{Partition, Place, Record, UnixMillis};

pub(super) fn record(partition: &Partition, offset: i64, made: Option<i64>) -> Record {
    Record {
        place: Place {
            topic: Arc::clone(&partition.topic),
            partition: partition.number,
            offset,
        },
        timestamp: made.map(UnixMillis),
        key: None,
        payload: None,
    }
}
