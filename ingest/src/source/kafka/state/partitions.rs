//! All partitions that are ours. A tree, so that what concerns several is done in the same order
//! each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::input::{HeardEnd, Restart};
use super::partition::{PartitionState, Stage};
use crate::offsets::StartPosition;
use crate::position::StoredPosition;
use crate::record::Partition;
use crate::source::{BufferBudget, Claim, RecordBatch};

/// How many partitions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::source::kafka) struct Counts {
    pub(in crate::source::kafka) owned: usize,
    pub(in crate::source::kafka) reading: usize,
    pub(in crate::source::kafka) paused: usize,
}

#[derive(Debug)]
pub(super) struct Partitions {
    owned: BTreeMap<Partition, PartitionState>,
    /// Of the last claim.
    generation: u64,
    budget: Arc<BufferBudget>,
}

impl Partitions {
    pub(super) const fn new(budget: Arc<BufferBudget>) -> Self {
        Self {
            owned: BTreeMap::new(),
            generation: 0,
            budget,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owned.is_empty()
    }

    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.owned.contains_key(partition)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Partition> {
        self.owned.keys()
    }

    /// Those that are read and not paused.
    pub(super) fn fetched(&self) -> impl Iterator<Item = &Partition> {
        let fetched = self.owned.iter();
        let fetched = fetched.filter(|(_, one)| one.stage() == Stage::Reading && !one.is_paused());
        fetched.map(|(partition, _)| partition)
    }

    pub(super) fn get_mut(&mut self, partition: &Partition) -> Option<&mut PartitionState> {
        self.owned.get_mut(partition)
    }

    pub(super) fn stage(&self, partition: &Partition) -> Option<Stage> {
        self.owned.get(partition).map(PartitionState::stage)
    }

    /// The stage of what is ours under this very claim.
    pub(super) fn stage_of(&self, claim: &Claim) -> Option<Stage> {
        let one = self.owned.get(&claim.partition)?;
        (one.claim() == claim).then_some(one.stage())
    }

    fn of(&mut self, claim: &Claim) -> Option<&mut PartitionState> {
        let one = self.owned.get_mut(&claim.partition)?;
        (one.claim() == claim).then_some(one)
    }

    /// Takes a partition under a new claim.
    pub(super) fn announce(&mut self, partition: &Partition) -> Claim {
        self.generation += 1;
        let claim = Claim {
            partition: partition.clone(),
            generation: self.generation,
        };
        let one = PartitionState::new(claim.clone(), self.budget.of_partition());
        self.owned.insert(partition.clone(), one);
        claim
    }

    /// The same for one that was never revoked: the client continues as before.
    pub(super) fn announce_again(&mut self, partition: &Partition) -> Claim {
        let before = self.owned.get(partition);
        let before = before.map(|one| (one.position(), one.is_paused()));
        let claim = self.announce(partition);
        if let Some((position, paused)) = before {
            let one = PartitionState::new(claim.clone(), self.budget.of_partition());
            let one = one.keeping(position, paused);
            self.owned.insert(partition.clone(), one);
        }
        claim
    }

    pub(super) fn remove(&mut self, partition: &Partition) -> Option<Claim> {
        let gone = self.owned.remove(partition)?;
        Some(gone.claim().clone())
    }

    /// The pipeline says where it stopped.
    pub(super) fn start(&mut self, claim: &Claim, stored: Option<StoredPosition>) {
        if let Some(one) = self.of(claim) {
            one.start(stored);
        }
    }

    /// Everything before `next` is stored. Says whether that is news.
    pub(super) fn settle(&mut self, claim: &Claim, next: i64) -> bool {
        self.of(claim).is_some_and(|one| one.settle(next))
    }

    /// Fetches nothing more of it.
    pub(super) fn halt(&mut self, claim: &Claim) {
        if let Some(one) = self.of(claim) {
            one.halt();
        }
    }

    /// Ends the reading of a partition.
    pub(super) fn stop_reading(&mut self, partition: &Partition, stage: Stage) -> Option<Claim> {
        let one = self.owned.get_mut(partition)?;
        one.stop_reading(stage);
        Some(one.claim().clone())
    }

    /// Whether the pipeline has still to say where this one stopped.
    pub(super) fn awaits_offset(&self, partition: &Partition) -> bool {
        let stage = self.stage(partition);
        stage.is_some_and(|stage| !matches!(stage, Stage::Starting(_)))
    }

    /// What is to be started, with what is stored of it.
    pub(super) fn starting(&self) -> Vec<(Partition, Option<StoredPosition>)> {
        let starting = self.owned.iter().filter_map(|(partition, one)| {
            let Stage::Starting(stored) = one.stage() else {
                return None;
            };
            Some((partition.clone(), stored))
        });
        starting.collect()
    }

    /// What is read, with its next record.
    pub(super) fn reading(&self) -> Vec<(Partition, StoredPosition)> {
        let reading = self.owned.iter();
        let reading = reading.filter(|(_, one)| one.stage() == Stage::Reading);
        let reading = reading.map(|(partition, one)| (partition.clone(), one.where_it_is()));
        reading.collect()
    }

    /// Has the last record of what is read compared once more. Says how, for each.
    pub(super) fn compare_again(&mut self) -> Vec<Restart> {
        let compared = self.owned.iter_mut().filter_map(|(partition, one)| {
            Some(Restart {
                partition: partition.clone(),
                offset: one.compare_again()?,
                resume: one.is_paused(),
                begin: None,
            })
        });
        compared.collect()
    }

    /// What is paused although it is read.
    pub(super) fn paused(&self) -> Vec<Partition> {
        let paused = self.owned.iter();
        let paused = paused.filter(|(_, one)| one.is_paused() && one.stage() == Stage::Reading);
        paused.map(|(partition, _)| partition.clone()).collect()
    }

    /// What the group would have taken from us by now if it were another's.
    pub(super) fn reclaimed(&self, now: Instant) -> Vec<Partition> {
        let over = |stage: Stage| matches!(stage, Stage::Reclaiming { until } if until <= now);
        let reclaimed = self.owned.iter().filter(|(_, one)| over(one.stage()));
        reclaimed.map(|(partition, _)| partition.clone()).collect()
    }

    /// How to read a partition from elsewhere; None if it is not ours any more.
    pub(super) fn restart(
        &self,
        partition: &Partition,
        offset: i64,
        begin: Option<StartPosition>,
    ) -> Option<Restart> {
        let one = self.owned.get(partition)?;
        Some(Restart {
            partition: partition.clone(),
            offset,
            resume: one.is_paused(),
            begin,
        })
    }

    pub(super) fn set_paused(&mut self, partition: &Partition, paused: bool) {
        if let Some(one) = self.owned.get_mut(partition) {
            one.set_paused(paused);
        }
    }

    /// Pauses and resumes what is due. Gives back what it paused and what it resumed.
    pub(super) fn switch_pauses(&mut self, held: bool) -> (Vec<Partition>, Vec<Partition>) {
        let (mut paused, mut resumed) = (Vec::new(), Vec::new());
        for (partition, one) in &mut self.owned {
            if one.switch_pause(held) {
                let list = if one.is_paused() {
                    &mut paused
                } else {
                    &mut resumed
                };
                list.push(partition.clone());
            }
        }
        (paused, resumed)
    }

    pub(super) fn is_full(&self, partition: &Partition) -> bool {
        self.owned
            .get(partition)
            .is_some_and(PartitionState::is_full)
    }

    /// Whether the buffer is full for something that is fetched.
    pub(super) fn any_is_full(&self) -> bool {
        self.owned
            .values()
            .any(|one| one.stage() == Stage::Reading && !one.is_paused() && one.is_full())
    }

    /// Whether something besides records is expected of any.
    pub(super) fn any_is_waiting(&self) -> bool {
        self.owned
            .values()
            .any(|one| one.is_paused() || one.stage() != Stage::Reading)
    }

    /// What has come together of each.
    pub(super) fn batches(&mut self) -> Vec<RecordBatch> {
        let batches = self.owned.values_mut().filter_map(PartitionState::batch);
        batches.collect()
    }

    pub(super) fn note_ends(&mut self, ends: Vec<(Partition, i64)>) {
        for (partition, end) in ends {
            if let Some(one) = self.owned.get_mut(&partition) {
                one.note_end(end);
            }
        }
    }

    pub(super) fn hear_ends(&mut self, ends: Vec<(Partition, HeardEnd)>) {
        for (partition, end) in ends {
            if let Some(one) = self.owned.get_mut(&partition) {
                one.note_end(end.offset);
                one.note_fetched(end.fetched);
            }
        }
    }

    pub(super) fn lags(&self) -> impl Iterator<Item = (&Partition, i64)> {
        let lags = self.owned.iter();
        lags.filter_map(|(partition, one)| Some((partition, one.lag()?)))
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.owned
            .iter()
            .map(|(partition, one)| (partition, one.position()))
    }

    pub(super) fn counts(&self) -> Counts {
        let count =
            |kind: fn(&PartitionState) -> bool| self.owned.values().filter(|one| kind(one)).count();
        Counts {
            owned: self.owned.len(),
            reading: count(|one| one.stage() == Stage::Reading),
            paused: count(PartitionState::is_paused),
        }
    }
}
