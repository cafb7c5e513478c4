//! The committed offsets and watermarks of a consumer group, for the commands that show them.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::offsets::Watermarks;
use crate::record::Partition;
use crate::source::SourceError;
use crate::source::kafka::Admin;

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

/// A number that may not be known.
pub(super) fn shown(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
