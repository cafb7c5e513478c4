//! What an upstream shows of its slots, compared with the others.

use std::time::Duration;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::Member;
use crate::upstream::health::slot_look::{SightingSource, SlotLook};
use crate::upstream::health::slot_position::{FURTHEST, SlotSighting};
use crate::upstream::health::tracker::{Health, Tracker};

/// An answer this many slots old is from a cache of the provider's, or from another cluster.
const ODD: u64 = 1000;

/// A slot is final when 31 blocks are confirmed on top of it.
const USUAL_FINALITY: u64 = 32;
/// Finality comes in bursts: it may trail by this many slots more.
const FINALITY_LEAP: u64 = 16;

impl Member {
    /// A live answer named its slot. Most name one that is known already, which matters only for an
    /// upstream that should have advanced.
    pub(in crate::upstream) fn heard_slot(
        &self,
        commitment: Commitment,
        slot: Slot,
        latency: Duration,
        now: Instant,
    ) {
        let stand = self.live.stand();
        let known = stand.seen(commitment).map(|seen| seen.slot);
        let new = known.is_none_or(|known| slot > known);
        let started = now.checked_sub(latency).unwrap_or(now);
        let behind = known.map_or(0, |known| slot.lag_behind(known));
        if behind > self.policy.health.exclude_lag {
            // A single answer may come from one node of many; a metered upstream, whose probes are
            // half a minute apart, is probed again at once.
            self.live.look_soon.notify_one();
        }
        let odd = behind > ODD;
        // One that has jumped is believed again as soon as it shows where it is.
        let suspect = self.live.health() == Health::Suspect;
        if !new && !odd && !suspect && !stand.is_in_question(started) {
            return;
        }
        drop(stand);
        if new && !self.is_impossible(slot) {
            self.live.slot_feed.heard(commitment);
        }
        self.look(&SlotLook::one(
            SightingSource::Answer,
            commitment,
            slot,
            started,
            now,
        ));
    }

    /// Whether an answer that was read at this slot is further behind the tip than an upstream may
    /// be. Whatever is no older than the newest that the upstream has shown is judged with the
    /// upstream itself, but for its finality, which does not count there.
    pub(in crate::upstream) fn is_outdated(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
    ) -> bool {
        if commitment == Commitment::Finalized {
            return self.is_late_in_finality(slot, now);
        }
        let current = || {
            self.live
                .slot(commitment)
                .is_some_and(|known| slot >= known)
        };
        if self.live.health() == Health::Healthy && current() {
            return false;
        }
        let tip = self.cluster.tip(commitment, now);
        tip.is_some_and(|tip| slot.lag_behind(tip) > self.policy.health.exclude_lag)
    }

    /// The same for finality, of which a metered upstream may have shown nothing: then what this one
    /// says is asked for again if it has stood still, or is far behind what is confirmed. What the
    /// other one answers settles it for a minute, also if the whole cluster makes nothing final.
    fn is_late_in_finality(&self, slot: Slot, now: Instant) -> bool {
        let commitment = Commitment::Finalized;
        let stand = self.live.stand();
        // Nearly always: it is the upstream's newest, and no further behind what that has processed
        // itself than finality is.
        let usual = USUAL_FINALITY + FINALITY_LEAP;
        let near = |head: SlotSighting| slot.lag_behind(head.slot) <= usual;
        let heads = [Commitment::Processed, Commitment::Confirmed];
        let head = heads.into_iter().find_map(|level| stand.seen(level));
        let newest = stand.seen(commitment).is_some_and(|seen| slot >= seen.slot);
        if self.live.health() == Health::Healthy && newest && head.is_some_and(near) {
            return false;
        }
        let lag = self.policy.health.exclude_lag.max(FINALITY_LEAP);
        if self.cluster.is_witnessed(commitment, self.live.id(), now) {
            let tip = self.cluster.tip(commitment, now);
            return tip.is_some_and(|tip| slot.lag_behind(tip) > lag);
        }
        let far = usual + lag;
        let confirmed = self.cluster.tip(Commitment::Confirmed, now);
        let stands = |seen: SlotSighting| slot <= seen.slot && seen.stands(self.cluster.pace());
        confirmed.is_some_and(|tip| slot.lag_behind(tip) > far)
            || stand.seen(commitment).is_some_and(stands)
    }

    /// Where this upstream must be at a weaker commitment to be at a slot at this one, which it has
    /// not been seen at lately: ahead of it by as much as the tips are. Probes of a metered upstream
    /// ask for one commitment.
    pub(in crate::upstream) fn counterpart(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
    ) -> Option<(Commitment, Slot)> {
        let stand = self.live.stand();
        let seen_lately = |level: &Commitment| {
            let seen = stand.seen(*level);
            seen.is_some_and(|seen| now.saturating_duration_since(seen.at) < FURTHEST)
        };
        let (weaker, this_or_stronger) = Commitment::ALL.split_at(commitment.index());
        if this_or_stronger.iter().any(seen_lately) {
            return None;
        }
        let level = *weaker.iter().rev().find(|level| seen_lately(level))?;
        let tip = |level| self.cluster.tip(level, now);
        let ahead = tip(level)?.0.saturating_sub(tip(commitment)?.0);
        Some((level, Slot(slot.0.saturating_add(ahead))))
    }

    /// Compares an observation with the other upstreams.
    pub(in crate::upstream) fn look(&self, look: &SlotLook) {
        self.judge(look, |_| {});
    }

    /// Whether the cluster cannot have reached a slot by now.
    pub(in crate::upstream) fn is_impossible(&self, slot: Slot) -> bool {
        self.cluster.is_impossible(slot, self.clock.millis())
    }

    /// The same with what else the observation showed, for a single verdict on all of it.
    pub(in crate::upstream) fn judge(&self, look: &SlotLook, findings: impl FnOnce(&mut Tracker)) {
        let now = look.at;
        let peers = self.cluster.peers(self.live.id(), now);
        let impossible = look.slots.iter().flatten().copied().max();
        let impossible = impossible.filter(|slot| self.is_impossible(*slot));
        let possible = |slot: &Slot| impossible.is_none() || !self.is_impossible(*slot);
        let look = &SlotLook {
            slots: look.slots.map(|slot| slot.filter(possible)),
            ..*look
        };
        let mut ask = impossible.is_some();
        let change = self.live.track(&self.policy.health, now, |tracker| {
            if look.source == SightingSource::Probe {
                tracker.claims(impossible);
            }
            ask |= tracker.look(look, &peers);
            findings(tracker);
        });
        if change.is_some_and(|change| change.to == Health::Stopped) {
            // Or does the cluster? Those that are probed rarely are asked at once.
            for other in self.cluster.members().iter() {
                if other.id() != self.live.id() {
                    other.look_soon.notify_one();
                }
            }
        }
        if ask {
            self.live.question(now);
        }
        self.cluster.tick(now);
    }
}
