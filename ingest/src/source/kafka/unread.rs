//! Partitions of our topics that nobody reads. Of our own that is known; of those of others it is seen by
//! what the group commits to Kafka. Pure: the driver asks the brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::record::Partition;

/// Between two looks at the partitions of others.
const INTERVAL: Duration = Duration::from_secs(5);

/// The same after the brokers did not answer: the thread waits for them, and has other things to do.
const AFTER_SILENCE: Duration = Duration::from_secs(30);

/// A partition counts as unread after this many intervals of committing.
const COMMITS: u32 = 3;

/// How far another process has come with a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OtherPartition {
    pub(super) partition: Partition,
    /// What the group has committed; `None` if it never has.
    pub(super) committed: Option<i64>,
    /// The offset of the next record to be written.
    pub(super) end: i64,
}

/// What was seen of a partition of others since the group last committed for it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    committed: Option<i64>,
    end: i64,
    /// When records came that are not committed. An end beyond what is committed says nothing by itself:
    /// markers of transactions are read by nobody.
    since: Option<Instant>,
}

/// Who reads what.
#[derive(Debug)]
pub(super) struct UnreadPartitions {
    limit: Duration,
    next_look: Option<Instant>,
    /// Those that nothing came of while they were ours, and since when: until something does, or they are seen
    /// to be others'.
    silent: BTreeMap<Partition, Instant>,
    /// Whether some of them are ours now.
    ours_are_silent: bool,
    others: BTreeMap<Partition, Seen>,
    /// As of the last look.
    unread_others: BTreeSet<Partition>,
}

impl UnreadPartitions {
    /// `commit_interval` is that of all processes of the group.
    pub(super) fn new(commit_interval: Duration) -> Self {
        Self {
            limit: (commit_interval * COMMITS).max(COMMITS * INTERVAL),
            next_look: None,
            silent: BTreeMap::new(),
            ours_are_silent: false,
            others: BTreeMap::new(),
            unread_others: BTreeSet::new(),
        }
    }

    /// Of each partition that is fetched whether nothing comes of it.
    pub(super) fn note_ours(&mut self, fetched: Vec<(Partition, bool)>, now: Instant) {
        self.ours_are_silent = fetched.iter().any(|(_, silent)| *silent);
        for (partition, silent) in fetched {
            if silent {
                self.silent.entry(partition).or_insert(now);
            } else {
                self.silent.remove(&partition);
            }
        }
    }

    /// Whether the brokers are to be asked about the partitions of others. Not while our own are silent: then
    /// nobody may answer, and asking would hold up the others.
    pub(super) fn wants_others(&mut self, now: Instant) -> bool {
        if self.ours_are_silent || self.next_look.is_some_and(|next| now < next) {
            return false;
        }
        self.next_look = Some(now + INTERVAL);
        true
    }

    /// The brokers did not answer.
    pub(super) fn no_answer(&mut self, now: Instant) {
        self.next_look = Some(now + AFTER_SILENCE);
    }

    /// What the brokers say about all partitions that are not ours.
    pub(super) fn note_others(&mut self, others: Vec<OtherPartition>, now: Instant) {
        // The brokers answer.
        self.silent.clear();
        let known = std::mem::take(&mut self.others);
        for OtherPartition {
            partition,
            committed,
            end,
        } in others
        {
            let mut seen = Seen {
                committed,
                end,
                since: None,
            };
            if let Some(before) = known.get(&partition)
                && before.committed == committed
            {
                seen.end = before.end;
                seen.since = before.since.or((end > before.end).then_some(now));
            }
            self.others.insert(partition, seen);
        }
        let is_late = |seen: &Seen| {
            let since = seen.since;
            since.is_some_and(|since| now.saturating_duration_since(since) >= self.limit)
        };
        let late = self.others.iter().filter(|(_, seen)| is_late(seen));
        self.unread_others = late.map(|(partition, _)| partition.clone()).collect();
    }

    /// Those that nobody reads.
    pub(super) fn unread(&self, now: Instant) -> BTreeSet<Partition> {
        let silent = self.silent.iter();
        let silent = silent.filter(|(_, since)| {
            let time = now.saturating_duration_since(**since);
            time >= self.limit
        });
        let silent = silent.map(|(partition, _)| partition.clone());
        silent.chain(self.unread_others.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_OF_COMMITS: Duration = Duration::from_secs(5);

    fn partition(number: i32) -> Partition {
        Partition::new("t", number)
    }

    fn other(number: i32, committed: Option<i64>, end: i64) -> OtherPartition {
        OtherPartition {
            partition: partition(number),
            committed,
            end,
        }
    }

    /// Looks every five seconds, and says after how many of these looks the partition counted as unread.
    fn unread_at(looks: &[(Option<i64>, i64)]) -> Vec<usize> {
        let mut unread = UnreadPartitions::new(INTERVAL_OF_COMMITS);
        let mut now = Instant::now();
        let mut found = Vec::new();
        for (number, (committed, end)) in looks.iter().enumerate() {
            unread.note_others(vec![other(3, *committed, *end)], now);
            if !unread.unread(now).is_empty() {
                found.push(number);
            }
            now += Duration::from_secs(5);
        }
        found
    }

    #[test]
    fn a_partition_of_others_is_unread_when_records_come_and_nothing_is_committed() {
        let stands = Some(10);
        for (looks, expected) in [
            // It grows from the second look on, and for fifteen seconds nothing is committed.
            (
                vec![
                    (stands, 10),
                    (stands, 12),
                    (stands, 14),
                    (stands, 16),
                    (stands, 18),
                    (Some(18), 18),
                ],
                vec![4],
            ),
            // Never committed at all.
            (
                vec![(None, 10), (None, 12), (None, 14), (None, 16), (None, 16)],
                vec![4],
            ),
            // Read, if slowly.
            (
                vec![
                    (Some(1), 10),
                    (Some(2), 20),
                    (Some(2), 30),
                    (Some(3), 40),
                    (Some(3), 50),
                    (Some(4), 60),
                ],
                vec![],
            ),
            // Nothing comes; what is left are markers of transactions.
            (vec![(stands, 12); 9], vec![]),
            // After a long silence a record comes, and is read.
            (
                vec![
                    (stands, 10),
                    (stands, 10),
                    (stands, 10),
                    (stands, 10),
                    (stands, 11),
                    (Some(11), 11),
                ],
                vec![],
            ),
        ] {
            assert_eq!(unread_at(&looks), expected, "{looks:?}");
        }
    }

    #[test]
    fn what_is_ours_again_is_no_longer_watched() {
        let mut unread = UnreadPartitions::new(INTERVAL_OF_COMMITS);
        let begun = Instant::now();
        for seconds in [0, 1, 17] {
            let now = begun + Duration::from_secs(seconds);
            let end = i64::try_from(seconds).unwrap();
            unread.note_others(vec![other(0, Some(0), end), other(1, Some(end), end)], now);
        }
        let now = begun + Duration::from_secs(17);
        assert_eq!(unread.unread(now), BTreeSet::from([partition(0)]));
        unread.note_others(Vec::new(), now);
        assert!(unread.unread(now).is_empty());
    }

    #[test]
    fn one_of_ours_is_unread_once_it_has_been_silent_for_long() {
        let mut unread = UnreadPartitions::new(INTERVAL_OF_COMMITS);
        let begun = Instant::now();
        assert!(unread.wants_others(begun));
        assert!(!unread.wants_others(begun), "it was just asked");
        let at = |seconds| begun + Duration::from_secs(seconds);
        let ours = |unread: &mut UnreadPartitions, silent: [bool; 2], seconds| {
            let fetched = [(partition(1), silent[0]), (partition(2), silent[1])];
            unread.note_ours(fetched.into(), at(seconds));
        };
        ours(&mut unread, [true, true], 0);
        assert!(!unread.wants_others(at(60)), "nobody may answer");
        ours(&mut unread, [true, false], 14);
        assert!(unread.unread(at(14)).is_empty());
        ours(&mut unread, [true, true], 16);
        assert_eq!(unread.unread(at(16)), BTreeSet::from([partition(1)]));
        ours(&mut unread, [false, false], 17);
        assert!(unread.unread(at(60)).is_empty());
        assert!(unread.wants_others(at(60)));
    }

    #[test]
    fn what_we_lost_because_it_was_silent_is_unread_until_the_brokers_answer() {
        let mut unread = UnreadPartitions::new(INTERVAL_OF_COMMITS);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        unread.note_ours(vec![(partition(1), true)], begun);
        // Without heartbeats the group counts us as gone.
        unread.note_ours(Vec::new(), at(30));
        assert_eq!(unread.unread(at(30)), BTreeSet::from([partition(1)]));
        assert!(unread.wants_others(at(30)));
        unread.no_answer(at(31));
        assert!(!unread.wants_others(at(60)));
        assert_eq!(unread.unread(at(60)), BTreeSet::from([partition(1)]));
        unread.note_others(vec![other(1, Some(3), 3)], at(61));
        assert!(unread.unread(at(61)).is_empty());
    }
}
