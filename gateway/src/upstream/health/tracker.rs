//! Decides by its slots whether one upstream is healthy. Pure: no clock, no I/O.
//!
//! Fed by rounds of probes and by the `context.slot` of live answers; each is one *look* (an
//! observation), and is judged once, with all the commitments it contains. An upstream's own claim
//! to be healthy is not enough: it is excluded if it belongs to another cluster, if its numbers are
//! impossible, if its probes fail, if it reports itself unhealthy, if its slot stands still while
//! the cluster advances, if it has received much more than it has processed, or if it is too far
//! behind the others. All of these have hysteresis, so that an upstream at the edge does not flap.
//!
//! The position of the others is passed in ([`PeerSlots`]); [`crate::upstream::health::cluster`] determines
//! it.

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::upstream::health::credibility::{Credibility, SlotBelief};
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::health::slot_look::{PeerSlots, SightingSource, SlotLook};
use crate::upstream::health::slot_position::{SlotPace, SlotPosition};

pub use crate::upstream::health::Health;
pub(in crate::upstream) use crate::upstream::health::{HealthChange, HeightCheck, SelfReport};

mod cause;
mod standstill;
#[cfg(test)]
mod tests;

/// A probe this far below the known slot means a restarted node, not an answer out of order.
const ROLLBACK: u64 = 32;

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "findings that do not depend on each other"
)]
pub(in crate::upstream) struct Tracker {
    health: Health,
    stand: SlotPosition,
    /// Looks since a slot increased.
    looks: u32,
    /// Slots behind the others at the last conclusive look.
    lag: u64,
    /// The same for deciding whether it stands still; `None` while there are no others.
    behind: Option<u64>,
    /// How fast the others advanced at the last look.
    moves: SlotPace,
    credibility: Credibility,
    probed: bool,
    failing: bool,
    /// It fails because of its answers, not for lack of answers.
    closed: bool,
    failures_in_row: u32,
    successes_in_row: u32,
    last_failure: Option<Diagnosis>,
    /// What keeps its probes from being answered, which is no failure.
    withheld: Option<Diagnosis>,
    /// That has not been logged yet.
    news: bool,
    /// Its genesis hash and the cluster's, where they differ.
    hashes: Option<String>,
    /// What it says of itself.
    word: SelfReport,
    /// Slots received but not processed.
    gap: u64,
    implausible: bool,
    /// A slot that the cluster cannot have reached, if its last probe showed one.
    impossible: Option<Slot>,
    wrong_cluster: bool,
}

impl Tracker {
    #[cfg(test)]
    pub(in crate::upstream) fn health(&self) -> Health {
        self.health
    }

    pub(in crate::upstream) fn lag(&self) -> u64 {
        self.lag
    }

    pub(in crate::upstream) fn word(&self) -> SelfReport {
        self.word
    }

    pub(in crate::upstream) fn stand(&self) -> &SlotPosition {
        &self.stand
    }

    /// It was observed. Returns whether its cluster must be checked.
    pub(in crate::upstream) fn look(&mut self, look: &SlotLook, peers: &PeerSlots) -> bool {
        let mut ask = false;
        let mut believed = *look;
        let pending = self.credibility.jumps();
        for (level, slot) in Commitment::ALL.into_iter().zip(&mut believed.slots) {
            let belief = slot.map(|slot| {
                let stand = &mut self.stand;
                self.credibility
                    .belief((level, slot), look, &pending, stand, peers)
            });
            if !matches!(belief, None | Some(SlotBelief::Explained)) {
                *slot = None;
                ask = true;
            }
        }
        if believed.slots.iter().any(Option::is_some) {
            self.moves = peers.moves;
            self.move_to(&believed, peers);
            self.credibility.believe(&believed, &mut self.stand, peers);
            self.measure_lag(&believed, peers);
        }
        ask
    }

    /// It was still at a slot; nothing is concluded from that.
    pub(in crate::upstream) fn stands_at(&mut self, slot: Slot, level: Commitment, now: Instant) {
        if self.stand.seen(level).is_some_and(|seen| seen.slot == slot) {
            self.stand.see(level, slot, now);
        }
    }

    fn move_to(&mut self, look: &SlotLook, peers: &PeerSlots) {
        let shown = |level| Some((look.slot(level)?, self.stand.seen(level)?.slot));
        // A node that is behind another one of the same name has not gone back.
        let restarted = Commitment::ALL
            .into_iter()
            .filter_map(shown)
            .find(|(slot, known)| slot.0.saturating_add(ROLLBACK) < known.0)
            .filter(|_| look.source == SightingSource::Probe && !look.outrun);
        if let Some((slot, known)) = restarted {
            self.stand.forget();
            self.credibility.restarted(slot, known);
        }
        // The first slot at a commitment shows neither that it advances nor that it does not.
        let tells =
            |level: &Commitment| look.slot(*level).is_some() && self.stand.seen(*level).is_some();
        let compared = Commitment::ALL.iter().any(tells);
        let mut advanced = restarted.is_some();
        for level in Commitment::ALL {
            if let Some(slot) = look.slot(level) {
                advanced |= self.stand.see(level, slot, look.at);
            }
        }
        self.stand.cap_pace(peers.usual.percent(200));
        if !advanced && !compared {
            return;
        }
        let looked = if advanced { look.at } else { look.started };
        if advanced {
            self.stand.advanced_at = Some(look.at);
            self.looks = 0;
        } else if self.stand.advanced_at < Some(look.started) {
            self.looks = self.looks.saturating_add(1);
        }
        self.stand.looked_at = self.stand.looked_at.max(Some(looked));
    }

    /// How far behind it is, by the commitments of this look. An answer out of order does not
    /// count.
    fn measure_lag(&mut self, look: &SlotLook, peers: &PeerSlots) {
        let newest = |level: Commitment| {
            let current = self.stand.seen(level)?.slot == look.slot(level)?;
            current.then_some(level)
        };
        let behind = |level: Commitment| {
            let own = self.stand.slot(level)?;
            Some(own.lag_behind(peers.head(level)?))
        };
        let heads = [Commitment::Processed, Commitment::Confirmed];
        let lag = heads
            .into_iter()
            .filter_map(newest)
            .filter_map(behind)
            .max();
        // Finality comes in bursts: it counts for the lag only if nothing better is known.
        let only_final = heads
            .into_iter()
            .all(|level| self.stand.seen(level).is_none());
        let lag = lag.or_else(|| {
            let level = newest(Commitment::Finalized).filter(|_| only_final)?;
            behind(level)
        });
        let looked = || {
            Commitment::ALL
                .into_iter()
                .filter(|level| look.slot(*level).is_some())
        };
        if peers.is_alone() {
            self.lag = 0;
            self.behind = looked()
                .filter_map(|level| {
                    let other = peers.stopped.get(level.index()).copied().flatten()?;
                    Some(self.stand.slot(level)?.lag_behind(other))
                })
                .max();
            return;
        }
        // If no other upstream has reported these commitments: as if it had advanced like them up
        // to now.
        let moved = peers.moves.slots(self.stood());
        self.behind = Some(looked().filter_map(behind).max().unwrap_or(moved));
        if let Some(lag) = lag {
            self.lag = lag;
        }
    }

    /// The upstream was reached and answered what it was asked.
    pub(in crate::upstream) fn succeeded(&mut self, limits: &config::HealthSettings) {
        self.failures_in_row = 0;
        self.successes_in_row = self.successes_in_row.saturating_add(1);
        if self.successes_in_row >= limits.successes {
            self.failing = false;
        }
        self.probed = true;
        self.last_failure = None;
        self.withheld = None;
    }

    /// A probe got no usable answer.
    pub(in crate::upstream) fn failed(
        &mut self,
        limits: &config::HealthSettings,
        cause: impl Into<Diagnosis>,
    ) {
        self.successes_in_row = 0;
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        if self.failures_in_row >= limits.failures {
            self.failing = true;
        }
        self.last_failure = Some(cause.into());
    }

    /// It refuses everything, with an explicit reason: no more probes are waited for.
    pub(in crate::upstream) fn refuses_all(&mut self, cause: Diagnosis) {
        self.successes_in_row = 0;
        self.failing = true;
        self.closed = true;
        self.last_failure = Some(cause);
    }

    /// It served a call: a refusal of everything is over.
    pub(in crate::upstream) fn serves_again(&mut self) {
        if std::mem::take(&mut self.closed) {
            self.failing = false;
            self.last_failure = None;
        }
    }

    /// Whether the last probe failed.
    pub(in crate::upstream) fn is_in_doubt(&self) -> bool {
        self.last_failure.is_some()
    }

    /// Its own report of its health.
    pub(in crate::upstream) fn says(&mut self, word: SelfReport) {
        self.word = word;
    }

    /// The highest slot it has received shreds of.
    pub(in crate::upstream) fn received(&mut self, shred: Slot) {
        self.gap = self
            .stand
            .seen(Commitment::Processed)
            .map_or(0, |seen| seen.slot.lag_behind(shred));
    }

    pub(in crate::upstream) fn height(&mut self, check: HeightCheck) {
        self.implausible = check == HeightCheck::Implausible;
    }

    /// Its last probe showed this slot, which the cluster cannot have reached, or none of the kind.
    pub(in crate::upstream) fn claims(&mut self, impossible: Option<Slot>) {
        self.impossible = impossible;
    }

    /// Whether its genesis hash is another than the cluster's.
    pub(in crate::upstream) fn wrong_cluster(&mut self, wrong: bool) {
        if self.wrong_cluster && !wrong {
            // Its slots were those of the other cluster.
            self.stand.forget();
            self.credibility = Credibility::default();
            self.probed = false;
        }
        self.wrong_cluster = wrong;
    }

    /// Its genesis hash and the cluster's, where they differ.
    pub(in crate::upstream) fn differs(&mut self, hashes: Option<String>) {
        self.hashes = hashes;
    }

    /// Draws the conclusion from everything observed.
    pub(in crate::upstream) fn settle(
        &mut self,
        limits: &config::HealthSettings,
    ) -> Option<HealthChange> {
        let from = self.health;
        self.health = self.conclude(limits);
        if self.health == Health::Healthy && !from.serves() {
            self.stand.measure_anew();
        }
        (self.health != from).then_some(HealthChange {
            from,
            to: self.health,
        })
    }

    fn conclude(&self, limits: &config::HealthSettings) -> Health {
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
            () if self.implausible || self.impossible.is_some() => Health::Implausible,
            () if self.failing => Health::Failing,
            // It may refuse all its probes with that.
            () if !self.probed && self.word != SelfReport::Well => Health::Unwell,
            () if !self.probed => Health::Unprobed,
            () if self.credibility.is_in_doubt() => Health::Suspect,
            () if self.stands_still(limits) => Health::Stopped,
            // A node that is behind says so, too; how far is what helps.
            () if self.word != SelfReport::Well && !too_far => Health::Unwell,
            () if self.gap > gap_limit => Health::Stale,
            () if too_far => Health::Lagging,
            () => Health::Healthy,
        }
    }
}
