//! Where a consumer group stands with its topics, for the commands that show it.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::offsets::Bounds;
use crate::record::Partition;
use crate::source::Fault;
use crate::source::kafka::Inquiry;

/// One partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The next record to read, as the group has told Kafka; None if it never has.
    pub(super) told: Option<i64>,
    pub(super) bounds: Bounds,
}

/// Every partition of the streams.
pub(super) fn standings(
    inquiry: &mut Inquiry,
    config: &Config,
) -> Result<BTreeMap<Partition, Standing>, Fault> {
    let mut standings = BTreeMap::new();
    for stream in &config.streams {
        let partitions = inquiry.partitions(&stream.topic)?;
        let told = inquiry.committed(&partitions)?;
        for partition in partitions {
            let standing = Standing {
                told: told.get(&partition).copied(),
                bounds: inquiry.bounds(&partition)?,
            };
            standings.insert(partition, standing);
        }
    }
    Ok(standings)
}

/// A number that may not be known.
pub(super) fn shown(number: Option<i64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
