//! A slot too far off to count yet: how often it was shown, and how it has gone on since. Pure.

use std::time::Duration;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::upstream::health::slot_look::{PeerSlots, SightingSource, SlotLook};
use crate::upstream::health::slot_position::{SlotPace, SlotPosition};

/// A jump counts once so many probes have shown it, or one together with its genesis hash.
const CONFIRMATIONS: u32 = 3;
/// For so long one must go on at the usual pace to be believed rather than two that are behind it.
const STEADY: Duration = Duration::from_secs(20);
/// The usual pace, in percent of the configured one and of that of the others; and the slots of a leader that
/// makes no block.
const USUAL: (u64, u64) = (80, 115);
const LEADER: u64 = 4;
/// Slots by which the finalized one is behind, at most, where nothing else is known.
pub(super) const FINALITY: u64 = 64;

/// The jumps that wait for their confirmation, in the order of [`Commitment::ALL`].
pub(in crate::upstream) type PendingJumps = [Option<PendingJump>; 3];

/// A slot too far off to count yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct PendingJump {
    pub(super) slot: Slot,
    /// When it was shown.
    pub(super) at: Instant,
    /// When it was first shown, and which slot it was then.
    pub(super) since: Instant,
    from: Slot,
    /// How often probes have shown it.
    times: u32,
}

impl PendingJump {
    /// A jump that a look shows, for the first time or again. A commitment that was never seen before
    /// goes by the jump of another.
    pub(super) fn shown_by(
        look: &SlotLook,
        (level, slot): (Commitment, Slot),
        pending: &PendingJumps,
        stand: &SlotPosition,
    ) -> Self {
        let shown = Self {
            slot,
            at: look.at,
            since: look.at,
            from: slot,
            times: 0,
        };
        if look.source == SightingSource::Answer {
            return shown;
        }
        let confirms =
            |earlier: &Self, within: u64| slot.0.saturating_add(within) >= earlier.slot.0;
        let own = pending.get(level.index()).copied().flatten();
        let before = match own {
            None if stand.seen(level).is_none() => {
                let mut others = pending.iter().flatten();
                others.find(|other| confirms(other, FINALITY)).copied()
            }
            own => own.filter(|own| confirms(own, 0)),
        };
        match before {
            Some(before) => Self {
                since: before.since,
                from: before.from,
                times: if look.vouched {
                    CONFIRMATIONS
                } else {
                    before.times.saturating_add(1)
                },
                ..shown
            },
            None => Self { times: 1, ..shown },
        }
    }

    /// Whether it was shown often enough to count, if nobody contradicts it.
    pub(super) fn is_confirmed(&self) -> bool {
        self.times >= CONFIRMATIONS
    }

    /// Whether it has gone on like a cluster for long enough.
    pub(super) fn is_steady(&self, peers: &PeerSlots) -> bool {
        let lasts = self.at.saturating_duration_since(self.since);
        let (slowest, fastest) = match peers.moves {
            SlotPace::NONE => (peers.usual, peers.usual),
            moves => (peers.usual.min(moves), peers.usual.max(moves)),
        };
        let least = slowest.percent(USUAL.0).slots(lasts).saturating_sub(LEADER);
        let most = fastest.percent(USUAL.1).slots(lasts).saturating_add(LEADER);
        lasts >= STEADY && (least..=most).contains(&self.from.lag_behind(self.slot))
    }
}
