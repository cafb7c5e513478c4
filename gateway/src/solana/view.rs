//! Where the cluster stands, as one value that passes between layers: the upstreams say it, the
//! cache counts in it. Not here: how it is found out.

use perijove_core::{Commitment, Slot};

/// The cluster's slots at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotView {
    /// The slot the cluster is probably at now: the newest that was seen, moved on by the time that
    /// has passed since. Lifetimes are counted in it.
    pub now: Slot,
    /// The newest slot seen at each commitment, in the order of [`Commitment::ALL`]. Facts, not
    /// estimates: nothing is called final before an upstream has said so.
    pub seen: [Option<Slot>; 3],
    /// The slot each commitment has probably reached by now.
    pub expected: [Option<Slot>; 3],
    /// The first slot of the present epoch, once an upstream has told of it. What was read before
    /// it may be of the epoch before: a finalized answer is, for some 32 slots.
    pub epoch_start: Option<Slot>,
    /// The last slot of the present epoch, once an upstream has told of it.
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

    /// Whether a slot is rooted, as far as anybody has said.
    pub fn is_final(&self, slot: Slot) -> bool {
        self.seen(Commitment::Finalized)
            .is_some_and(|finalized| slot <= finalized)
    }
}
