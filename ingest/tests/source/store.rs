//! What the database is to the pipeline: rows, and how far each partition was read, written together
//! and only by the one who holds the partition.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_ingest::position::{RecordMark, StoredPosition};
use perijove_ingest::record::Partition;

/// Shared by all members. It has no way to notice a row twice but to keep it twice.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    lanes: BTreeMap<Partition, Lane>,
    rows: Vec<Row>,
    gaps: Vec<(Partition, Range<i64>)>,
}

/// Who may write, and what is read next.
#[derive(Clone, Copy, Default)]
pub struct Lane {
    pub epoch: u64,
    pub next: Option<i64>,
    last: Option<RecordMark>,
}

impl Lane {
    pub fn position(&self) -> Option<StoredPosition> {
        Some(StoredPosition::new(self.next?, self.last))
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub partition: Partition,
    pub offset: i64,
    pub payload: Vec<u8>,
}

impl Store {
    /// Takes a partition from whoever has it.
    pub fn claim(&self, partition: &Partition) -> Lane {
        let mut tables = self.0.lock();
        let lane = tables.lanes.entry(partition.clone()).or_default();
        lane.epoch += 1;
        *lane
    }

    /// False if somebody else has the partition now.
    pub fn commit(
        &self,
        partition: &Partition,
        epoch: u64,
        rows: Vec<Row>,
        next: i64,
        last: Option<RecordMark>,
    ) -> bool {
        let mut tables = self.0.lock();
        let lane = tables.lanes.entry(partition.clone()).or_default();
        if lane.epoch != epoch {
            return false;
        }
        if last.is_some() || lane.next != Some(next) {
            (lane.next, lane.last) = (Some(next), last);
        }
        tables.rows.extend(rows);
        true
    }

    pub fn note_gap(&self, partition: &Partition, gap: Range<i64>) {
        self.0.lock().gaps.push((partition.clone(), gap));
    }

    /// What somebody does who wants a partition read from elsewhere.
    pub fn reset(&self, partition: &Partition, next: i64) {
        let epoch = self.claim(partition).epoch;
        assert!(self.commit(partition, epoch, Vec::new(), next, None));
    }

    /// What is read next, if anything was.
    pub fn next(&self, partition: &Partition) -> Option<i64> {
        self.0.lock().lanes.get(partition)?.next
    }

    /// The rows in the order of partitions and offsets, each as often as it was written.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = self.0.lock().rows.clone();
        rows.sort();
        rows
    }

    /// The offsets of a partition in the order in which they were written.
    pub fn offsets(&self, partition: &Partition) -> Vec<i64> {
        let tables = self.0.lock();
        let rows = tables.rows.iter().filter(|row| row.partition == *partition);
        rows.map(|row| row.offset).collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().rows.len()
    }

    pub fn gaps(&self) -> Vec<(Partition, Range<i64>)> {
        self.0.lock().gaps.clone()
    }
}
