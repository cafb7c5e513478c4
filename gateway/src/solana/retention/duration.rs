//! For how long answers stay true.

use perijove_core::Slot;

/// While the epoch is unknown, in slots.
pub(super) const EPOCH_SLOTS: u32 = 2;

/// How long an answer may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Not at all.
    Never,
    /// Read at the head of the chain: this many slots, including the one it was read at.
    Head {
        /// 1 means only within the slot it was read at.
        slots: u32,
    },
    /// About one slot: permanently once that slot is final, until then as [`Retention::Head`].
    Pinned {
        /// The slot it is about.
        about: Slot,
        /// How long it may be reused while the slot is not final yet.
        slots: u32,
    },
    /// About one slot, but from whatever fork the node was on (the method has no commitment):
    /// permanently only if the slot was final when the answer arrived, otherwise as
    /// [`Retention::Head`]. Never becomes permanent later: the block may have been forked away
    /// since.
    Rooted {
        /// The slot it is about.
        about: Slot,
        /// How long it may be reused if the slot was not final.
        slots: u32,
    },
    /// Until the epoch ends; as [`Retention::Head`] while the end is not known. The epoch is that of the
    /// finalized bank: it ends later than that of the newest slot, by the distance between them.
    Epoch {
        /// How long while the epoch is unknown.
        slots: u32,
    },
    /// As long as the cluster exists.
    Forever,
    /// An error that will be the same for a while: this many slots, and only if the slot it is
    /// about is final.
    Absent {
        /// The slot that was skipped.
        about: Slot,
        /// How long.
        slots: u32,
    },
}
