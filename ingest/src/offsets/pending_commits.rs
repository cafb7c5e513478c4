//! Offsets that are to be committed to Kafka, and when: a commit for each batch would only load the
//! brokers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::record::Partition;

/// Offsets that were not yet committed to Kafka.
#[derive(Debug)]
pub struct PendingCommits {
    interval: Duration,
    last: Instant,
    offsets: BTreeMap<Partition, i64>,
}

impl PendingCommits {
    /// Nothing is due before the interval is over.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            last: now,
            offsets: BTreeMap::new(),
        }
    }

    /// Notes where a partition is read on.
    pub fn note(&mut self, partition: &Partition, next: i64) {
        self.offsets.insert(partition.clone(), next);
    }

    /// Everything that was noted, if it is time.
    pub fn take(&mut self, now: Instant) -> Option<BTreeMap<Partition, i64>> {
        if self.offsets.is_empty() || now.duration_since(self.last) < self.interval {
            return None;
        }
        self.last = now;
        Some(std::mem::take(&mut self.offsets))
    }

    /// What was noted of one partition, without waiting: it is about to be somebody else's.
    pub fn take_of(&mut self, partition: &Partition) -> Option<i64> {
        self.offsets.remove(partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_due_after_the_interval_and_only_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let partition = Partition::new("t", 0);
        let mut commits = PendingCommits::new(Duration::from_secs(5), start);
        commits.note(&partition, 3);
        commits.note(&partition, 7);
        assert_eq!(commits.take(at(4)), None);
        let expected = BTreeMap::from([(partition.clone(), 7)]);
        assert_eq!(commits.take(at(5)), Some(expected));
        assert_eq!(commits.take(at(11)), None);
        commits.note(&partition, 9);
        assert_eq!(commits.take_of(&partition), Some(9));
        assert_eq!(commits.take(at(20)), None);
    }
}
