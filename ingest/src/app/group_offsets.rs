//! The committed offsets and watermarks of a consumer group, for the commands that show them.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::offsets::Watermarks;
use crate::record::Partition;
use crate::source::SourceError;
use crate::source::kafka::{Admin, NextRecord};

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionOffsets {
    /// The next record to read, as the group has committed Kafka; None if it never has.
    pub(super) committed: Option<i64>,
    pub(super) bounds: Watermarks,
}

/// Every partition of the streams.
pub(super) fn group_offsets(
    admin: &mut Admin,
    config: &Config,
) -> Result<BTreeMap<Partition, PartitionOffsets>, SourceError> {
    let mut group_offsets = BTreeMap::new();
    for stream in &config.streams {
        let partitions = admin.partitions(&stream.topic)?;
        let committed = admin.committed(&partitions)?;
        for partition in partitions {
            let offsets = PartitionOffsets {
                committed: committed.get(&partition).copied(),
                bounds: admin.bounds(&partition)?,
            };
            group_offsets.insert(partition, offsets);
        }
    }
    Ok(group_offsets)
}

/// What comes next where there is something behind these offsets, as far as the brokers say.
pub(super) fn next_records(
    admin: &mut Admin,
    next: impl IntoIterator<Item = (Partition, i64)>,
    group_offsets: &BTreeMap<Partition, PartitionOffsets>,
) -> Result<BTreeMap<Partition, NextRecord>, SourceError> {
    let behind = next.into_iter().filter_map(|(partition, next)| {
        let bounds = group_offsets.get(&partition)?.bounds;
        let next = next.max(bounds.low);
        (next < bounds.high).then_some((partition, next))
    });
    admin.next_of(&behind.collect())
}

/// Records between an offset and the end. Marks of transactions that have offsets are no records,
/// if nothing else comes.
pub(super) fn lag(next: i64, bounds: Watermarks, record: Option<&NextRecord>) -> i64 {
    match record {
        Some(NextRecord::None) => 0,
        Some(NextRecord::Is(_)) | None => bounds.high.saturating_sub(next).max(0),
    }
}

/// A number that may not be known.
pub(super) fn shown(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
