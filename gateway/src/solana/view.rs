//! The current slots of the cluster, as one value that passes between layers: the upstreams provide
//! it, the cache counts in it. Not here: how it is determined.

use perijove_core::{Commitment, Slot};

/// The cluster's slots at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotView {
    /// The slot the cluster is probably at now: the newest seen, advanced by the time that has
    /// passed since. Lifetimes are counted in it.
    pub now: Slot,
    /// The newest slot seen at each commitment, in the order of [`Commitment::ALL`]. Observed, not
    /// estimated: nothing counts as final before an upstream has said so.
    pub seen: [Option<Slot>; 3],
    /// The slot each commitment has probably reached by now.
    pub expected: [Option<Slot>; 3],
    /// The first slot of the current epoch, once an upstream has reported it. What was read before
    /// it may be of the previous epoch: a finalized answer is, for some 32 slots.
    pub epoch_start: Option<Slot>,
    /// The last slot of the current epoch, once an upstream has reported it.
    pub epoch_end: Option<Slot>,
}

impl SlotView {
    /// The newest slot seen at a commitment.
    pub fn seen(&self, commitment: Commitment) -> Option<Slot> {
        self.seen.get(commitment.index()).copied().flatten()
    }

    /// The slot a commitment has probably reached.
    pub fn expected(&self, commitment: Commitment) -> Option<Slot> {
        self.expected.get(commitment.index()).copied().flatten()
    }

    /// Whether a slot is rooted, as far as any upstream has said.
    pub fn is_final(&self, slot: Slot) -> bool {
        self.seen(Commitment::Finalized)
            .is_some_and(|finalized| slot <= finalized)
    }
}
