//! Whether the slots that one upstream shows can be believed. Pure: no clock, no I/O.
//!
//! A slot is explained by the others, if it is not further than a little ahead of them, or by time:
//! no node advances faster than slots are produced. So an upstream that goes on in steps that time
//! explains stays credible however far the others fall behind, and one that leaps ahead of them
//! does not become so by repeating itself. What is not explained is a *jump*: it counts only when
//! it is confirmed.
//!
//! | it is | the others | believed |
//! |---|---|---|
//! | ahead in steps that time explains | any, lagging or not | at once |
//! | there by a jump | where it is | at once |
//! | there by a jump | none | when three probes show it, or one with the genesis hash |
//! | there by a jump | one, behind | after a minute of it |
//! | there by a jump | two that agree, behind | never |
//! | there since it was first seen | two that agree, behind | when it has gone on at the usual pace for a while |
//! | out of reach of the others since it was first seen | one, behind | never |
//!
//! Others that catch up do not contradict one that is further: where they are is not where the cluster is. Two
//! that were started late together agree, and are wrong.
//!
//! One whose own slot is in doubt contradicts nobody: where all jump at once, because the gateway was
//! suspended, say, all are believed soon.
//!
//! An upstream is *anchored* once it was seen no further ahead than the others, or for a while with
//! nobody to contradict it. Before, there is no step to explain: two others that agree are believed.

use std::time::Duration;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::upstream::health::pending_jump::{FINALITY, PendingJump, PendingJumps};
use crate::upstream::health::slot_look::{PeerSlots, SightingSource, SlotLook};
use crate::upstream::health::slot_position::{SlotPosition, SlotSighting};

#[cfg(test)]
mod tests;

/// Slots by which an upstream may be ahead of what time or the others explain. It is also what
/// excludes one that is behind by default: who is believed decides who is behind.
pub(in crate::upstream) const LEAP: u64 = 16;
/// One that is this far ahead of the others, a day and more, is not explained by their being late.
pub(in crate::upstream) const WILD: u64 = 216_000;
/// A slot this far below the newest known one is no answer out of order: it counts only when it is
/// confirmed.
const FAR_BELOW: u64 = 1000;
/// For so long it must go on if one other contradicts it.
const PERSISTS: Duration = Duration::from_mins(1);
/// An upstream that nobody contradicts for so long is anchored.
const UNCONTRADICTED: Duration = Duration::from_secs(10);
/// Jumps that follow each other within this time are of one kind.
const RELAPSE: Duration = Duration::from_mins(1);
/// The longest time that an upstream which jumps again and again must show credible slots.
const LONGEST_PROBATION: Duration = Duration::from_secs(32);

/// Whether a slot is credible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum SlotBelief {
    Explained,
    /// Not before it is confirmed.
    Jumped,
    /// An answer from long ago, or from another cluster.
    Odd,
}

/// What is known of one upstream's credibility.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Credibility {
    /// The newest slots that were believed. A node that was restarted may return to them.
    peaks: [Option<SlotSighting>; 3],
    jumps: PendingJumps,
    /// Since when nobody contradicts it, while it is not anchored.
    uncontradicted: Option<Instant>,
    /// It got where it is by a jump, and is not anchored since.
    leapt: bool,
    /// When it last jumped, and how often it did before, each time within [`RELAPSE`].
    relapses: Option<(Instant, u32)>,
}

impl Credibility {
    /// Whether a slot waits for its confirmation.
    pub(in crate::upstream) fn is_in_doubt(&self) -> bool {
        self.jumps.iter().any(Option::is_some)
    }

    pub(in crate::upstream) fn jumps(&self) -> PendingJumps {
        self.jumps
    }

    /// Whether a slot is credible. `stand` is what was believed before, `pending` the jumps before
    /// this look.
    pub(in crate::upstream) fn belief(
        &mut self,
        (level, slot): (Commitment, Slot),
        look: &SlotLook,
        pending: &PendingJumps,
        stand: &mut SlotPosition,
        peers: &PeerSlots,
    ) -> SlotBelief {
        let lowest = stand
            .seen(level)
            .map_or(0, |seen| seen.slot.0.saturating_sub(FAR_BELOW));
        let limit = peers.highest(level);
        let others_explain = limit.is_some_and(|limit| !is_beyond(slot, limit));
        let settled = peers.settled(level);
        let ahead = settled.is_some_and(|settled| is_beyond(slot, settled));
        let wild = settled.is_some_and(|settled| settled.lag_behind(slot) > WILD);
        let contradicted = ahead && (peers.agreed || wild);
        let time_explains = self.time_explains((level, slot), look.at, stand, peers, ahead);
        let credible = others_explain || (time_explains && (stand.anchored || !contradicted));
        if slot.0 >= lowest && credible {
            if !time_explains {
                // How it got there says nothing about its pace.
                stand.measure_anew();
            }
            self.end_jump(level, look.at);
            return SlotBelief::Explained;
        }
        if look.source == SightingSource::Answer && slot.0 < lowest {
            return SlotBelief::Odd;
        }
        if self.jump(level).is_none() {
            self.note_relapse(look.at, pending);
        }
        let shown = PendingJump::shown_by(look, (level, slot), pending, stand);
        let lasts = look.at.saturating_duration_since(shown.since);
        let first = !stand.anchored && !self.leapt;
        let is_refuted = peers.agreed || (first && wild);
        let uncontradicted = !ahead || (!is_refuted && lasts >= PERSISTS);
        let steady = first && !wild && shown.is_steady(peers);
        let Some(jump) = self.jumps.get_mut(level.index()) else {
            return SlotBelief::Jumped;
        };
        if look.source == SightingSource::Answer {
            jump.get_or_insert(shown);
        } else if shown.is_confirmed() && (uncontradicted || steady) {
            *jump = None;
            self.leapt |= !first;
            if steady {
                // The others are behind, at all commitments, and will go on contradicting it.
                self.jumps = [None; 3];
            }
            stand.anchored = steady;
            stand.measure_anew();
            return SlotBelief::Explained;
        } else {
            *jump = Some(shown);
        }
        SlotBelief::Jumped
    }

    /// Notes what was believed of a look.
    pub(in crate::upstream) fn believe(
        &mut self,
        look: &SlotLook,
        stand: &mut SlotPosition,
        peers: &PeerSlots,
    ) {
        for (level, peak) in Commitment::ALL.into_iter().zip(&mut self.peaks) {
            if let Some(seen) = stand.seen(level)
                && peak.is_none_or(|peak| seen.slot > peak.slot)
            {
                *peak = Some(seen);
            }
        }
        let probed = look.slots.iter().flatten().copied().max();
        let probed = probed.filter(|_| look.source == SightingSource::Probe);
        for (level, jump) in Commitment::ALL.into_iter().zip(&mut self.jumps) {
            // By now the others are there as well, or it is, by a probe of another commitment: not all
            // are asked for.
            let explained = |jump: PendingJump| {
                let mut limits = [peers.highest(level), probed].into_iter().flatten();
                limits.any(|limit| !is_beyond(jump.slot, limit))
            };
            if self.relapses.is_none_or(|(_, times)| times == 0) && jump.is_some_and(explained) {
                *jump = None;
            }
        }
        if stand.anchored {
            return;
        }
        let shown = || {
            Commitment::ALL
                .into_iter()
                .filter_map(|level| Some((look.slot(level)?, peers.highest(level)?)))
        };
        let compared = shown().next().is_some();
        if compared && !shown().any(|(slot, limit)| is_beyond(slot, limit)) {
            stand.anchored = true;
        } else {
            let since = *self.uncontradicted.get_or_insert(look.at);
            stand.anchored = look.at.saturating_duration_since(since) >= UNCONTRADICTED;
        }
        if stand.anchored {
            self.uncontradicted = None;
            self.leapt = false;
        }
    }

    /// The node was restarted, and this far below: what it showed before explains nothing.
    pub(in crate::upstream) fn restarted(&mut self, slot: Slot, known: Slot) {
        self.uncontradicted = None;
        if slot.lag_behind(known) > FAR_BELOW {
            self.peaks = [None; 3];
        }
    }

    fn jump(&self, level: Commitment) -> Option<PendingJump> {
        self.jumps.get(level.index()).copied().flatten()
    }

    /// Whether the time since it was seen below explains a slot. One that goes on from a jump is
    /// not explained by having waited.
    fn time_explains(
        &self,
        (level, slot): (Commitment, Slot),
        at: Instant,
        stand: &SlotPosition,
        peers: &PeerSlots,
        ahead: bool,
    ) -> bool {
        if let Some(jump) = self.jump(level) {
            let since = at.saturating_duration_since(jump.at);
            let gone_on = peers.moves.min(peers.usual).percent(80).slots(since);
            if slot.0 >= jump.slot.0.saturating_add(gone_on) {
                return false;
            }
        }
        let Some((from, since)) = self.start(level) else {
            return true;
        };
        let fastest = peers.usual.max(peers.moves).max(stand.measured_pace());
        // A node that catches up replays faster than slots are produced, but not ahead of others.
        let fastest = fastest.percent(if ahead { 110 } else { 200 });
        let elapsed = at.saturating_duration_since(since);
        let limit = from.0.saturating_add(fastest.slots(elapsed));
        !is_beyond(slot, Slot(limit))
    }

    /// The newest slot believed at a commitment and when it was reached; where that is not known,
    /// what another commitment says of it.
    fn start(&self, level: Commitment) -> Option<(Slot, Instant)> {
        let [processed, confirmed, finalized] = self.peaks;
        let known = |peak: Option<SlotSighting>| peak.map(|peak| (peak.slot, peak.since));
        let own = known(self.peaks.get(level.index()).copied().flatten());
        own.or_else(|| known(confirmed).max(known(processed)))
            .or_else(|| {
                let (slot, since) = known(finalized)?;
                Some((Slot(slot.0.saturating_add(FINALITY)), since))
            })
    }

    /// A jump begins. All commitments of one look, and those that follow, are one.
    fn note_relapse(&mut self, at: Instant, pending: &PendingJumps) {
        if pending.iter().any(Option::is_some) {
            return;
        }
        let times = match self.relapses {
            Some((last, times)) if last == at => times,
            Some((last, times)) if at.saturating_duration_since(last) < RELAPSE => times + 1,
            _ => 0,
        };
        self.relapses = Some((at, times));
    }

    /// It shows a credible slot again. One that jumps again and again must do so for a while.
    fn end_jump(&mut self, level: Commitment, at: Instant) {
        let probation = match self.relapses {
            None | Some((_, 0)) => Duration::ZERO,
            Some((_, times)) => Duration::from_secs(1 << (times - 1).min(5)).min(LONGEST_PROBATION),
        };
        if let Some(jump) = self.jumps.get_mut(level.index())
            && jump.is_some_and(|jump| at.saturating_duration_since(jump.at) >= probation)
        {
            *jump = None;
        }
    }
}

fn is_beyond(slot: Slot, limit: Slot) -> bool {
    slot.0 > limit.0.saturating_add(LEAP)
}

/// The highest slots that an upstream may have reached, given those of others: a commitment that
/// none of them has shown is bounded by one that some have.
pub(in crate::upstream) fn highest(heads: [Option<Slot>; 3]) -> [Option<Slot>; 3] {
    let [processed, confirmed, finalized] = heads;
    let newest = processed.max(confirmed);
    let head = match newest {
        Some(_) => newest.max(finalized),
        None => finalized.map(|slot| Slot(slot.0.saturating_add(FINALITY))),
    };
    [head, head, finalized.or(newest)]
}
