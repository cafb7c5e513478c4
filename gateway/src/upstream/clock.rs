//! The gateway's one clock of slots: where the cluster is now, from what its upstreams have shown.
//!
//! Between two sightings it goes on by itself, a little slower than slots are made, so that what is
//! counted in it grows old even when no upstream is left to be seen. Where that was a little too
//! fast, it waits rather than go back. It goes back when the upstreams that are left are further
//! behind: then they are what calls are answered from.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::solana::SlotView;
use crate::upstream::tracker::slots_in;

#[cfg(test)]
mod tests;

/// An estimate may have been this many slots too fast.
const OVERSHOT: u64 = 2;

/// The clock. Reading takes no lock.
#[derive(Debug)]
pub(super) struct SlotClock {
    slot_time: Duration,
    known: ArcSwap<Known>,
    /// Held while `known` is replaced.
    writing: Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    levels: [Option<Seen>; 3],
    /// By how much the clock is ahead of the sightings since the upstreams that were there are
    /// gone, so as not to go back.
    ahead: u64,
    /// Where the clock waits for the sightings, having gone a little too fast.
    wait: Slot,
    /// First and last slot.
    epoch: Option<(Slot, Slot)>,
}

/// A slot, and when the cluster was last seen there.
#[derive(Clone, Copy, Debug)]
struct Seen {
    slot: Slot,
    at: Instant,
}

impl SlotClock {
    pub(super) fn new(slot_time: Duration) -> Self {
        Self {
            slot_time,
            known: ArcSwap::default(),
            writing: Mutex::new(()),
        }
    }

    /// The cluster's newest slot at a commitment is `tip`, and `seen` was seen at `at`. Only a
    /// sighting of the tip itself says when the cluster was there.
    pub(super) fn set(
        &self,
        commitment: Commitment,
        tip: Option<Slot>,
        seen: Option<Slot>,
        at: Instant,
    ) {
        let _writing = self.writing.lock();
        let mut known = **self.known.load();
        let before = known.newest(at, self.slot_time);
        let tip_before = known.tip();
        let Some(level) = known.levels.get_mut(commitment.index()) else {
            return;
        };
        *level = match (tip, *level) {
            (Some(tip), Some(old)) if old.slot == tip && seen != Some(tip) => Some(old),
            (Some(tip), _) => Some(Seen { slot: tip, at }),
            (None, old) => old,
        };
        let lost = known.tip() < tip_before;
        let bare = Known {
            ahead: 0,
            wait: Slot(0),
            ..known
        };
        let back = match (before, bare.newest(at, self.slot_time)) {
            (Some(before), Some(after)) => before.0.saturating_sub(after.0),
            _ => 0,
        };
        (known.ahead, known.wait) = match (back, before) {
            (1..=OVERSHOT, Some(before)) if !lost && known.ahead == 0 => (0, before),
            // Not less than before: it would stand still for as many slots.
            (1..=OVERSHOT, _) => (back.max(known.ahead), Slot(0)),
            _ => (0, Slot(0)),
        };
        self.known.store(Arc::new(known));
    }

    /// Forgets everything: the cluster is another one.
    pub(super) fn reset(&self) {
        let _writing = self.writing.lock();
        self.known.store(Arc::default());
    }

    /// The present epoch has these for its first and last slots.
    pub(super) fn epoch(&self, first: Slot, last: Slot) {
        let _writing = self.writing.lock();
        let known = **self.known.load();
        let epoch = Some((first, last));
        if known.epoch != epoch {
            self.known.store(Arc::new(Known { epoch, ..known }));
        }
    }

    /// Everything known at this moment; `None` before the first sighting.
    pub(super) fn view(&self, now: Instant) -> Option<SlotView> {
        let known = self.known.load();
        let expected = known
            .levels
            .map(|level| level.map(|seen| known.moved(seen, now, self.slot_time)));
        let newest = expected.iter().flatten().max().copied()?;
        let epoch = known.epoch.filter(|(_, last)| newest <= *last);
        let seen = known.levels.map(|level| level.map(|seen| seen.slot));
        Some(SlotView {
            now: newest,
            seen: at_least_stronger(seen),
            expected: at_least_stronger(expected),
            epoch_start: epoch.map(|(first, _)| first),
            epoch_end: epoch.map(|(_, last)| last),
        })
    }
}

impl Known {
    /// The newest slot that was seen.
    fn tip(&self) -> Option<Slot> {
        self.levels.iter().flatten().map(|seen| seen.slot).max()
    }

    fn newest(&self, now: Instant, slot_time: Duration) -> Option<Slot> {
        let levels = self.levels.iter().flatten();
        levels.map(|seen| self.moved(*seen, now, slot_time)).max()
    }

    fn moved(&self, seen: Seen, now: Instant, slot_time: Duration) -> Slot {
        let slot = estimate(seen, now, slot_time).0;
        Slot(slot.saturating_add(self.lead(now, slot_time)))
    }

    /// How far the clock is ahead of what the sightings alone would say.
    fn lead(&self, now: Instant, slot_time: Duration) -> u64 {
        let levels = self.levels.iter().flatten();
        let newest = levels.map(|seen| estimate(*seen, now, slot_time)).max();
        let waiting = newest.map_or(0, |newest| self.wait.0.saturating_sub(newest.0));
        self.ahead.max(waiting)
    }
}

/// Where a level that was seen at a slot is now.
fn estimate(seen: Seen, now: Instant, slot_time: Duration) -> Slot {
    let age = now.saturating_duration_since(seen.at);
    // A little slower than the usual speed, as everywhere where slots are estimated.
    let moved = slots_in(age * 9 / 10, slot_time);
    Slot(seen.slot.0.saturating_add(moved))
}

/// What is known at a commitment holds for the weaker ones too.
fn at_least_stronger(levels: [Option<Slot>; 3]) -> [Option<Slot>; 3] {
    let [processed, confirmed, finalized] = levels;
    let confirmed = confirmed.max(finalized);
    [processed.max(confirmed), confirmed, finalized]
}
