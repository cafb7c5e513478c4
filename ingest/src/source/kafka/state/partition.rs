//! One partition that is ours: where it is read, and what of it waits to be handed out.

use std::mem;

use bytes::Bytes;
use tokio::time::Instant;

use crate::position::{RecordMark, StoredPosition};
use crate::record::Record;
use crate::source::buffer::{FillLevel, PartitionBudget};
use crate::source::{Claim, RecordBatch};

/// Handed out at the latest when so much of a partition has come together.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RECORDS: usize = 512;

/// How far its reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The pipeline was notified, and has not reported yet where it stopped.
    Assigned,
    /// The pipeline has said where it stopped, None if it never read it.
    Starting(Option<StoredPosition>),
    Reading,
    /// It is being given back; the pipeline may still settle.
    Revoking,
    /// Somebody wrote over its offset; whether it is still ours is not known yet.
    Reclaiming {
        /// Until when the group would have reported that it is not.
        until: Instant,
    },
}

#[derive(Debug)]
pub(super) struct PartitionState {
    claim: Claim,
    stage: Stage,
    /// Whether the client is paused.
    paused: bool,
    /// Whether it is to stay paused.
    halted: bool,
    /// The next record to come from the client.
    next: i64,
    /// The last record before it, as far as is known. Of those that wait it is not worked out yet.
    last: Option<RecordMark>,
    /// Whether the last record is fetched once more, to see whether the partition is still the same.
    comparing: bool,
    /// Where it would be read on after a crash.
    settled: i64,
    /// The next offset to be written, as far as is known; None before anybody said.
    end: Option<i64>,
    /// The client has fetched everything before it, and nothing of that waits there.
    fetched: Option<i64>,
    budget: PartitionBudget,
    records: Vec<Record>,
    bytes: usize,
}

impl PartitionState {
    pub(super) const fn new(claim: Claim, budget: PartitionBudget) -> Self {
        Self {
            claim,
            stage: Stage::Assigned,
            paused: false,
            halted: false,
            next: 0,
            last: None,
            comparing: false,
            settled: 0,
            end: None,
            fetched: None,
            budget,
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Under a new claim, while the client continues as before.
    pub(super) const fn keeping(mut self, position: i64, paused: bool) -> Self {
        self.next = position;
        self.paused = paused;
        self
    }

    pub(super) const fn claim(&self) -> &Claim {
        &self.claim
    }

    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Keeps it paused from now on.
    pub(super) const fn halt(&mut self) {
        self.halted = true;
    }

    /// The next record to come from the client.
    pub(super) fn position(&self) -> i64 {
        let compared = self.last.filter(|_| self.comparing);
        compared.map_or(self.next, |last| last.offset)
    }

    /// The next record to be handed out, and the one before it if that is to be compared.
    pub(super) fn where_it_is(&self) -> StoredPosition {
        StoredPosition::new(self.next, self.last.filter(|_| self.comparing))
    }

    /// The pipeline says where it stopped.
    pub(super) fn start(&mut self, stored: Option<StoredPosition>) {
        if self.stage == Stage::Assigned {
            self.stage = Stage::Starting(stored);
        }
    }

    /// Begins reading here, after a record that is compared with what was read; what was not handed
    /// out is read again.
    pub(super) fn begin(&mut self, offset: i64, known: Option<RecordMark>) {
        self.discard();
        self.stage = Stage::Reading;
        self.next = offset;
        self.last = known;
        self.comparing = known.is_some();
        self.settled = offset;
        self.end = None;
        self.fetched = None;
    }

    /// Ends reading; what was not handed out is somebody else's, or read again.
    pub(super) fn stop_reading(&mut self, stage: Stage) {
        self.discard();
        self.stage = stage;
    }

    /// Everything before `next` is stored. Says whether that is news.
    pub(super) fn settle(&mut self, next: i64) -> bool {
        let counts = matches!(self.stage, Stage::Reading | Stage::Revoking) && self.settled <= next;
        if counts {
            self.settled = next;
        }
        counts
    }

    /// Notes where the partition ends. What is heard later may be older.
    pub(super) fn note_end(&mut self, end: i64) {
        self.end = self.end.max(Some(end));
    }

    /// Notes up to where the client has fetched, and that nothing of it waits there.
    pub(super) fn note_fetched(&mut self, fetched: Option<i64>) {
        self.fetched = fetched;
    }

    /// What is between its end and what is stored. Marks of transactions and aborted records have
    /// offsets too; those behind the last record are no lag.
    pub(super) fn lag(&self) -> Option<i64> {
        if !matches!(self.stage, Stage::Reading | Stage::Revoking) {
            return None;
        }
        let nothing_waits = self.settled == self.next && !self.comparing;
        let fetched = self.fetched.filter(|_| nothing_waits);
        let done = fetched.unwrap_or(self.settled).max(self.settled);
        Some(self.end?.saturating_sub(done).max(0))
    }

    fn discard(&mut self) {
        self.records = Vec::new();
        self.bytes = 0;
    }

    /// Compares the last record that was read with what is there now, which is to be fetched from
    /// the offset that is returned. None if that is going on, or nothing was read.
    pub(super) fn compare_again(&mut self) -> Option<i64> {
        if self.stage != Stage::Reading || self.comparing {
            return None;
        }
        self.last = self.records.last().map(RecordMark::of).or(self.last);
        self.comparing = self.last.is_some();
        self.last.map(|last| last.offset)
    }

    /// Whether a record that was fetched is of the partition that was read before.
    fn compare(&mut self, record: &Record) -> bool {
        let Some(last) = self.last.filter(|_| self.comparing) else {
            return true;
        };
        // Where the last record is not there any more, nothing can be told.
        self.comparing = record.place.offset < last.offset;
        record.place.offset != last.offset || RecordMark::of(record) == last
    }

    /// Takes a record, and gives a batch if one is full.
    pub(super) fn take(&mut self, record: Record) -> Option<RecordBatch> {
        let offset = record.place.offset;
        if self.stage != Stage::Reading {
            return None;
        }
        if self.comparing && !self.compare(&record) {
            self.stage = Stage::Starting(Some(StoredPosition {
                next: self.next,
                last: None,
                replaced: true,
            }));
            return None;
        }
        if offset < self.next {
            return None;
        }
        self.next = offset + 1;
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        self.bytes += length(&record.key) + length(&record.payload) + size_of::<Record>();
        self.records.push(record);
        let full = self.bytes >= BATCH_BYTES || self.records.len() >= BATCH_RECORDS;
        full.then(|| self.batch()).flatten()
    }

    /// What has come together.
    pub(super) fn batch(&mut self) -> Option<RecordBatch> {
        self.last = Some(RecordMark::of(self.records.last()?));
        let records = mem::take(&mut self.records);
        let bytes = mem::take(&mut self.bytes);
        Some(RecordBatch {
            claim: self.claim.clone(),
            reservation: self.budget.reserve(records.len(), bytes),
            records,
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.budget.level() == FillLevel::Full
    }

    /// Pauses or resumes if that is due. Says whether it did. What has not begun is started paused
    /// or not by other rules.
    pub(super) fn switch_pause(&mut self, held: bool) -> bool {
        let begun = !matches!(self.stage, Stage::Assigned | Stage::Starting(_));
        let should = self.should_pause(held);
        let switches = begun && should != self.paused;
        if switches {
            self.paused = should;
        }
        switches
    }

    fn should_pause(&self, held: bool) -> bool {
        if self.stage != Stage::Reading || held || self.halted {
            return true;
        }
        match self.budget.level() {
            FillLevel::Full => true,
            FillLevel::Between => self.paused,
            FillLevel::Low => false,
        }
    }
}
