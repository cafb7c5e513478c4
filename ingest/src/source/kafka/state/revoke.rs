//! Partitions that are given back: what was handed out is settled within the grace, Kafka is told
//! how far that was, and only then does the next owner begin.

use std::time::Duration;

use tokio::time::Instant;

use super::input::Action;
use super::partition::Stage;
use super::partitions::Partitions;
use crate::offsets::PendingCommits;
use crate::record::Partition;
use crate::source::{Claim, SourceEvent};

/// What is being given back, if anything.
#[derive(Debug)]
pub(super) struct Revoke {
    grace: Duration,
    pending: Option<Revocation>,
}

/// What is given back together.
#[derive(Debug)]
struct Revocation {
    partitions: Vec<Partition>,
    deadline: Instant,
    /// What the group took away and waits for; None if it is us who leave.
    by_group: Option<Vec<Partition>>,
}

impl Revoke {
    pub(super) const fn new(grace: Duration) -> Self {
        Self {
            grace,
            pending: None,
        }
    }

    pub(super) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The group takes partitions away, or we leave with all of them.
    pub(super) fn begin(
        &mut self,
        list: &[Partition],
        by_group: bool,
        partitions: &mut Partitions,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let deadline = now + self.grace;
        for partition in list {
            let Some(stage) = partitions.stage(partition) else {
                continue;
            };
            match stage {
                Stage::Reading => {
                    let claim = partitions.stop_reading(partition, Stage::Revoking);
                    actions.extend(
                        claim.map(|claim| Action::Emit(SourceEvent::Revoked { claim, deadline })),
                    );
                }
                // We were leaving already when the group wanted it.
                Stage::Revoking => {}
                // The pipeline was told before that it is lost.
                Stage::Reclaiming { .. } => drop(partitions.remove(partition)),
                Stage::Assigned | Stage::Starting(_) => {
                    let claim = partitions.remove(partition);
                    actions.extend(claim.map(|claim| Action::Emit(SourceEvent::Lost(claim))));
                }
            }
        }
        let mut revocation = Revocation {
            partitions: list.to_vec(),
            deadline,
            by_group: by_group.then(|| list.to_vec()),
        };
        if let Some(earlier) = self.pending.take() {
            revocation.partitions.extend(earlier.partitions);
            revocation.deadline = revocation.deadline.min(earlier.deadline);
        }
        self.pending = Some(revocation);
    }

    /// The pipeline has settled what it will.
    pub(super) fn release(
        claim: &Claim,
        partitions: &mut Partitions,
        commits: &mut PendingCommits,
        actions: &mut Vec<Action>,
    ) {
        if partitions.stage_of(claim) == Some(Stage::Revoking) {
            commit_now(&claim.partition, commits, actions);
            partitions.remove(&claim.partition);
        }
    }

    /// Lets go what is released, and everything once the time is over or the group has gone on
    /// without us.
    pub(super) fn finish(
        &mut self,
        assignment_lost: bool,
        partitions: &mut Partitions,
        commits: &mut PendingCommits,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let finished = self.pending.take_if(|pending| {
            let lost = pending.by_group.is_some() && assignment_lost;
            let over = lost || now >= pending.deadline;
            over || !pending.partitions.iter().any(|one| partitions.has(one))
        });
        let Some(finished) = finished else {
            return;
        };
        let lost = finished.by_group.is_some() && assignment_lost;
        for partition in &finished.partitions {
            actions.push(Action::ForgetLag(partition.clone()));
            if lost {
                // The next owner has told Kafka more by now.
                commits.take_of(partition);
            } else {
                commit_now(partition, commits, actions);
            }
            if let Some(late) = partitions.remove(partition) {
                tracing::warn!(%partition, "the partition was taken away before all of it was stored");
                actions.push(Action::Emit(SourceEvent::Lost(late)));
            }
        }
        actions.push(Action::ClearPauses(finished.partitions));
        actions.extend(finished.by_group.map(Action::Unassign));
    }
}

/// Tells Kafka of one partition now: it is about to be somebody else's.
fn commit_now(partition: &Partition, commits: &mut PendingCommits, actions: &mut Vec<Action>) {
    if let Some(next) = commits.take_of(partition) {
        actions.push(Action::Commit(vec![(partition.clone(), next)]));
    }
}
