//! A period during which a partition is assigned to this process.

use std::fmt;

use crate::record::Partition;

/// A partition and the generation of its assignment. Whatever belongs to an earlier generation is
/// invalid in a later one, since another process may have owned the partition in between.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    pub partition: Partition,
    /// Grows with each claim of the source.
    pub generation: u64,
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.partition.fmt(formatter)
    }
}
