//! Where reading stopped, and how it is known later that the partition is still the same.
//!
//! A topic that was deleted and made anew has other records at the same offsets. A record of a
//! partition never changes, so the last one that was read tells: it is read once more when reading
//! resumes. Where it is not there any more (expired, compacted), nothing can be told, and nothing is
//! concluded. Ids of topics would tell as well, but Kafka's client does not show them.

use crate::record::Record;

/// What a record is known again by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMark {
    pub offset: i64,
    /// CRC-32 over time, key and payload.
    pub checksum: u32,
}

impl RecordMark {
    pub fn of(record: &Record) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        let time = record.timestamp.map_or(i64::MIN, |time| time.0);
        hasher.update(&time.to_le_bytes());
        for part in [&record.key, &record.payload] {
            let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(part.as_deref().unwrap_or_default());
        }
        Self {
            offset: record.place.offset,
            checksum: hasher.finalize(),
        }
    }
}

/// Where reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPosition {
    /// Of the next record to read.
    pub next: i64,
    /// The last record before it; None if that is not known, as after a reset.
    pub last: Option<RecordMark>,
    /// Whether the partition has turned out to be another one since.
    pub replaced: bool,
}

impl StoredPosition {
    pub const fn new(next: i64, last: Option<RecordMark>) -> Self {
        Self {
            next,
            last,
            replaced: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::record::{Place, UnixMillis};

    #[test]
    fn every_part_of_a_record_is_in_its_mark() {
        let record = |offset, time: Option<i64>, key: Option<&'static str>, payload| Record {
            place: Place {
                topic: "t".into(),
                partition: 0,
                offset,
            },
            timestamp: time.map(UnixMillis),
            key: key.map(|key| Bytes::from_static(key.as_bytes())),
            payload: Some(Bytes::from_static(payload)),
        };
        let records = [
            record(1, Some(5), Some("k"), b"payload"),
            record(2, Some(5), Some("k"), b"payload"),
            record(1, Some(6), Some("k"), b"payload"),
            record(1, None, Some("k"), b"payload"),
            record(1, Some(5), None, b"payload"),
            record(1, Some(5), Some(""), b"payload"),
            record(1, Some(5), Some("kp"), b"ayload"),
            record(1, Some(5), Some("k"), b"other"),
        ];
        for (at, one) in records.iter().enumerate() {
            for (other_at, other) in records.iter().enumerate() {
                let same = RecordMark::of(one) == RecordMark::of(other);
                assert_eq!(same, at == other_at, "{one:?} {other:?}");
            }
        }
    }
}
