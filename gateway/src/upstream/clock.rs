//! The gateway's one clock of slots: where the cluster is now, from what its upstreams have shown.
//!
//! Between two sightings it goes on by itself, at the measured speed or a little slower, so that what
//! is counted in it grows old even when no upstream is left to be seen. While some are, it goes
//! no further than a minute beyond what was seen, and it stops where all of them stand still. Where it
//! was a little too fast, it waits rather than go back. It goes back when the upstreams that are left
//! are further behind: then they are what calls are answered from.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::time::Instant;

use crate::solana::SlotView;
use crate::upstream::slot_position::{FURTHEST, SlotPace, SlotSighting};

#[cfg(test)]
mod tests;

/// Upstreams that are this little behind of those that are gone do not take the clock back.
const OVERSHOT: u64 = 2;
/// Where an estimate was this many slots too fast at most, the clock waits rather than go back.
const MOST_WAITED: u64 = 4;

/// The clock. Reading takes no lock.
#[derive(Debug, Default)]
pub(super) struct SlotClock {
    known: ArcSwap<ClockState>,
    /// Held while `known` is replaced.
    writing: Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ClockState {
    /// Where the cluster is at each commitment, and how fast.
    levels: [Option<SlotEstimate>; 3],
    /// The newest slots that were seen.
    seen: [Option<Slot>; 3],
    /// By how much the clock is ahead of the sightings since the upstreams that were there are
    /// gone, so as not to go back.
    ahead: u64,
    /// Where the clock waits for the sightings, having gone a little too fast.
    wait: Slot,
    /// First and last slot.
    epoch: Option<(Slot, Slot)>,
}

/// A slot at a moment, and the speed from there on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotEstimate {
    slot: Slot,
    at: Instant,
    pace: SlotPace,
}

impl SlotEstimate {
    /// What a sighting says now. One from too long ago, or of an upstream that stands still, does
    /// not say that the cluster goes on.
    pub(super) fn of(seen: &SlotSighting, now: Instant, pace: SlotPace) -> Self {
        if seen.stands(pace) || now.saturating_duration_since(seen.at) >= FURTHEST {
            return Self::standing(seen.estimate(now, pace), now);
        }
        Self {
            slot: seen.slot,
            at: seen.at,
            pace,
        }
    }

    /// From where nobody moves.
    pub(super) fn standing(slot: Slot, at: Instant) -> Self {
        Self {
            slot,
            at,
            pace: SlotPace::NONE,
        }
    }

    pub(super) fn pace(&self) -> SlotPace {
        self.pace
    }

    pub(super) fn estimate(&self, now: Instant) -> Slot {
        let age = now.saturating_duration_since(self.at);
        Slot(self.slot.0.saturating_add(self.pace.slots(age)))
    }
}

impl SlotClock {
    /// The upstreams say that the cluster is there, and have been seen there.
    pub(super) fn set(
        &self,
        levels: [Option<SlotEstimate>; 3],
        seen: [Option<Slot>; 3],
        at: Instant,
    ) {
        let _writing = self.writing.lock();
        let mut known = **self.known.load();
        let before = known.newest(at);
        let seen_before = known.tip();
        // What nobody is left to say is not carried on beside what others say.
        if levels.iter().any(Option::is_some) {
            known.levels = levels;
        }
        for (old, new) in known.seen.iter_mut().zip(seen) {
            *old = new.or(*old);
        }
        let lost = known.tip() < seen_before;
        let bare = ClockState {
            ahead: 0,
            wait: Slot(0),
            ..known
        };
        let back = match (before, bare.newest(at)) {
            (Some(before), Some(after)) => before.0.saturating_sub(after.0),
            _ => 0,
        };
        (known.ahead, known.wait) = match (back, before) {
            (1..=MOST_WAITED, Some(before)) if !lost && known.ahead == 0 => (0, before),
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
            self.known.store(Arc::new(ClockState { epoch, ..known }));
        }
    }

    /// Everything known at this moment; `None` before the first sighting.
    pub(super) fn view(&self, now: Instant) -> Option<SlotView> {
        let known = self.known.load();
        let expected = known
            .levels
            .map(|level| level.map(|reckoned| known.moved(&reckoned, now)));
        let newest = expected.iter().flatten().max().copied()?;
        let epoch = known.epoch.filter(|(_, last)| newest <= *last);
        Some(SlotView {
            now: newest,
            seen: at_least_stronger(known.seen),
            expected: at_least_stronger(expected),
            epoch_start: epoch.map(|(first, _)| first),
            epoch_end: epoch.map(|(_, last)| last),
        })
    }
}

impl ClockState {
    /// The newest slot that was seen.
    fn tip(&self) -> Option<Slot> {
        self.seen.iter().flatten().copied().max()
    }

    fn newest(&self, now: Instant) -> Option<Slot> {
        let levels = self.levels.iter().flatten();
        levels.map(|reckoned| self.moved(reckoned, now)).max()
    }

    fn moved(&self, reckoned: &SlotEstimate, now: Instant) -> Slot {
        Slot(reckoned.estimate(now).0.saturating_add(self.lead(now)))
    }

    /// How far the clock is ahead of what the sightings alone would say.
    fn lead(&self, now: Instant) -> u64 {
        let levels = self.levels.iter().flatten();
        let newest = levels.map(|reckoned| reckoned.estimate(now)).max();
        let waiting = newest.map_or(0, |newest| self.wait.0.saturating_sub(newest.0));
        self.ahead.max(waiting)
    }
}

/// What is known at a commitment holds for the weaker ones too.
pub(super) fn at_least_stronger(levels: [Option<Slot>; 3]) -> [Option<Slot>; 3] {
    let [processed, confirmed, finalized] = levels;
    let confirmed = confirmed.max(finalized);
    [processed.max(confirmed), confirmed, finalized]
}
