//! What a look at an upstream shows of its position, and where the others stand meanwhile.

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::upstream::health::slot_position::SlotPace;

/// Where a slot was seen. A probe asks for the head itself; a live answer may be out of order, or
/// come from a provider's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum SightingSource {
    Probe,
    Answer,
}

/// One look at the position of an upstream.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct SlotLook {
    pub(in crate::upstream) source: SightingSource,
    /// What it showed, in the order of [`Commitment::ALL`].
    pub(in crate::upstream) slots: [Option<Slot>; 3],
    /// When it was asked: an answer without a new slot refers to this moment.
    pub(in crate::upstream) started: Instant,
    /// When it had answered.
    pub(in crate::upstream) at: Instant,
    /// Whether it has shown the right genesis hash in this look.
    pub(in crate::upstream) vouched: bool,
    /// Whether another address of the same name was further ahead when last observed.
    pub(in crate::upstream) outrun: bool,
}

impl SlotLook {
    /// At one commitment.
    pub(in crate::upstream) fn one(
        source: SightingSource,
        commitment: Commitment,
        slot: Slot,
        started: Instant,
        at: Instant,
    ) -> Self {
        Self {
            source,
            slots: Commitment::ALL.map(|level| (level == commitment).then_some(slot)),
            started,
            at,
            vouched: false,
            outrun: false,
        }
    }

    pub(in crate::upstream) fn slot(&self, commitment: Commitment) -> Option<Slot> {
        self.slots.get(commitment.index()).copied().flatten()
    }
}

/// The position of the other upstreams at the moment of a look.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct PeerSlots {
    /// Their estimated slots, at each commitment or a stronger one.
    pub(in crate::upstream) heads: [Option<Slot>; 3],
    /// The highest slots that an upstream may have reached, as far as they show.
    pub(in crate::upstream) highest: [Option<Slot>; 3],
    /// The same without those that catch up, which do not contradict one that is further.
    pub(in crate::upstream) settled: [Option<Slot>; 3],
    /// Whether two of them agree where the cluster is.
    pub(in crate::upstream) agreed: bool,
    /// Where those that stand still have stopped. Counts only while none advances.
    pub(in crate::upstream) stopped: [Option<Slot>; 3],
    /// How fast they advance; zero if all stand still.
    pub(in crate::upstream) moves: SlotPace,
    /// The configured speed.
    pub(in crate::upstream) usual: SlotPace,
}

impl PeerSlots {
    pub(super) fn head(&self, commitment: Commitment) -> Option<Slot> {
        self.heads.get(commitment.index()).copied().flatten()
    }

    pub(in crate::upstream) fn highest(&self, commitment: Commitment) -> Option<Slot> {
        self.highest.get(commitment.index()).copied().flatten()
    }

    pub(in crate::upstream) fn settled(&self, commitment: Commitment) -> Option<Slot> {
        self.settled.get(commitment.index()).copied().flatten()
    }

    pub(super) fn is_alone(&self) -> bool {
        self.heads.iter().all(Option::is_none)
    }
}
