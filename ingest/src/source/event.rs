//! Events of a source.

use std::ops::Range;

use tokio::time::Instant;

use crate::record::Record;
use crate::source::buffer::Reservation;
use crate::source::claim::Claim;
use crate::source::fault::SourceError;

/// An event. For each claim the order is: assigned, begun, batches (and perhaps begun again, after
/// a gap), then revoked or lost.
#[derive(Debug)]
pub enum SourceEvent {
    /// A partition is assigned to this process. Nothing of it arrives until
    /// [`Control::begin`](crate::source::Control::begin) says where it stopped.
    Assigned(Claim),
    /// Reading begins here.
    Begun(ReadingStarted),
    Batch(RecordBatch),
    /// A partition is being taken away in good order: no more batches of it arrive. What was handed
    /// out is to be settled, and then released; at the deadline it is gone in any case.
    Revoked {
        claim: Claim,
        deadline: Instant,
    },
    /// A partition is gone: what is not stored will be read by another process.
    Lost(Claim),
    /// The last event. A source that was stopped ends well, but a recording only if all of it was read
    /// and settled.
    Ended(Result<(), SourceError>),
}

/// Where reading a partition begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingStarted {
    pub claim: Claim,
    pub offset: i64,
    /// What should have been read before it and is gone; see
    /// [`StartPosition`](crate::offsets::StartPosition).
    pub gap: Option<Range<i64>>,
}

/// Records of one partition, in their order, at least one.
#[derive(Debug)]
pub struct RecordBatch {
    pub claim: Claim,
    pub records: Vec<Record>,
    /// Frees buffer space when dropped: keep it until the records are settled.
    pub reservation: Reservation,
}

impl RecordBatch {
    /// The offset of the first record.
    pub fn first(&self) -> i64 {
        self.records.first().map_or(0, |record| record.place.offset)
    }

    /// The offset of the last record.
    pub fn last(&self) -> i64 {
        self.records.last().map_or(0, |record| record.place.offset)
    }
}
