//! The partitions that are ours: where each is read, and what of it waits to be handed out.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::TopicPartitionList;
use tokio::time::Instant;

use crate::record::{Partition, Record};
use crate::source::room::{Bay, Fill};
use crate::source::{Batch, Claim, Room};

/// Handed out at the latest when so much of a partition has come together.
const MOST_BYTES: usize = 1 << 20;
const MOST_RECORDS: usize = 512;

/// All of them. A tree, so that what concerns several is done in the same order each time.
pub(super) type Partitions = BTreeMap<Partition, Owned>;

/// The one copy of each topic's name.
#[derive(Debug, Default)]
pub(super) struct Topics(Vec<Arc<str>>);

impl Topics {
    pub(super) fn of(&mut self, name: &str) -> Arc<str> {
        let known = self.0.iter().find(|known| known.as_ref() == name);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.push(Arc::clone(&name));
        name
    }

    /// The partitions of a list.
    pub(super) fn partitions(&mut self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements();
        let named = elements
            .iter()
            .map(|one| Partition::new(self.of(one.topic()), one.partition()));
        named.collect()
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) claim: Claim,
    pub(super) stage: Stage,
    /// Whether the client was told to fetch nothing.
    pub(super) paused: bool,
    /// The next record to come from the client.
    pub(super) next: i64,
    /// Where it would be read on after a crash.
    pub(super) settled: i64,
    /// The next offset to be written, as far as is known; None before anybody said.
    pub(super) end: Option<i64>,
    bay: Bay,
    records: Vec<Record>,
    bytes: usize,
}

/// How far its reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The pipeline was told.
    Assigned,
    /// The pipeline has said where it stopped.
    Asked(Option<i64>),
    Reading,
    /// It is revoked; the pipeline may still settle.
    Leaving,
    /// Somebody wrote over its offset; whether it is still ours is not known yet.
    Doubted {
        /// Until when the group would have told us that it is not.
        until: Instant,
    },
}

impl Owned {
    pub(super) fn new(claim: Claim, room: &Arc<Room>) -> Self {
        Self {
            claim,
            stage: Stage::Assigned,
            paused: false,
            next: 0,
            settled: 0,
            end: None,
            bay: room.bay(),
            records: Vec::new(),
            bytes: 0,
        }
    }

    /// Begins reading here; what was not handed out is read again.
    pub(super) fn begin(&mut self, offset: i64) {
        self.discard();
        self.stage = Stage::Reading;
        self.next = offset;
        self.settled = offset;
        self.end = None;
    }

    /// Notes where the partition ends. What is heard later may be older.
    pub(super) fn ends(&mut self, end: i64) {
        self.end = self.end.max(Some(end));
    }

    /// What is between its end and what is stored.
    pub(super) fn lag(&self) -> Option<i64> {
        if !matches!(self.stage, Stage::Reading | Stage::Leaving) {
            return None;
        }
        Some(self.end?.saturating_sub(self.settled).max(0))
    }

    /// Forgets what was not handed out yet.
    pub(super) fn discard(&mut self) {
        self.records = Vec::new();
        self.bytes = 0;
    }

    /// Takes a record, and gives a batch if one is full.
    pub(super) fn take(&mut self, record: Record) -> Option<Batch> {
        let offset = record.place.offset;
        if self.stage != Stage::Reading || offset < self.next {
            return None;
        }
        self.next = offset + 1;
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        self.bytes += length(&record.key) + length(&record.payload) + size_of::<Record>();
        self.records.push(record);
        let full = self.bytes >= MOST_BYTES || self.records.len() >= MOST_RECORDS;
        full.then(|| self.batch()).flatten()
    }

    /// What has come together.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        if self.records.is_empty() {
            return None;
        }
        let records = mem::take(&mut self.records);
        let bytes = mem::take(&mut self.bytes);
        Some(Batch {
            claim: self.claim.clone(),
            load: self.bay.load(records.len(), bytes),
            records,
        })
    }

    pub(super) fn fill(&self) -> Fill {
        self.bay.fill()
    }

    /// Whether nothing of it should be fetched.
    pub(super) fn should_pause(&self, held: bool) -> bool {
        if self.stage != Stage::Reading || held {
            return true;
        }
        match self.fill() {
            Fill::Full => true,
            Fill::Between => self.paused,
            Fill::Low => false,
        }
    }
}
