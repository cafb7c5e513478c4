//! Partitions whose offset somebody wrote over. Either the group has given them to somebody else and
//! we were not told yet, or a person wants them read from elsewhere.
//!
//! The answer to a heartbeat says which: after two of them without a word the partition is ours. It
//! is not asked for by a commit, for which the client may wait ten minutes while the group has no
//! coordinator. A wrong guess takes the partition's lane from its owner once, who takes it back the
//! same way; nothing is written twice.

use rdkafka::consumer::Consumer;
use tokio::time::Instant;

use crate::record::Partition;
use crate::source::kafka::owned::Stage;
use crate::source::kafka::reader::Reader;
use crate::source::{Claim, Event};

impl Reader {
    /// Ends a claim that the pipeline cannot write any more, until it is known whose the partition
    /// is.
    pub(super) fn reclaim(&mut self, claim: &Claim) {
        let until = Instant::now() + 2 * self.heartbeat;
        let Some(owned) = self.of(claim).filter(|owned| owned.stage == Stage::Reading) else {
            return;
        };
        owned.discard();
        owned.stage = Stage::Doubted { until };
        self.due.take_of(&claim.partition);
        self.tell(Event::Lost(claim.clone()));
    }

    /// Announces anew what would not be ours any more by now if it were another's.
    pub(super) fn end_doubts(&mut self) {
        let now = Instant::now();
        let over = |stage: Stage| matches!(stage, Stage::Doubted { until } if until <= now);
        let doubted: Vec<Partition> = self
            .partitions
            .iter()
            .filter(|(_, owned)| over(owned.stage))
            .map(|(partition, _)| partition.clone())
            .collect();
        if doubted.is_empty() || self.consumer.assignment_lost() {
            return;
        }
        for partition in doubted {
            tracing::warn!(%partition, "somebody wrote its offset; it is read from there");
            self.announce_again(&partition);
        }
    }

    /// Announces a partition that never left us. The client knows nothing of claims and goes on as
    /// it was.
    fn announce_again(&mut self, partition: &Partition) {
        let before = self.partitions.get(partition);
        let before = before.map_or((0, false), |old| (old.next, old.paused));
        self.announce(partition);
        if let Some(owned) = self.partitions.get_mut(partition) {
            (owned.next, owned.paused) = before;
        }
    }
}
