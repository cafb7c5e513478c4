//! Partitions on their way out: what was handed out is settled within the grace, Kafka is told how
//! far that was, and only then does the next owner begin.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use tokio::time::Instant;

use crate::record::Partition;
use crate::source::kafka::context::answer;
use crate::source::kafka::owned::Stage;
use crate::source::kafka::position::{list, names};
use crate::source::kafka::reader::Reader;
use crate::source::metrics::Rebalance;
use crate::source::{Claim, Event, Fault};

/// What leaves together.
#[derive(Debug)]
pub(super) struct Departure {
    partitions: Vec<Partition>,
    deadline: Instant,
    /// The group waits for our answer; otherwise it is us who leave.
    revoked: Option<TopicPartitionList>,
}

impl Reader {
    /// The group takes partitions away.
    pub(super) fn revoke(&mut self, list: TopicPartitionList) {
        let partitions = self.topics.partitions(&list);
        let kind = if self.consumer.assignment_lost() {
            Rebalance::Lose
        } else {
            Rebalance::Revoke
        };
        self.metrics.rebalance(kind);
        self.leave(partitions, Some(list));
    }

    /// We leave by ourselves, with everything.
    pub(super) fn leave_all(&mut self) {
        let all = self.partitions.keys().cloned().collect();
        self.leave(all, None);
    }

    fn leave(&mut self, partitions: Vec<Partition>, revoked: Option<TopicPartitionList>) {
        let deadline = Instant::now() + self.grace;
        let mut told = Vec::new();
        for partition in &partitions {
            let Some(owned) = self.partitions.get_mut(partition) else {
                continue;
            };
            owned.discard();
            match owned.stage {
                Stage::Reading => {
                    owned.stage = Stage::Leaving;
                    let claim = owned.claim.clone();
                    told.push(Event::Revoked { claim, deadline });
                }
                // We were leaving already when the group wanted it.
                Stage::Leaving => {}
                Stage::Doubted { .. } => drop(self.partitions.remove(partition)),
                Stage::Assigned | Stage::Asked(_) => {
                    told.push(Event::Lost(owned.claim.clone()));
                    self.partitions.remove(partition);
                }
            }
        }
        for event in told {
            self.tell(event);
        }
        let mut departure = Departure {
            partitions,
            deadline,
            revoked,
        };
        if let Some(earlier) = self.departure.take() {
            departure.partitions.extend(earlier.partitions);
            departure.deadline = departure.deadline.min(earlier.deadline);
        }
        self.departure = Some(departure);
    }

    /// The pipeline has settled what it will.
    pub(super) fn release(&mut self, claim: &Claim) {
        if self
            .of(claim)
            .is_some_and(|owned| owned.stage == Stage::Leaving)
        {
            self.commit_of(&claim.partition);
            self.partitions.remove(&claim.partition);
        }
    }

    /// Lets go what is released, and everything once the time is over or the group has gone on
    /// without us.
    pub(super) fn depart(&mut self) {
        let Some(departure) = &self.departure else {
            return;
        };
        let lost = departure.revoked.is_some() && self.consumer.assignment_lost();
        let over = lost || Instant::now() >= departure.deadline;
        let staying = |at: &Partition| self.partitions.contains_key(at);
        if !over && departure.partitions.iter().any(staying) {
            return;
        }
        let Some(departure) = self.departure.take() else {
            return;
        };
        for partition in &departure.partitions {
            self.metrics.forget(partition);
            if !lost {
                self.commit_of(partition);
            }
            if let Some(late) = self.partitions.remove(partition) {
                tracing::warn!(%partition, "gone before all of it was settled");
                self.tell(Event::Lost(late.claim));
            }
        }
        self.resume(&departure.partitions);
        if let Some(old) = departure.revoked
            && let Err(error) = answer(&self.consumer, false, &TopicPartitionList::new(), &old)
        {
            self.fault(Fault::of(&error));
        }
    }

    /// The client keeps a pause beyond the partition's stay.
    fn resume(&mut self, partitions: &[Partition]) {
        if let Err(error) = self.consumer.resume(&names(partitions)) {
            tracing::debug!(%error, "not resumed");
        }
    }

    /// Tells Kafka of one partition now: it is about to be somebody else's.
    fn commit_of(&mut self, partition: &Partition) {
        if let Some(next) = self.due.take_of(partition) {
            self.commit([(partition, next)]);
        }
    }

    /// Tells Kafka where partitions are read on, without waiting for it.
    pub(super) fn commit<'p>(&self, offsets: impl IntoIterator<Item = (&'p Partition, i64)>) {
        let done = list(offsets).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = done {
            tracing::debug!(%error, "offsets were not committed to Kafka");
        }
    }
}
