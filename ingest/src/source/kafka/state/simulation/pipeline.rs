//! The pipeline, which minds the order of events and stores each record once.

use super::{Live, World, partition};
use crate::position::{RecordMark, StoredPosition};
use crate::source::kafka::state::input::Input;
use crate::source::{Claim, ReadingStarted, SourceCommand, SourceEvent};

impl World {
    /// The pipeline says where its partitions stopped.
    pub(in crate::source::kafka::state) fn answer(&mut self) {
        let mut begins = Vec::new();
        for (claim, live) in &mut self.claims {
            if live.epoch.is_none() {
                let stored = self.stored.entry(claim.partition.clone()).or_default();
                stored.epoch += 1;
                live.epoch = Some(stored.epoch);
                let (claim, last) = (claim.clone(), stored.last);
                let stored = stored.next.map(|next| StoredPosition::new(next, last));
                begins.push(SourceCommand::Begin { claim, stored });
            }
        }
        for command in begins {
            self.feed(Input::Command(command));
        }
    }

    /// The pipeline stores the oldest batch that it has.
    pub(in crate::source::kafka::state) fn settle(&mut self) -> bool {
        let Some(batch) = self.batches.pop_front() else {
            return false;
        };
        let (claim, first, next) = (batch.claim.clone(), batch.first(), batch.last() + 1);
        let last = batch.records.last().map(RecordMark::of);
        drop(batch);
        self.commit(&claim, Some(first), next, last);
        true
    }

    /// Somebody else writes the stored offset.
    pub(in crate::source::kafka::state) fn reset(&mut self, number: i32, next: i64) {
        let stored = self.stored.entry(partition(number)).or_default();
        stored.epoch += 1;
        (stored.next, stored.last) = (Some(next), None);
    }

    /// The pipeline gives back what was revoked and is settled.
    pub(in crate::source::kafka::state) fn release(&mut self) {
        let done = self.claims.iter().filter(|(claim, live)| {
            live.revoked && !self.batches.iter().any(|batch| batch.claim == **claim)
        });
        let done: Vec<Claim> = done.map(|(claim, _)| claim.clone()).collect();
        for claim in done {
            self.claims.remove(&claim);
            self.feed(Input::Command(SourceCommand::Release(claim)));
        }
    }

    /// The pipeline checks whether its partitions are still its own when no event arrives that
    /// would tell.
    pub(in crate::source::kafka::state) fn look_after(&mut self) {
        let fenced = self.claims.iter().filter(|(claim, live)| {
            let stored = self.stored.get(&claim.partition).map(|one| one.epoch);
            live.epoch.is_some() && live.epoch != stored
        });
        let fenced: Vec<Claim> = fenced.map(|(claim, _)| claim.clone()).collect();
        for claim in fenced {
            self.feed(Input::Command(SourceCommand::Reclaim(claim)));
        }
    }

    fn commit(&mut self, claim: &Claim, first: Option<i64>, next: i64, last: Option<RecordMark>) {
        let Some(live) = self.claims.get(claim) else {
            return;
        };
        let stored = self.stored.entry(claim.partition.clone()).or_default();
        let claim = claim.clone();
        if live.epoch != Some(stored.epoch) {
            self.feed(Input::Command(SourceCommand::Reclaim(claim)));
            return;
        }
        if first.is_some() {
            assert_eq!(first, stored.next, "{claim}: stored twice, or left out");
        }
        if stored.next != Some(next) {
            (stored.next, stored.last) = (Some(next), last);
        }
        self.feed(Input::Command(SourceCommand::Settled { claim, next }));
    }

    pub(super) fn hear(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Assigned(claim) => {
                assert!(
                    claim.generation > self.generation,
                    "{claim}: a claim of before"
                );
                self.generation = claim.generation;
                let mut partitions = self.claims.keys().map(|one| &one.partition);
                assert!(
                    partitions.all(|one| *one != claim.partition),
                    "two claims of {claim}"
                );
                self.claims.insert(claim, Live::default());
            }
            SourceEvent::Begun(ReadingStarted {
                claim, offset, gap, ..
            }) => {
                let live = self.claims.get_mut(&claim).expect("a claim");
                assert!(live.epoch.is_some() && !live.revoked, "{claim}");
                let again = live.next.replace(offset).is_some();
                assert!(!again || gap.is_some(), "{claim}: begun twice");
                if !again || self.batches.iter().all(|batch| batch.claim != claim) {
                    self.commit(&claim, None, offset, None);
                    return;
                }
                // After what is under way.
                while self.batches.iter().any(|batch| batch.claim == claim) {
                    self.settle();
                }
                self.commit(&claim, None, offset, None);
            }
            SourceEvent::Batch(batch) => {
                let live = self.claims.get_mut(&batch.claim).expect("a claim");
                assert!(!live.revoked, "a batch after the end");
                assert_eq!(live.next, Some(batch.first()));
                live.next = Some(batch.last() + 1);
                self.batches.push_back(batch);
            }
            SourceEvent::Revoked { claim, .. } => {
                let live = self.claims.get_mut(&claim).expect("a claim");
                assert!(live.next.is_some() && !live.revoked, "{claim}");
                live.revoked = true;
            }
            SourceEvent::Lost(claim) => {
                self.claims.remove(&claim).expect("a claim");
                self.batches.retain(|batch| batch.claim != claim);
            }
            SourceEvent::Ended(_) => panic!("the driver says that"),
        }
    }
}
