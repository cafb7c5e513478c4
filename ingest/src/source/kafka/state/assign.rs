//! Where reading starts: for partitions newly assigned by the group, for those restarted without
//! having been revoked, and for those whose next record is gone.
//!
//! A rebalance ends by saying where each partition begins; not by seeking afterwards, which the
//! client's own idea of where we are may overtake. Partitions that are started again are not among
//! them: the client has those already, and refuses to have them twice.

use std::time::Duration;

use tokio::time::Instant;

use super::input::{Action, Restart, Start};
use super::partition::{PartitionState, Stage};
use super::partitions::Partitions;
use crate::offsets::StartPosition;
use crate::record::Partition;
use crate::source::{ReadingStarted, SourceEvent};

/// Before brokers that did not answer are asked again.
const RETRY: Duration = Duration::from_millis(500);

/// What is to be started, and when the brokers may be asked for it.
#[derive(Debug, Default)]
pub(super) struct Assign {
    /// What the group has given us and waits for.
    pending: Option<Vec<Partition>>,
    /// Whether some partition may stand still because its next record is gone.
    gap_suspected: bool,
    starts_asked_last: bool,
    retry_at: Option<Instant>,
}

impl Assign {
    /// The group gives us partitions.
    pub(super) fn begin(
        &mut self,
        list: Vec<Partition>,
        partitions: &mut Partitions,
        actions: &mut Vec<Action>,
    ) {
        for partition in &list {
            let claim = partitions.announce(partition);
            actions.push(Action::Emit(SourceEvent::Assigned(claim)));
        }
        self.pending = Some(list);
    }

    /// Some partition's next record is gone.
    pub(super) const fn suspect_gap(&mut self) {
        self.gap_suspected = true;
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.pending.is_some() || self.gap_suspected
    }

    /// Asks the brokers what has to be known next. Says whether it did.
    pub(super) fn ask(
        &mut self,
        revoking: bool,
        partitions: &Partitions,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.retry_at.is_some_and(|time| now < time) {
            return false;
        }
        if let Some(pending) = &self.pending {
            // The group waits for one answer about all of them.
            if pending.iter().any(|one| partitions.awaits_offset(one)) {
                return false;
            }
            let mut starting = partitions.starting();
            starting.retain(|(partition, _)| pending.contains(partition));
            actions.push(Action::FindStarts(starting));
            return true;
        }
        if revoking {
            return false;
        }
        let starting = partitions.starting();
        // Neither of the two, when it gets no answer, keeps the other from being asked.
        let gaps_first = self.gap_suspected && self.starts_asked_last;
        if !starting.is_empty() && !gaps_first {
            self.starts_asked_last = true;
            actions.push(Action::FindStarts(starting));
            return true;
        }
        self.starts_asked_last = false;
        if self.gap_suspected {
            self.gap_suspected = false;
            actions.push(Action::CheckPositions(partitions.reading()));
            return true;
        }
        false
    }

    /// The brokers have said where partitions begin.
    pub(super) fn found(
        &mut self,
        starts: Vec<Start>,
        complete: bool,
        partitions: &Partitions,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.pending.is_some() {
            if complete {
                actions.push(Action::Assign(starts));
            } else {
                self.retry_later(now);
            }
            return;
        }
        if !complete || starts.iter().any(|start| start.begin.is_none()) {
            self.retry_later(now);
        }
        for Start {
            partition, begin, ..
        } in starts
        {
            if let Some(begin) = begin {
                let restart = partitions.restart(&partition, begin.first(), Some(begin));
                actions.extend(restart.map(Action::Restart));
            }
        }
    }

    /// The client has taken an assignment. Partitions without a leader are started again later: what
    /// they have cannot be asked, and the others shall not wait for them. The client has to have
    /// them nevertheless, or it could not be told that they are gone.
    pub(super) fn done(
        &mut self,
        starts: Vec<Start>,
        partitions: &mut Partitions,
        actions: &mut Vec<Action>,
    ) {
        self.pending = None;
        let (led, leaderless): (Vec<_>, Vec<_>) =
            starts.into_iter().partition(|start| start.begin.is_some());
        let leaderless: Vec<Partition> = leaderless.into_iter().map(|one| one.partition).collect();
        for partition in &leaderless {
            tracing::warn!(%partition, "the partition has no leader; it is read once it has one");
            partitions.set_paused(partition, true);
        }
        if !leaderless.is_empty() {
            actions.push(Action::Pause(leaderless));
        }
        for start in led {
            if let Some(begin) = start.begin {
                begun(&start.partition, begin, partitions, actions);
            }
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.retry_later(now);
    }

    /// The brokers have said what there is at the positions of partitions that are read.
    pub(super) fn checked(
        &mut self,
        begins: &[(Partition, StartPosition)],
        complete: bool,
        partitions: &Partitions,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let found = begins.iter().any(|(_, begin)| begin.gap.is_some());
        if !complete {
            // It is noticed again: the client stands still there.
            self.gap_suspected = true;
            self.retry_later(now);
        } else if !found {
            // What was gone is there again, as when a broker that lagged behind has led for a moment.
            self.retry_later(now);
        }
        for (partition, begin) in begins {
            let told = begin.gap.is_some().then(|| begin.clone());
            if told.is_some() || (complete && !found) {
                let restart = partitions.restart(partition, begin.first(), told);
                actions.extend(restart.map(Action::Restart));
            }
        }
    }

    /// The client reads a partition from elsewhere.
    pub(super) fn restarted(
        restart: Restart,
        partitions: &mut Partitions,
        actions: &mut Vec<Action>,
    ) {
        let Restart {
            partition, begin, ..
        } = restart;
        partitions.set_paused(&partition, false);
        if let Some(begin) = begin {
            let batch = partitions
                .get_mut(&partition)
                .and_then(PartitionState::batch);
            actions.extend(batch.map(|batch| Action::Emit(SourceEvent::Batch(batch))));
            begun(&partition, begin, partitions, actions);
        }
    }

    pub(super) fn restart_failed(
        &mut self,
        partition: &Partition,
        partitions: &Partitions,
        now: Instant,
    ) {
        if partitions.stage(partition) == Some(Stage::Reading) {
            self.gap_suspected = true;
        }
        self.retry_later(now);
    }

    /// Asks no broker anything for a moment.
    fn retry_later(&mut self, now: Instant) {
        self.retry_at = Some(now + RETRY);
    }
}

fn begun(
    partition: &Partition,
    begin: StartPosition,
    partitions: &mut Partitions,
    actions: &mut Vec<Action>,
) {
    let Some(one) = partitions.get_mut(partition) else {
        return;
    };
    one.begin(begin.offset, begin.known);
    let begun = ReadingStarted {
        claim: one.claim().clone(),
        offset: begin.offset,
        gap: begin.gap,
    };
    actions.push(Action::Emit(SourceEvent::Begun(begun)));
}
