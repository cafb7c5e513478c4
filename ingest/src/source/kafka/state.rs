//! The state of a group member, without I/O: inputs in, actions out. It has no consumer, no channel
//! and no clock; [`Driver`](super::driver::Driver) reports what happened, carries out the actions,
//! and reports their results.
//!
//! Each part owns its own fields and is given the [`Partitions`] that it works on: `assign` starts
//! partitions, `reclaim` restarts those whose stored offset somebody else wrote, `revoke` gives
//! them up, `backpressure` pauses them, `lag` knows where they end.

mod assign;
mod backpressure;
mod input;
mod lag;
mod partition;
mod partitions;
#[cfg(test)]
mod properties;
mod reclaim;
mod revoke;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::offsets::PendingCommits;
use crate::record::{Partition, Record};
use crate::source::{BufferBudget, Claim, RecordBatch, SourceCommand, SourceError};
use assign::Assign;
use backpressure::Backpressure;
use lag::EndOffsets;
use partitions::{Counts, Partitions};
use reclaim::Reclaim;
use revoke::Revoke;

pub(super) use input::{Action, HeardEnd, Input, Restart, Start};

/// Why the source ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was asked to stop: events handed out are settled first.
    Stopped,
    /// The pipeline is gone.
    Aborted,
    /// Kafka's client can never work again.
    Broken(SourceError),
}

/// Timing of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long the pipeline may take to settle what is revoked.
    pub(super) grace: Duration,
    /// Between two heartbeats to the group.
    pub(super) heartbeat: Duration,
    /// Between two commits to Kafka.
    pub(super) commit_interval: Duration,
}

/// All state of a member.
#[derive(Debug)]
pub(super) struct ConsumerState {
    partitions: Partitions,
    assign: Assign,
    reclaim: Reclaim,
    revoke: Revoke,
    backpressure: Backpressure,
    ends: EndOffsets,
    commits: PendingCommits,
    ending: Option<Ending>,
}

impl ConsumerState {
    pub(super) fn new(budget: Arc<BufferBudget>, times: Times, now: Instant) -> Self {
        Self {
            partitions: Partitions::new(budget),
            assign: Assign::default(),
            reclaim: Reclaim::new(times.heartbeat),
            revoke: Revoke::new(times.grace),
            backpressure: Backpressure::default(),
            ends: EndOffsets::default(),
            commits: PendingCommits::new(times.commit_interval, now),
            ending: None,
        }
    }

    /// Handles an input, and returns the actions for it, in order.
    pub(super) fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        let partitions = &mut self.partitions;
        match input {
            Input::Command(command) => self.obey(command, now, &mut actions),
            Input::PipelineGone => self.ending = Some(Ending::Aborted),
            Input::Broken(fault) => self.ending = Some(Ending::Broken(fault)),
            Input::Assigned(list) => self.assign.begin(list, partitions, &mut actions),
            Input::Revoked(list) => self
                .revoke
                .begin(&list, true, partitions, now, &mut actions),
            Input::OffsetOutOfRange => self.assign.suspect_gap(),
            Input::TopicsInDoubt => {
                let restarts = partitions.compare_again().into_iter();
                actions.extend(restarts.map(Action::Restart));
            }
            Input::StartsFound { starts, complete } => {
                self.assign
                    .found(starts, complete, partitions, now, &mut actions);
            }
            Input::AssignDone(starts) => self.assign.done(starts, partitions, &mut actions),
            Input::AssignFailed => self.assign.failed(now),
            Input::PositionsChecked { begins, complete } => {
                self.assign
                    .checked(&begins, complete, partitions, now, &mut actions);
            }
            Input::RestartDone(restart) => Assign::restarted(restart, partitions, &mut actions),
            Input::RestartFailed(partition) => {
                self.assign.restart_failed(&partition, partitions, now);
            }
            Input::EndsHeard(ends) => {
                partitions.hear_ends(ends);
                self.ends.ask(partitions, now, &mut actions);
            }
            Input::EndsFetched(ends) => partitions.note_ends(ends),
            Input::Tick { assignment_lost } => self.tick(assignment_lost, now, &mut actions),
        }
        actions
    }

    fn obey(&mut self, command: SourceCommand, now: Instant, actions: &mut Vec<Action>) {
        let partitions = &mut self.partitions;
        match command {
            SourceCommand::Begin { claim, stored } => partitions.start(&claim, stored),
            SourceCommand::Settled { claim, next } => {
                if partitions.settle(&claim, next) {
                    self.commits.note(&claim.partition, next);
                }
            }
            SourceCommand::Release(claim) => {
                Revoke::release(&claim, partitions, &mut self.commits, actions);
            }
            SourceCommand::Reclaim(claim) => {
                if self.reclaim.begin(&claim, partitions, now, actions) {
                    self.commits.take_of(&claim.partition);
                }
            }
            SourceCommand::Halt(claim) => partitions.halt(&claim),
            SourceCommand::Hold(hold) => self.backpressure.hold(hold),
            SourceCommand::Stop => {
                self.ending.get_or_insert(Ending::Stopped);
            }
            SourceCommand::Abort => self.ending = Some(Ending::Aborted),
        }
    }

    /// What is due by now. While a query to the brokers is open nothing else is done: its answer
    /// must find the state that it was asked in.
    fn tick(&mut self, assignment_lost: bool, now: Instant, actions: &mut Vec<Action>) {
        if matches!(self.ending, Some(Ending::Aborted | Ending::Broken(_))) {
            return;
        }
        let revoking = self.revoke.is_pending();
        if self.assign.ask(revoking, &self.partitions, now, actions) {
            return;
        }
        let partitions = &mut self.partitions;
        if !assignment_lost {
            Reclaim::finish(partitions, now, actions);
        }
        self.revoke
            .finish(assignment_lost, partitions, &mut self.commits, now, actions);
        if self.ending == Some(Ending::Stopped) && !self.revoke.is_pending() {
            let all: Vec<Partition> = partitions.names().cloned().collect();
            if !all.is_empty() {
                self.revoke.begin(&all, false, partitions, now, actions);
            }
        }
        if let Some(offsets) = self.commits.take(now) {
            actions.push(Action::Commit(offsets.into_iter().collect()));
        }
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        match self.ending {
            None => false,
            Some(Ending::Stopped) => !self.revoke.is_pending() && self.partitions.is_empty(),
            Some(Ending::Aborted | Ending::Broken(_)) => true,
        }
    }

    pub(super) fn into_ending(self) -> Option<Ending> {
        self.ending
    }

    /// Whether to poll for records now. False for short pauses while there is no room; if that
    /// lasts, partitions are paused instead, so that polling goes on.
    pub(super) fn may_poll(&mut self, now: Instant) -> bool {
        self.backpressure.may_poll(&self.partitions, now)
    }

    /// Pauses and resumes, before records are polled for.
    pub(super) fn pause_and_resume(&mut self) -> Vec<Action> {
        self.backpressure.pause_and_resume(&mut self.partitions)
    }

    /// Adds a record from the client, and returns a batch if one is full. A record of an unassigned
    /// partition is ignored.
    pub(super) fn take(
        &mut self,
        partition: &Partition,
        record: impl FnOnce() -> Record,
    ) -> Option<RecordBatch> {
        self.partitions.get_mut(partition)?.take(record())
    }

    /// The batches gathered for all partitions.
    pub(super) fn take_batches(&mut self) -> Vec<RecordBatch> {
        self.partitions.batches()
    }

    /// Whether the buffer is full as far as this claim is concerned.
    pub(super) fn is_full(&self, claim: &Claim) -> bool {
        self.partitions.is_full(&claim.partition)
    }

    /// Whether something besides records is expected, so that polling should not wait long.
    pub(super) fn is_waiting(&self) -> bool {
        self.assign.is_waiting() || self.revoke.is_pending() || self.partitions.any_is_waiting()
    }

    /// Every assigned partition.
    pub(super) fn names(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.names()
    }

    /// Whether nothing is fetched because the pipeline wants nothing.
    pub(super) fn is_held(&self) -> bool {
        self.backpressure.is_held()
    }

    /// The partitions that are fetched now.
    pub(super) fn fetched(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.fetched()
    }

    /// Where the client would continue each partition.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.partitions.positions()
    }

    /// How far each partition is behind, as far as is known.
    pub(super) fn lags(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.partitions.lags()
    }

    /// How many partitions are ours, are read, and are paused.
    pub(super) fn counts(&self) -> Counts {
        self.partitions.counts()
    }
}
