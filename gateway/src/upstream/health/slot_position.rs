//! The position of an upstream: its newest slot at each commitment, when it was seen there, and how
//! fast it advances. Pure.
//!
//! A slot seen some time ago still implies where the upstream is now: it has advanced since, at its
//! own pace if that was measured. Not indefinitely: a minute after the last observation nothing is
//! known. And an upstream that did not advance when it was last observed is not assumed to have
//! advanced since.

use std::time::Duration;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// No upstream is assumed to have advanced for longer than this without being observed.
pub(in crate::upstream) const FURTHEST: Duration = Duration::from_mins(1);
/// An upstream is stalled if it has not advanced for this long,
pub(in crate::upstream) const STILL: Duration = Duration::from_secs(4);
/// and this many slots should have passed;
pub(in crate::upstream) const STILL_SLOTS: u64 = 10;
/// or if it has not advanced for this long, whatever its measured pace.
const STILL_ANYWAY: Duration = Duration::from_secs(30);
/// Minimum time over which a pace is measured.
const MEASURED: Duration = Duration::from_secs(5);
/// After this time it is measured again: skipped slots are noise over a short time.
const WINDOW: Duration = Duration::from_secs(30);
/// An upstream that is faster than this percentage of the usual pace catches up,
const CATCHES_UP: u64 = 115;
/// if it has come this many slots further: a leader that makes no block is four slots.
const NOISE: u64 = 4;

/// A speed, in slots per 1000 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::upstream) struct SlotPace(u64);

impl SlotPace {
    pub(in crate::upstream) const NONE: Self = Self(0);

    /// One slot in this time.
    pub(in crate::upstream) fn of(slot_time: Duration) -> Self {
        Self::over(1, slot_time)
    }

    fn over(slots: u64, time: Duration) -> Self {
        Self(slots.saturating_mul(1_000_000_000) / micros(time).max(1))
    }

    pub(in crate::upstream) fn slots(self, time: Duration) -> u64 {
        self.0.saturating_mul(micros(time)) / 1_000_000_000
    }

    /// This percentage of it.
    pub(in crate::upstream) fn percent(self, share: u64) -> Self {
        Self(self.0.saturating_mul(share) / 100)
    }

    pub(in crate::upstream) fn bits(self) -> u64 {
        self.0
    }

    pub(in crate::upstream) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A slot, and when an upstream was seen at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct SlotSighting {
    pub(in crate::upstream) slot: Slot,
    /// When it was first seen there.
    pub(in crate::upstream) since: Instant,
    /// When it was last seen there.
    pub(in crate::upstream) at: Instant,
}

impl SlotSighting {
    /// Whether it stood still when it was last seen, given the pace of the others.
    pub(in crate::upstream) fn stands(&self, pace: SlotPace) -> bool {
        let stood = self.at.saturating_duration_since(self.since);
        let late = pace.slots(stood) >= STILL_SLOTS || stood >= STILL_ANYWAY;
        stood >= STILL && late
    }

    /// The estimated slot now, advancing at this pace since it was last seen.
    pub(in crate::upstream) fn estimate(&self, now: Instant, pace: SlotPace) -> Slot {
        if self.stands(pace) {
            return self.slot;
        }
        self.estimate_at_most(now, pace)
    }

    fn estimate_at_most(&self, now: Instant, pace: SlotPace) -> Slot {
        let elapsed = now.saturating_duration_since(self.at).min(FURTHEST);
        Slot(self.slot.0.saturating_add(pace.slots(elapsed)))
    }
}

/// A slot that the pace is measured from.
type PaceAnchor = (Slot, Instant);

/// All observations of one upstream's slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::upstream) struct SlotPosition {
    levels: [Option<SlotSighting>; 3],
    /// The start of the current measurement of the pace, and of the next one.
    anchors: [Option<[PaceAnchor; 2]>; 3],
    pace: Option<SlotPace>,
    /// What that was measured over.
    covered: (u64, Duration),
    /// Whether it got here in steps that time explains, from where the others were, too: see
    /// [`credibility`](crate::upstream::health::credibility).
    pub(in crate::upstream) anchored: bool,
    /// The last time a slot increased.
    pub(in crate::upstream) advanced_at: Option<Instant>,
    /// The time of the newest observation.
    pub(in crate::upstream) looked_at: Option<Instant>,
}

impl SlotPosition {
    /// The observation at this commitment itself.
    pub(in crate::upstream) fn seen(&self, commitment: Commitment) -> Option<SlotSighting> {
        self.levels.get(commitment.index()).copied().flatten()
    }

    /// The newest slot known at this commitment or a stronger one.
    pub(in crate::upstream) fn slot(&self, commitment: Commitment) -> Option<Slot> {
        let known = self.levels.iter().skip(commitment.index()).flatten();
        known.map(|seen| seen.slot).max()
    }

    /// Its own pace, a little below the measured one: an estimate should rather be too low.
    pub(in crate::upstream) fn pace(&self) -> Option<SlotPace> {
        self.pace.map(|pace| pace.percent(95))
    }

    /// Its own pace as it was measured.
    pub(in crate::upstream) fn measured_pace(&self) -> SlotPace {
        self.pace.unwrap_or(SlotPace::NONE)
    }

    /// Whether it clearly advances faster than a cluster of this pace does. So it catches up, and where it
    /// is says nothing about where the cluster is.
    pub(in crate::upstream) fn catches_up(&self, pace: SlotPace) -> bool {
        let (slots, took) = self.covered;
        let most = pace.percent(CATCHES_UP).slots(took).saturating_add(NOISE);
        self.pace.is_some() && slots > most
    }

    /// Whether it stood still when it was last observed, given the pace of the others. An upstream
    /// that stands still at one commitment does so at all, unless one has advanced since.
    pub(in crate::upstream) fn stands(&self, pace: SlotPace) -> bool {
        [Commitment::Processed, Commitment::Confirmed]
            .into_iter()
            .filter_map(|level| self.seen(level))
            .any(|seen| seen.stands(pace) && self.advanced_at <= Some(seen.at))
    }

    /// The estimated slot now. `pace` counts while its own was not measured.
    pub(in crate::upstream) fn estimate(
        &self,
        commitment: Commitment,
        now: Instant,
        pace: SlotPace,
    ) -> Option<Slot> {
        let pace = self.pace().unwrap_or(pace);
        let seen = self.seen(commitment)?;
        Some(if self.stands(pace) {
            seen.slot
        } else {
            seen.estimate(now, pace)
        })
    }

    /// Whether it has probably reached a slot by now.
    pub(in crate::upstream) fn reaches(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
        pace: SlotPace,
    ) -> bool {
        Commitment::ALL
            .into_iter()
            .skip(commitment.index())
            .filter_map(|level| self.estimate(level, now, pace))
            .any(|reached| reached >= slot)
    }

    /// Whether it may have reached a slot by now, at the pace of block production, which is
    /// sometimes a little faster than usual.
    pub(in crate::upstream) fn may_reach(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
        usual: SlotPace,
    ) -> bool {
        let pace = usual.percent(105).max(self.pace.unwrap_or(SlotPace::NONE));
        self.levels
            .iter()
            .skip(commitment.index())
            .flatten()
            .any(|seen| seen.slot >= slot || seen.estimate_at_most(now, pace) >= slot)
    }

    /// Whether an observation that began at `started` would show that it stands still, or no longer
    /// does. While it advances, an answer at a known slot shows nothing.
    pub(in crate::upstream) fn is_in_question(&self, started: Instant) -> bool {
        /// How long every upstream may stay at a slot without suspicion.
        const USUAL: Duration = Duration::from_secs(2);
        /// Observations further apart than this are enough.
        const APART: Duration = Duration::from_millis(50);
        let after = |at: Option<Instant>, pause| {
            at.is_none_or(|at| started.saturating_duration_since(at) >= pause)
        };
        after(self.advanced_at, USUAL) && after(self.looked_at, APART)
    }

    /// It was seen at a slot. Returns whether it has advanced; the first observation of another
    /// commitment does not show that.
    pub(in crate::upstream) fn see(
        &mut self,
        commitment: Commitment,
        slot: Slot,
        at: Instant,
    ) -> bool {
        let index = commitment.index();
        let first = self.levels.iter().all(Option::is_none);
        let Some(level) = self.levels.get_mut(index) else {
            return false;
        };
        let since = match level {
            Some(known) if slot < known.slot => return false,
            Some(known) if slot == known.slot => known.since,
            _ => at,
        };
        let at = level.map_or(at, |known| known.at.max(at));
        let ahead = level.map_or(first, |known| slot > known.slot);
        *level = Some(SlotSighting { slot, since, at });
        self.measure(commitment, (slot, since), at);
        ahead
    }

    /// Finality comes in bursts and says nothing about the pace. It is measured from when a slot
    /// was first seen: an upstream that stood still and then catches up in a leap would otherwise
    /// seem much faster, and be assumed far ahead of where it is. And up to when the newest slot was
    /// first seen: one that stops has not become slow, and the others, whose pace may not have been
    /// measured, even less. Only a long stand counts.
    fn measure(&mut self, commitment: Commitment, here: PaceAnchor, at: Instant) {
        if commitment == Commitment::Finalized {
            return;
        }
        let Some(anchor) = self.anchors.get_mut(commitment.index()) else {
            return;
        };
        let [(from, since), next] = *anchor.get_or_insert([here, here]);
        let stood = at.saturating_duration_since(here.1);
        let until = if stood >= STILL_ANYWAY { at } else { here.1 };
        let took = until.saturating_duration_since(since);
        if took >= MEASURED {
            self.covered = (from.lag_behind(here.0), took);
            self.pace = Some(SlotPace::over(self.covered.0, took));
        }
        if at.saturating_duration_since(next.1) >= WINDOW {
            *anchor = Some([next, here]);
        }
    }

    /// It is in service again: how fast it caught up says nothing about its pace.
    pub(in crate::upstream) fn measure_anew(&mut self) {
        self.anchors = [None; 3];
        self.pace = None;
    }

    /// Twice the usual speed is the most that is taken for lasting.
    pub(in crate::upstream) fn cap_pace(&mut self, most: SlotPace) {
        self.pace = self.pace.map(|pace| pace.min(most));
    }

    /// The observations are from before the node was restarted.
    pub(in crate::upstream) fn forget(&mut self) {
        *self = Self {
            advanced_at: self.advanced_at,
            looked_at: self.looked_at,
            ..Self::default()
        };
    }
}
