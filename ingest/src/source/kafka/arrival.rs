//! Partitions on their way in: announced to the pipeline, begun where it says that it stopped. Also
//! those that are begun anew although they never left us, and those whose next record is gone.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;

use crate::config::Start;
use crate::offsets::Begin;
use crate::record::Partition;
use crate::source::kafka::context::answer;
use crate::source::kafka::owned::{Owned, Stage};
use crate::source::kafka::position::{Policy, list, names};
use crate::source::kafka::reader::Reader;
use crate::source::metrics::Rebalance;
use crate::source::{Begun, Claim, Event, Fault};

/// Partitions the group has given us, which are read once the place of each is known.
#[derive(Debug)]
pub(super) struct Arrival {
    partitions: Vec<Partition>,
}

impl Reader {
    /// The group gives us partitions.
    pub(super) fn arrive(&mut self, list: &TopicPartitionList) {
        let partitions = self.topics.partitions(list);
        if !partitions.is_empty() {
            self.metrics.rebalance(Rebalance::Assign);
        }
        for partition in &partitions {
            self.announce(partition);
        }
        self.arrival = Some(Arrival { partitions });
    }

    pub(super) fn announce(&mut self, partition: &Partition) {
        self.tenure += 1;
        let claim = Claim {
            partition: partition.clone(),
            tenure: self.tenure,
        };
        let owned = Owned::new(claim.clone(), &self.room);
        self.partitions.insert(partition.clone(), owned);
        self.tell(Event::Assigned(claim));
    }

    /// Begins what was asked for, as far as the brokers answer.
    pub(super) fn begin_asked(&mut self) {
        if !self.is_time_to_try() {
            return;
        }
        let done = match self.arrival.take() {
            Some(arrival) if self.is_asked(&arrival) => {
                let done = self.assign(&arrival);
                if done.is_err() {
                    self.arrival = Some(arrival);
                }
                done
            }
            Some(arrival) => {
                self.arrival = Some(arrival);
                return;
            }
            None if self.departure.is_some() => return,
            None => self.begin_again(),
        };
        if let Err(error) = done {
            self.try_later(&Fault::of(&error));
        }
    }

    fn is_asked(&self, arrival: &Arrival) -> bool {
        arrival.partitions.iter().all(|partition| {
            let owned = self.partitions.get(partition);
            owned.is_none_or(|owned| matches!(owned.stage, Stage::Asked(_)))
        })
    }

    fn asked(&self) -> Vec<(Partition, Option<i64>)> {
        let asked = self.partitions.iter().filter_map(|(partition, owned)| {
            let Stage::Asked(stored) = owned.stage else {
                return None;
            };
            Some((partition.clone(), stored))
        });
        asked.collect()
    }

    /// Ends the rebalance by saying where each partition begins; not by seeking afterwards, which
    /// Kafka's own idea of where we are may overtake. Partitions that are to be begun again are not
    /// among them: the client has those already, and refuses to have them twice.
    ///
    /// Those without a leader are begun again later: what they have cannot be asked, and the others
    /// shall not wait for them. The client has to know them nevertheless, or it could not be told
    /// that they are gone.
    fn assign(&mut self, arrival: &Arrival) -> KafkaResult<()> {
        let led = self.led(&arrival.partitions)?;
        let (mut begins, mut later) = (Vec::new(), Vec::new());
        for (partition, stored) in self.asked() {
            if !arrival.partitions.contains(&partition) {
                continue;
            }
            if !led.contains(&partition) {
                later.push((partition, stored.unwrap_or(0)));
                continue;
            }
            let policy = self.policy_of(&partition, stored)?;
            let begin = policy.begin(&self.consumer, &partition, stored)?;
            begins.push((partition, begin));
        }
        let offsets = begins.iter().map(|(at, begin)| (at, begin.offset));
        let list = list(offsets.chain(later.iter().map(|(at, offset)| (at, *offset))))?;
        answer(&self.consumer, true, &list, &list)?;
        self.put_off(later.iter().map(|(partition, _)| partition));
        for (partition, begin) in begins {
            self.begun(&partition, begin);
        }
        Ok(())
    }

    /// Partitions that have a leader.
    fn led(&self, partitions: &[Partition]) -> KafkaResult<BTreeSet<Partition>> {
        let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|one| &one.topic).collect();
        let mut led = BTreeSet::new();
        for topic in topics {
            led.extend(self.policy.led(&self.consumer, topic)?);
        }
        Ok(led)
    }

    fn put_off<'p>(&mut self, partitions: impl Iterator<Item = &'p Partition>) {
        let mut paused = Vec::new();
        for partition in partitions {
            tracing::warn!(%partition, "has no leader; begun once it has");
            if let Some(owned) = self.partitions.get_mut(partition) {
                owned.paused = true;
                paused.push(partition);
            }
        }
        if let Err(error) = self.consumer.pause(&names(paused)) {
            self.fault(Fault::of(&error));
        }
    }

    /// A partition that nobody of the group has read, of a topic that the group reads, was added to
    /// the topic meanwhile. To begin it with what comes next would leave out what came before anybody
    /// noticed.
    fn policy_of(&self, partition: &Partition, stored: Option<i64>) -> KafkaResult<Policy> {
        let mut policy = self.policy;
        if stored.is_none()
            && policy.start != Start::Earliest
            && policy.is_added(&self.consumer, partition)?
        {
            tracing::info!(%partition, "was added to its topic; read from its oldest record");
            policy.start = Start::Earliest;
        }
        Ok(policy)
    }

    /// Begins partitions that never stopped being ours.
    fn begin_again(&mut self) -> KafkaResult<()> {
        let asked = self.asked();
        if asked.is_empty() {
            return Ok(());
        }
        let partitions: Vec<Partition> = asked.iter().map(|(at, _)| at.clone()).collect();
        let led = self.led(&partitions)?;
        if !partitions.iter().all(|one| led.contains(one)) {
            self.rest();
        }
        for (partition, stored) in asked {
            if led.contains(&partition) {
                let policy = self.policy_of(&partition, stored)?;
                let begin = policy.begin(&self.consumer, &partition, stored)?;
                self.restart(&partition, begin.offset)?;
                self.begun(&partition, begin);
            }
        }
        Ok(())
    }

    /// Reads a partition of ours from elsewhere. Not by seeking: where the next record is gone the
    /// client has stopped, and does not seek.
    fn restart(&mut self, partition: &Partition, offset: i64) -> KafkaResult<()> {
        if let Some(owned) = self.partitions.get_mut(partition)
            && mem::take(&mut owned.paused)
        {
            self.consumer.resume(&names([partition]))?;
        }
        let alone = list([(partition, offset)])?;
        if matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        ) {
            if let Err(error) = self.consumer.incremental_unassign(&alone) {
                // It was taken before, and giving it again failed. If not, that fails now.
                tracing::debug!(%partition, %error, "not unassigned");
            }
            return self.consumer.incremental_assign(&alone);
        }
        let all = self.partitions.iter().map(|(at, owned)| {
            let offset = if at == partition { offset } else { owned.next };
            (at, offset)
        });
        self.consumer.assign(&list(all)?)
    }

    fn begun(&mut self, partition: &Partition, begin: Begin) {
        let Some(owned) = self.partitions.get_mut(partition) else {
            return;
        };
        owned.begin(begin.offset);
        let claim = owned.claim.clone();
        if let Some(gap) = &begin.gap {
            tracing::error!(%partition, from = gap.start, to = gap.end, "records are gone unread");
            self.metrics.gap(&partition.topic, gap);
        }
        tracing::info!(%partition, offset = begin.offset, "reading begins");
        self.tell(Event::Begun(Begun {
            claim,
            offset: begin.offset,
            gap: begin.gap,
        }));
    }

    /// Some partition's next record is gone. Kafka's client does not say which.
    pub(super) fn out_of_range(&mut self) {
        if self.arrival.is_some() || self.departure.is_some() {
            // The group waits for another answer first.
            return;
        }
        self.recheck = false;
        if let Err(error) = self.jump_gaps() {
            // It is noticed again: the client stands still there.
            self.recheck = true;
            self.try_later(&Fault::of(&error));
        }
    }

    fn jump_gaps(&mut self) -> KafkaResult<()> {
        let reading: Vec<(Partition, i64)> = self
            .partitions
            .iter()
            .filter(|(_, owned)| owned.stage == Stage::Reading)
            .map(|(partition, owned)| (partition.clone(), owned.next))
            .collect();
        let mut found = false;
        for (partition, next) in &reading {
            let begin = self.policy.begin(&self.consumer, partition, Some(*next))?;
            if begin.gap.is_some() {
                found = true;
                self.restart(partition, begin.offset)?;
                self.flush(partition);
                self.begun(partition, begin);
            }
        }
        // What was gone is there again, as when a broker that lagged behind has led for a moment.
        for (partition, next) in reading.iter().filter(|_| !found) {
            self.restart(partition, *next)?;
        }
        if !found {
            self.rest();
        }
        Ok(())
    }
}
