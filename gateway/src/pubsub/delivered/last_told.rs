//! The slot at which something was delivered last, and what counts instead while it cannot be true.
//!
//! A notification may be somewhat ahead of what is known of the cluster. Were its slot wrong, it would
//! hide all that follows from the same socket until the cluster gets there.

use perijove_core::Slot;

/// Slots by which notifications are ahead of what is known of the cluster without being doubtful.
const NEAR: u64 = 4;

/// The newest slot that was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pubsub) struct LastTold {
    pub(super) slot: Slot,
    /// The one before, if this one was ahead of the cluster, and nothing has explained it yet.
    before: Option<Slot>,
}

impl LastTold {
    /// Something at this slot is delivered. `reach` is where the cluster is by now; `None`: nobody
    /// knows.
    pub(super) fn tell(&mut self, slot: Slot, reach: Option<Slot>) {
        let standing = self.standing(reach);
        self.before = is_ahead(slot, reach).then_some(standing);
        self.slot = slot;
    }

    /// What is older than this is outdated: the newest slot that the cluster can have reached.
    pub(super) fn standing(&self, reach: Option<Slot>) -> Slot {
        match self.before {
            Some(before) if is_ahead(self.slot, reach) => before,
            _ => self.slot,
        }
    }

    /// From now on another socket is heard, which may merely be behind.
    pub(super) fn moves(&mut self) {
        self.before = None;
    }
}

/// Whether a slot is ahead of what is known of the cluster.
pub(in crate::pubsub) fn is_ahead(slot: Slot, reach: Option<Slot>) -> bool {
    reach.is_some_and(|reach| slot.0 > reach.0.saturating_add(NEAR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_of_the_cluster_counts_once_the_cluster_gets_there() {
        let mut last = LastTold::default();
        let standing = |last: &LastTold, reach| last.standing(Some(Slot(reach))).0;
        last.tell(Slot(100), Some(Slot(100)));
        last.tell(Slot(100 + NEAR), Some(Slot(100)));
        assert_eq!(standing(&last, 100), 100 + NEAR, "near enough");
        last.tell(Slot(115), Some(Slot(100)));
        assert_eq!(standing(&last, 101), 100 + NEAR);
        assert_eq!(last.standing(None), Slot(115), "nobody knows better");
        // Once it was possible, it was told at its time.
        assert_eq!(standing(&last, 115 - NEAR), 115);
        // Another one ahead does not make the first one true.
        last.tell(Slot(116), Some(Slot(101)));
        assert_eq!(standing(&last, 101), 100 + NEAR);
        // What follows of it is told, and counts.
        last.tell(Slot(105), Some(Slot(105)));
        assert_eq!(standing(&last, 105), 105);
        last.tell(Slot(120), Some(Slot(105)));
        last.moves();
        assert_eq!(standing(&last, 106), 120, "told by another socket");
    }
}
