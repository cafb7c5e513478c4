//! Which slots an upstream can tell of: those that the cluster can have reached. Pure: the time is
//! passed in.
//!
//! One that is further ahead, delivered, would hide all that follows of its account until the
//! cluster gets there.

use perijove_core::Slot;
use tokio::time::Instant;

/// Slots by which a notification may be ahead of what the cluster's tip and time explain. Nodes are
/// a few slots ahead of what others have shown.
const MARGIN: u64 = 16;

/// The newest slot of a socket that was explained.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    seen: Option<(Slot, Instant)>,
}

impl Horizon {
    /// The newest explained slot, and when it was told.
    pub(super) fn seen(&self) -> Option<(Slot, Instant)> {
        self.seen
    }

    /// Whether a slot can be true. `furthest` is where the cluster can be by now; `None`: nobody
    /// knows.
    pub(super) fn includes(&mut self, slot: Slot, furthest: Option<Slot>, now: Instant) -> bool {
        let Some(furthest) = furthest else {
            return true;
        };
        if slot.0 > furthest.0.saturating_add(MARGIN) {
            return false;
        }
        // A margin on top of a margin would lead anywhere.
        let explained = slot.min(furthest);
        if self.seen.is_none_or(|(seen, _)| explained > seen) {
            self.seen = Some((explained, now));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_the_cluster_cannot_have_reached_is_beyond_it() {
        let (mut horizon, now) = (Horizon::default(), Instant::now());
        for (slot, furthest, expected) in [
            // Nobody knows where the cluster is: this is no witness either.
            (u64::MAX, None, true),
            (1000, Some(1000), true),
            (1, Some(1000), true),
            (1000 + MARGIN, Some(1000), true),
            (1001 + MARGIN, Some(1000), false),
            (1060, Some(1000), false),
            (u64::MAX, Some(1000), false),
            (u64::MAX, Some(u64::MAX), true),
        ] {
            let included = horizon.includes(Slot(slot), furthest.map(Slot), now);
            assert_eq!(included, expected, "{slot} beside {furthest:?}");
        }
    }

    #[test]
    fn nobody_gets_ahead_in_small_steps() {
        let (mut horizon, now) = (Horizon::default(), Instant::now());
        for _ in 0..10 {
            let furthest = horizon.seen().map_or(Slot(1000), |(slot, _)| slot);
            assert!(horizon.includes(Slot(furthest.0 + MARGIN), Some(furthest), now));
        }
        assert_eq!(horizon.seen(), Some((Slot(1000), now)));
    }
}
