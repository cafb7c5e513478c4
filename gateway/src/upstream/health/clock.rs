//! The gateway's only slot clock: where the cluster is now, based on what its upstreams have shown.
//!
//! Between two observations it advances by itself, at the measured speed or a little slower, so
//! that entries expire even when no upstream is left. It advances at most a minute beyond the last
//! observation while there are upstreams, and stops if all of them stand still. If it was a little
//! too fast, it waits rather than go back. It goes back if the remaining upstreams are further
//! behind: then calls are answered from them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::time::Instant;

use crate::solana::SlotView;
use crate::upstream::health::slot_position::{FURTHEST, SlotPace, SlotSighting};

#[cfg(test)]
mod tests;

/// Remaining upstreams that are at most this far behind those that are gone do not turn the clock
/// back.
const OVERSHOT: u64 = 2;
/// If an estimate was at most this many slots too fast, the clock waits rather than go back.
const MOST_WAITED: u64 = 4;

/// The clock. Reading takes no lock.
#[derive(Debug, Default)]
pub(in crate::upstream) struct SlotClock {
    known: ArcSwap<ClockState>,
    /// Held while `known` is replaced.
    writing: Mutex<()>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ClockState {
    /// Position and speed of the cluster at each commitment.
    levels: [Option<SlotEstimate>; 3],
    /// The newest slots that were seen.
    seen: [Option<Slot>; 3],
    /// By how much the clock is ahead of the observations since the earlier upstreams are gone, so
    /// as not to go back.
    ahead: u64,
    /// Where the clock waits for the observations, having advanced a little too fast.
    wait: Slot,
    /// First and last slot.
    epoch: Option<(Slot, Slot)>,
}

/// A slot at a moment, and the speed from then on.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct SlotEstimate {
    slot: Slot,
    at: Instant,
    pace: SlotPace,
}

impl SlotEstimate {
    /// What an observation implies now. One from too long ago, or of an upstream that stands still,
    /// does not imply that the cluster advances.
    pub(in crate::upstream) fn of(seen: &SlotSighting, now: Instant, pace: SlotPace) -> Self {
        if seen.stands(pace) || now.saturating_duration_since(seen.at) >= FURTHEST {
            return Self::standing(seen.estimate(now, pace), now);
        }
        Self {
            slot: seen.slot,
            at: seen.at,
            pace,
        }
    }

    /// A position that does not move.
    pub(in crate::upstream) fn standing(slot: Slot, at: Instant) -> Self {
        Self {
            slot,
            at,
            pace: SlotPace::NONE,
        }
    }

    pub(in crate::upstream) fn pace(&self) -> SlotPace {
        self.pace
    }

    pub(in crate::upstream) fn estimate(&self, now: Instant) -> Slot {
        let age = now.saturating_duration_since(self.at);
        Slot(self.slot.0.saturating_add(self.pace.slots(age)))
    }
}

impl SlotClock {
    /// The upstreams report this estimate, and these observed slots.
    pub(in crate::upstream) fn set(
        &self,
        levels: [Option<SlotEstimate>; 3],
        seen: [Option<Slot>; 3],
        at: Instant,
    ) {
        let _writing = self.writing.lock();
        let mut known = **self.known.load();
        let before = known.newest(at);
        let seen_before = known.tip();
        // A commitment that no upstream reports any more is dropped once others are reported.
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

    /// Forgets everything: the cluster has changed.
    pub(in crate::upstream) fn reset(&self) {
        let _writing = self.writing.lock();
        self.known.store(Arc::default());
    }

    /// Sets the first and last slot of the current epoch.
    pub(in crate::upstream) fn epoch(&self, first: Slot, last: Slot) {
        let _writing = self.writing.lock();
        let known = **self.known.load();
        let epoch = Some((first, last));
        if known.epoch != epoch {
            self.known.store(Arc::new(ClockState { epoch, ..known }));
        }
    }

    /// Everything known at this moment; `None` before the first observation.
    pub(in crate::upstream) fn view(&self, now: Instant) -> Option<SlotView> {
        let known = self.known.load();
        let expected = known.expected(now);
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
        self.expected(now).into_iter().flatten().max()
    }

    /// Where the cluster is now, at each commitment.
    fn expected(&self, now: Instant) -> [Option<Slot>; 3] {
        let observed = self
            .levels
            .map(|level| level.map(|level| level.estimate(now)));
        let lead = self.lead(observed.iter().flatten().max().copied());
        observed.map(|slot| slot.map(|slot| Slot(slot.0.saturating_add(lead))))
    }

    /// How far the clock is ahead of the newest slot that the observations alone imply.
    fn lead(&self, newest: Option<Slot>) -> u64 {
        let waiting = newest.map_or(0, |newest| self.wait.0.saturating_sub(newest.0));
        self.ahead.max(waiting)
    }
}

/// What is known at a commitment also applies to the weaker ones.
pub(in crate::upstream) fn at_least_stronger(levels: [Option<Slot>; 3]) -> [Option<Slot>; 3] {
    let [processed, confirmed, finalized] = levels;
    let confirmed = confirmed.max(finalized);
    [processed.max(confirmed), confirmed, finalized]
}
