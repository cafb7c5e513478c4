//! Carries out the state's actions, with Kafka's client.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::Driver;
use crate::position::StoredPosition;
use crate::record::Partition;
use crate::source::kafka::context::complete_rebalance;
use crate::source::kafka::offset_lookup::{list, names};
use crate::source::kafka::state::{Action, Input, Restart, Start};
use crate::source::kafka::unread::OtherPartition;
use crate::source::{SourceError, SourceEvent};

/// How long the answers to what is asked again and again may take: the thread waits for them.
const ENDS: Duration = Duration::from_secs(1);

impl Driver {
    /// Carries out one action. Returns the result, where that matters.
    pub(super) fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Emit(event) => {
                self.note(&event);
                self.emit(event);
                None
            }
            Action::FindStarts(asked) => Some(self.find_starts(asked)),
            Action::CheckPositions(asked) => Some(self.check_positions(asked)),
            Action::Assign(starts) => Some(self.assign(starts)),
            Action::Unassign(old) => {
                let none = TopicPartitionList::new();
                let done = complete_rebalance(&self.consumer, false, &none, &names(&old));
                self.succeeds(&done);
                None
            }
            Action::Restart(restart) => Some(self.restart(restart)),
            Action::Pause(partitions) => {
                self.succeeds(&self.consumer.pause(&names(&partitions)));
                None
            }
            Action::Resume(partitions) => {
                self.succeeds(&self.consumer.resume(&names(&partitions)));
                None
            }
            Action::ClearPauses(partitions) => {
                if let Err(error) = self.consumer.resume(&names(&partitions)) {
                    tracing::debug!(%error, "partitions were not resumed");
                }
                None
            }
            Action::Commit(offsets) => {
                self.commit(&offsets);
                None
            }
            Action::FetchEnds(partitions) => self.fetch_ends(&partitions),
            Action::ForgetLag(partition) => {
                self.metrics.forget(&partition);
                None
            }
        }
    }

    fn note(&self, event: &SourceEvent) {
        if let SourceEvent::Begun(begun) = event {
            let partition = &begun.claim.partition;
            if let Some(gap) = &begun.gap {
                let what = if gap.end < gap.start {
                    "gap: the topic was made anew; what it had before is not known"
                } else {
                    "gap: records are gone that were not read"
                };
                tracing::error!(%partition, from = gap.start, to = gap.end, "{what}");
                self.metrics.gap(&partition.topic, gap);
            }
            tracing::info!(%partition, offset = begun.offset, "reading started");
        }
    }

    /// Whether it did; a failure is a fault of ours with Kafka.
    fn succeeds(&self, done: &KafkaResult<()>) -> bool {
        if let Err(error) = done {
            self.fault(SourceError::of(error));
        }
        done.is_ok()
    }

    fn find_starts(&self, asked: Vec<(Partition, Option<StoredPosition>)>) -> Input {
        let mut starts = Vec::new();
        let found = self.find_each(asked, &mut starts);
        let complete = self.succeeds(&found);
        Input::StartsFound { starts, complete }
    }

    fn find_each(
        &self,
        asked: Vec<(Partition, Option<StoredPosition>)>,
        starts: &mut Vec<Start>,
    ) -> KafkaResult<()> {
        let partitions = asked.iter().map(|(partition, _)| partition);
        let led = self.lookup.with_leader(&self.consumer, partitions)?;
        for (partition, stored) in asked {
            let begin = if led.contains(&partition) {
                Some(self.lookup.start(&self.consumer, &partition, stored)?)
            } else {
                None
            };
            starts.push(Start {
                partition,
                stored,
                begin,
            });
        }
        Ok(())
    }

    fn check_positions(&self, asked: Vec<(Partition, StoredPosition)>) -> Input {
        let mut begins = Vec::new();
        let check = || {
            for (partition, position) in asked {
                let begin = self
                    .lookup
                    .begin(&self.consumer, &partition, Some(position))?;
                begins.push((partition, begin));
            }
            Ok(())
        };
        let complete = self.succeeds(&check());
        Input::PositionsChecked { begins, complete }
    }

    fn assign(&self, starts: Vec<Start>) -> Input {
        let offsets = starts.iter().map(|one| (&one.partition, one.offset()));
        let done =
            list(offsets).and_then(|list| complete_rebalance(&self.consumer, true, &list, &list));
        if self.succeeds(&done) {
            Input::AssignDone(starts)
        } else {
            Input::AssignFailed
        }
    }

    fn restart(&self, restart: Restart) -> Input {
        if self.succeeds(&self.read_from(&restart)) {
            Input::RestartDone(restart)
        } else {
            Input::RestartFailed(restart.partition)
        }
    }

    /// Not by seeking: where the next record is gone the client has stopped, and does not seek.
    fn read_from(&self, restart: &Restart) -> KafkaResult<()> {
        let (partition, offset) = (&restart.partition, restart.offset);
        if restart.resume {
            self.consumer.resume(&names([partition]))?;
        }
        let alone = list([(partition, offset)])?;
        if matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        ) {
            if let Err(error) = self.consumer.incremental_unassign(&alone) {
                // It was taken before, and giving it again failed. If not, that fails now.
                tracing::debug!(%partition, %error, "the partition was not unassigned");
            }
            return self.consumer.incremental_assign(&alone);
        }
        let all = self.state.positions().map(|(at, position)| {
            let offset = if at == partition { offset } else { position };
            (at, offset)
        });
        self.consumer.assign(&list(all)?)
    }

    fn commit(&self, offsets: &[(Partition, i64)]) {
        let offsets = offsets.iter().map(|(partition, next)| (partition, *next));
        let done = list(offsets).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = done {
            // The database has them; the next commit brings Kafka up to date.
            tracing::debug!(%error, "offsets were not committed to Kafka");
        }
    }

    fn fetch_ends(&mut self, partitions: &[Partition]) -> Option<Input> {
        self.ends(partitions).map(Input::EndsFetched)
    }

    /// Where partitions end; `None` if the brokers do not say.
    fn ends(&mut self, partitions: &[Partition]) -> Option<Vec<(Partition, i64)>> {
        let mut asked = TopicPartitionList::new();
        for Partition { topic, number } in partitions {
            // Cannot fail: it is an offset that can be written.
            drop(asked.add_partition_offset(topic, *number, Offset::End));
        }
        // The end is a time as well to Kafka, later than every other.
        let found = self.consumer.offsets_for_times(asked, ENDS).ok()?;
        let topics = &mut self.topics;
        let ends = found.elements().into_iter().filter_map(|end| {
            let Offset::Offset(offset) = end.offset() else {
                return None;
            };
            let partition = Partition::new(topics.of(end.topic()), end.partition());
            Some((partition, offset))
        });
        Some(ends.collect())
    }

    /// How far the group has come with partitions that are not ours; `None` if the brokers do not say.
    pub(super) fn fetch_progress(&mut self, others: &[Partition]) -> Option<Vec<OtherPartition>> {
        if others.is_empty() {
            return Some(Vec::new());
        }
        let committed = self.consumer.committed_offsets(names(others), ENDS).ok()?;
        let ends = self.ends(others)?;
        let progress = ends.into_iter().map(|(partition, end)| {
            let found = committed.find_partition(&partition.topic, partition.number);
            let committed = found.and_then(|found| match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            OtherPartition {
                partition,
                committed,
                end,
            }
        });
        Some(progress.collect())
    }
}
