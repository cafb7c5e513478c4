//! A record of a topic, as every source gives it: Kafka, a recording, a generator.

mod partition;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use partition::Partition;

/// A point in time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// From whole seconds, as block times are given.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The position of a record. No two records of a cluster have the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: Arc<str>,
    /// From 0.
    pub partition: i32,
    /// From 0; the next record of the partition has a greater one, not always by one.
    pub offset: i64,
}

impl fmt::Display for Place {
    /// `topic[partition]@offset`, as Kafka's own tools write it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            offset,
        } = self;
        write!(formatter, "{topic}[{partition}]@{offset}")
    }
}

/// One record. Key and payload share the memory they were received in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub place: Place,
    /// When the producer or the broker had it. Bitquery's messages mostly carry no time of their
    /// own, so freshness is measured by this.
    pub timestamp: Option<UnixMillis>,
    /// The slot, for Solana; only good for choosing a partition.
    pub key: Option<Bytes>,
    /// None is a tombstone, which Bitquery's topics should not have.
    pub payload: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_kafka_writes_it() {
        let place = Place {
            topic: "solana.dextrades.proto".into(),
            partition: 3,
            offset: 42,
        };
        assert_eq!(place.to_string(), "solana.dextrades.proto[3]@42");
    }

    #[test]
    fn seconds_beyond_all_time_stay_at_the_end_of_it() {
        assert_eq!(UnixMillis::from_seconds(7), UnixMillis(7000));
        assert_eq!(UnixMillis::from_seconds(i64::MAX), UnixMillis(i64::MAX));
    }
}
