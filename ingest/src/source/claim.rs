//! One period in which a partition is ours.

use std::fmt;

use crate::record::Partition;

/// A partition and which of our times with it this is. What belongs to an earlier time is of no
/// use in a later one: somebody else may have had the partition in between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    pub partition: Partition,
    /// Grows with each claim of the source.
    pub tenure: u64,
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.partition.fmt(formatter)
    }
}
