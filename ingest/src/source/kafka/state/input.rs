//! What comes into the state and what comes out of it.

use crate::offsets::StartPosition;
use crate::position::StoredPosition;
use crate::record::Partition;
use crate::source::{SourceCommand, SourceError, SourceEvent};

/// What happened.
#[derive(Debug)]
pub(in crate::source::kafka) enum Input {
    /// The pipeline wants something.
    Command(SourceCommand),
    /// The pipeline has dropped the source.
    PipelineGone,
    /// The group gives us these; it waits for [`Action::Assign`].
    Assigned(Vec<Partition>),
    /// The group takes these away; it waits for [`Action::Unassign`].
    Revoked(Vec<Partition>),
    /// The next record of some partition is gone. The client does not say of which.
    OffsetOutOfRange,
    /// Topics may have been deleted, and made anew.
    TopicsInDoubt,
    /// The client can never work again.
    Broken(SourceError),
    /// Answers [`Action::FindStarts`].
    StartsFound {
        starts: Vec<Start>,
        /// False if a broker did not answer: then partitions are missing.
        complete: bool,
    },
    /// Answers [`Action::CheckPositions`].
    PositionsChecked {
        begins: Vec<(Partition, StartPosition)>,
        /// As above.
        complete: bool,
    },
    /// Answers [`Action::Assign`].
    AssignDone(Vec<Start>),
    /// Answers [`Action::Assign`].
    AssignFailed,
    /// Answers [`Action::Restart`].
    RestartDone(Restart),
    /// Answers [`Action::Restart`].
    RestartFailed(Partition),
    /// Where partitions end, as the client has heard with what it fetched.
    EndsHeard(Vec<(Partition, HeardEnd)>),
    /// Answers [`Action::FetchEnds`].
    EndsFetched(Vec<(Partition, i64)>),
    /// Time has passed.
    Tick {
        /// Whether the group has gone on without us.
        assignment_lost: bool,
    },
}

/// Where a partition ends, as the client has heard with what it fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) struct HeardEnd {
    /// Behind the last record that is delivered by now: not those of transactions that are open.
    pub(in crate::source::kafka) offset: i64,
    /// All records before this offset have been taken from the client; None if some may wait there.
    pub(in crate::source::kafka) fetched: Option<i64>,
}

/// What is to be done.
#[derive(Debug)]
pub(in crate::source::kafka) enum Action {
    /// Tell the pipeline.
    Emit(SourceEvent),
    /// Ask the brokers where these begin, given what is stored.
    FindStarts(Vec<(Partition, Option<StoredPosition>)>),
    /// Ask the brokers whether these still have their next record.
    CheckPositions(Vec<(Partition, StoredPosition)>),
    /// Complete the group's assignment.
    Assign(Vec<Start>),
    /// Complete the group's revocation.
    Unassign(Vec<Partition>),
    /// Read a partition of ours from elsewhere.
    Restart(Restart),
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    /// Forget the pauses of partitions that leave, which the client would keep beyond their stay.
    ClearPauses(Vec<Partition>),
    /// Tell Kafka where these are read on, without waiting for it.
    Commit(Vec<(Partition, i64)>),
    /// Ask the brokers where these end.
    FetchEnds(Vec<Partition>),
    /// Show the lag of this one no longer.
    ForgetLag(Partition),
}

/// Where a partition begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) struct Start {
    pub(in crate::source::kafka) partition: Partition,
    pub(in crate::source::kafka) stored: Option<StoredPosition>,
    /// None while it has no leader that could be asked.
    pub(in crate::source::kafka) begin: Option<StartPosition>,
}

impl Start {
    /// The offset to give the client; any will do for a partition that is started again later.
    pub(in crate::source::kafka) fn offset(&self) -> i64 {
        let begin = self.begin.as_ref();
        let stored = || self.stored.map_or(0, |stored| stored.next);
        begin.map_or_else(stored, StartPosition::first)
    }
}

/// How a partition that never left us is read from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::kafka) struct Restart {
    pub(in crate::source::kafka) partition: Partition,
    pub(in crate::source::kafka) offset: i64,
    /// Whether the client is to resume it first.
    pub(in crate::source::kafka) resume: bool,
    /// The events for the pipeline; None if the partition continues where it was.
    pub(in crate::source::kafka) begin: Option<StartPosition>,
}
