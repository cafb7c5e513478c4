//! Whether one upstream is fit to serve, by what its slots say. Pure: no clock, no I/O.
//!
//! Fed by probes and by the `context.slot` of live answers. An upstream that says it is healthy is
//! not believed for that alone: it is left out when it is on another cluster, when its numbers
//! cannot be true, when its probes fail, when it calls itself unhealthy, when its slot stands
//! still, when it has received much more than it has processed, or when it is too far behind the
//! others. All of these have hysteresis, so that an upstream at the edge does not flap.
//!
//! The slot of the others, the *tip*, is handed in; [`crate::upstream::cluster`] finds it.

use std::time::Duration;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;

#[cfg(test)]
mod tests;

/// A slot this much above what the elapsed time explains is believed only when it is seen
/// [`CONFIRMATIONS`] times: one wrong answer must not make all others look late.
const JUMP: u64 = 1000;
const CONFIRMATIONS: u32 = 3;

/// A probe this far below what is known is a node that started again, not an answer out of order.
const ROLLBACK: u64 = 32;

/// The verdict on one upstream. The order is that of preference when none is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Healthy,
    /// No good probe yet.
    Unprobed,
    /// Too many slots behind the tip.
    Lagging,
    /// It says so itself: -32005, or a failing `getHealth`.
    Unwell,
    /// It has received far more than it has processed.
    Stale,
    /// Its slot does not move.
    Stopped,
    /// Its probes fail.
    Failing,
    /// Its block height cannot be: not below the slot.
    Implausible,
    /// Another genesis hash. Never asked, not even when nothing else is left.
    WrongCluster,
}

impl Health {
    pub const ALL: [Self; 9] = [
        Self::Healthy,
        Self::Unprobed,
        Self::Lagging,
        Self::Unwell,
        Self::Stale,
        Self::Stopped,
        Self::Failing,
        Self::Implausible,
        Self::WrongCluster,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unprobed => "unprobed",
            Self::Lagging => "lagging",
            Self::Unwell => "unwell",
            Self::Stale => "stale",
            Self::Stopped => "stopped",
            Self::Failing => "failing",
            Self::Implausible => "implausible",
            Self::WrongCluster => "wrong-cluster",
        }
    }

    /// Whether its slots may say where the cluster is.
    pub(super) fn knows_the_tip(self) -> bool {
        !matches!(self, Self::WrongCluster | Self::Implausible | Self::Stopped)
    }

    /// Whether it was in service, so that the wider bound applies to leave it.
    fn serves(self) -> bool {
        matches!(self, Self::Healthy | Self::Unprobed)
    }
}

/// A change of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) from: Health,
    pub(super) to: Health,
}

/// Where a slot was seen. A probe asks for the head itself; a live answer may be out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Probe,
    Answer,
}

/// One look at where an upstream stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) commitment: Commitment,
    pub(super) slot: Slot,
    pub(super) source: Source,
    pub(super) at: Instant,
}

/// A slot at a commitment, and when the upstream was last known to stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) slot: Slot,
    pub(super) at: Instant,
}

/// The result of `getBlockHeight` held against the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeightCheck {
    Plausible,
    Implausible,
}

#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "findings that do not depend on each other"
)]
pub(super) struct Tracker {
    health: Health,
    seen: [Option<Seen>; 3],
    /// Last time a slot went up.
    advanced_at: Option<Instant>,
    observed_at: Option<Instant>,
    /// Slots behind the tip at the last observation.
    lag: u64,
    jump: Option<Jump>,
    probed: bool,
    failing: bool,
    failures_in_row: u32,
    successes_in_row: u32,
    unwell: bool,
    /// Slots received but not processed.
    gap: u64,
    implausible: bool,
    wrong_cluster: bool,
}

/// A slot too high to be believed yet.
#[derive(Clone, Copy, Debug)]
struct Jump {
    slot: Slot,
    times: u32,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            health: Health::Unprobed,
            seen: [None; 3],
            advanced_at: None,
            observed_at: None,
            lag: 0,
            jump: None,
            probed: false,
            failing: false,
            failures_in_row: 0,
            successes_in_row: 0,
            unwell: false,
            gap: 0,
            implausible: false,
            wrong_cluster: false,
        }
    }
}

impl Tracker {
    #[cfg(test)]
    pub(super) fn health(&self) -> Health {
        self.health
    }

    pub(super) fn lag(&self) -> u64 {
        self.lag
    }

    pub(super) fn is_unwell(&self) -> bool {
        self.unwell
    }

    pub(super) fn seen(&self, commitment: Commitment) -> Option<Seen> {
        self.seen.get(commitment.index()).copied().flatten()
    }

    /// A slot was seen. `tip` is the slot of the others, None while this one is alone.
    pub(super) fn observe(&mut self, sighting: Sighting, tip: Option<Slot>, slot_time: Duration) {
        let Sighting {
            commitment,
            slot,
            source,
            at: now,
        } = sighting;
        if !self.believes(commitment, slot, now, slot_time) {
            return;
        }
        let known = self.seen(commitment);
        let restarted = source == Source::Probe
            && known.is_some_and(|seen| slot.0.saturating_add(ROLLBACK) < seen.slot.0);
        let ahead = known.is_none_or(|seen| slot > seen.slot);
        if ahead || restarted {
            self.advanced_at = Some(now);
        }
        let stands_there = ahead || restarted || known.is_some_and(|seen| slot == seen.slot);
        if let Some(entry) = self.seen.get_mut(commitment.index())
            && stands_there
        {
            *entry = Some(Seen { slot, at: now });
        }
        // An older answer tells neither where the upstream stands nor that it stands still.
        if source == Source::Probe || ahead {
            self.observed_at = Some(now);
            if self.measures_lag(commitment) {
                self.lag = tip.map_or(0, |tip| slot.lag_behind(tip));
            }
        }
    }

    /// Finality comes in bursts: the finalized slot tells the lag only if nothing better is known.
    fn measures_lag(&self, commitment: Commitment) -> bool {
        commitment != Commitment::Finalized
            || (self.seen(Commitment::Processed).is_none()
                && self.seen(Commitment::Confirmed).is_none())
    }

    /// Whether a slot can be true: within what the time since the last one explains, or seen
    /// often enough.
    fn believes(
        &mut self,
        commitment: Commitment,
        slot: Slot,
        now: Instant,
        slot_time: Duration,
    ) -> bool {
        let Some(seen) = self.seen(commitment) else {
            return true;
        };
        let elapsed = now.saturating_duration_since(seen.at);
        // Twice the usual speed: a node that catches up replays faster than slots are made.
        let explained = slots_in(elapsed, slot_time).saturating_mul(2);
        let highest = seen.slot.0.saturating_add(explained).saturating_add(JUMP);
        if slot.0 <= highest {
            self.jump = None;
            return true;
        }
        let times = match self.jump {
            Some(jump) if slot >= jump.slot => jump.times + 1,
            _ => 1,
        };
        self.jump = Some(Jump { slot, times });
        if times >= CONFIRMATIONS {
            self.jump = None;
            return true;
        }
        false
    }

    /// The upstream was reached and answered sensibly.
    pub(super) fn succeeded(&mut self, limits: &config::Health) {
        self.failures_in_row = 0;
        self.successes_in_row = self.successes_in_row.saturating_add(1);
        if self.successes_in_row >= limits.successes {
            self.failing = false;
        }
        self.probed = true;
    }

    /// A probe got no usable answer.
    pub(super) fn failed(&mut self, limits: &config::Health) {
        self.successes_in_row = 0;
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        if self.failures_in_row >= limits.failures {
            self.failing = true;
        }
    }

    /// What it says about itself.
    pub(super) fn says_unwell(&mut self, unwell: bool) {
        self.unwell = unwell;
    }

    /// The highest slot it has received shreds of.
    pub(super) fn received(&mut self, shred: Slot) {
        self.gap = self
            .seen(Commitment::Processed)
            .map_or(0, |seen| seen.slot.lag_behind(shred));
    }

    pub(super) fn height(&mut self, check: HeightCheck) {
        self.implausible = check == HeightCheck::Implausible;
    }

    /// Whether its genesis hash is another than the cluster's.
    pub(super) fn wrong_cluster(&mut self, wrong: bool) {
        self.wrong_cluster = wrong;
    }

    /// Draws the conclusion from all that was fed in.
    pub(super) fn settle(&mut self, limits: &config::Health) -> Option<Transition> {
        let from = self.health;
        self.health = self.conclude(limits);
        (self.health != from).then_some(Transition {
            from,
            to: self.health,
        })
    }

    fn conclude(&self, limits: &config::Health) -> Health {
        let gap_limit = match self.health {
            Health::Stale => limits.shred_gap / 2,
            _ => limits.shred_gap,
        };
        let too_far = if self.health.serves() {
            self.lag > limits.exclude_lag
        } else {
            self.lag >= limits.readmit_lag
        };
        match () {
            () if self.wrong_cluster => Health::WrongCluster,
            () if self.implausible => Health::Implausible,
            () if self.failing => Health::Failing,
            () if !self.probed => Health::Unprobed,
            () if self.stands_still(limits) => Health::Stopped,
            () if self.unwell => Health::Unwell,
            () if self.gap > gap_limit => Health::Stale,
            () if too_far => Health::Lagging,
            () => Health::Healthy,
        }
    }

    /// Only what was observed counts: an upstream that nobody asked may well have moved.
    fn stands_still(&self, limits: &config::Health) -> bool {
        match (self.advanced_at, self.observed_at) {
            (Some(advanced), Some(observed)) => {
                observed.saturating_duration_since(advanced) >= limits.stopped_after
            }
            _ => false,
        }
    }
}

/// How many slots fit into a time.
pub(super) fn slots_in(elapsed: Duration, slot_time: Duration) -> u64 {
    // Divided by in every request: 64 bits are centuries.
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanos(elapsed) / nanos(slot_time).max(1)
}
