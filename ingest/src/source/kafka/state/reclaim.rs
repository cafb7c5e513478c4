//! Partitions whose stored offset somebody else wrote. Either the group has given them to another
//! member and we were not told yet, or a person wants them read from elsewhere.
//!
//! The answer to a heartbeat says which: after two of them without a word the partition is ours. It
//! is not asked for by a commit, for which the client may wait ten minutes while the group has no
//! coordinator. A wrong guess takes the partition's lane from its owner once, who takes it back the
//! same way; nothing is written twice.

use std::time::Duration;

use tokio::time::Instant;

use super::input::Action;
use super::partition::Stage;
use super::partitions::Partitions;
use crate::source::{Claim, SourceEvent};

/// How long it takes to know whose a partition is.
#[derive(Debug)]
pub(super) struct Reclaim {
    heartbeat: Duration,
}

impl Reclaim {
    pub(super) const fn new(heartbeat: Duration) -> Self {
        Self { heartbeat }
    }

    /// Ends a claim that the pipeline cannot write any more, until it is known whose the partition
    /// is. Says whether there was one.
    pub(super) fn begin(
        &self,
        claim: &Claim,
        partitions: &mut Partitions,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let lost = Action::Emit(SourceEvent::Lost(claim.clone()));
        match partitions.stage_of(claim) {
            Some(Stage::Reading) => {
                let until = now + 2 * self.heartbeat;
                partitions.stop_reading(&claim.partition, Stage::Reclaiming { until });
                actions.push(lost);
                true
            }
            // It is not read yet, so whoever reads it instead is disturbed once in a while at most.
            Some(Stage::Starting(_)) => {
                actions.push(lost);
                let claim = partitions.announce_again(&claim.partition);
                actions.push(Action::Emit(SourceEvent::Assigned(claim)));
                true
            }
            _ => false,
        }
    }

    /// Announces anew what would not be ours any more by now if it were another's. The client knows
    /// nothing of claims and goes on as it was.
    pub(super) fn finish(partitions: &mut Partitions, now: Instant, actions: &mut Vec<Action>) {
        for partition in partitions.reclaimed(now) {
            tracing::warn!(%partition, "another process wrote the stored offset; reading continues from there");
            let claim = partitions.announce_again(&partition);
            actions.push(Action::Emit(SourceEvent::Assigned(claim)));
        }
    }
}
