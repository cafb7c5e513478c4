//! For how long an answer stays true: the finality rules of each method, applied to one answer.
//! Counting the slots is the cache's business.

use perijove_core::Slot;

use super::Class;
use crate::jsonrpc::Answer;

/// For how long an answer may be given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Not at all.
    Never,
    /// Read at the head of the chain: this many slots, the one it was read at included.
    Head {
        /// 1 means only within the slot it was read at.
        slots: u32,
    },
    /// About one slot: for good once that slot is final, until then as [`Keep::Head`].
    Pinned {
        /// The slot it is about.
        about: Slot,
        /// How long it may be given while the slot is not final yet.
        slots: u32,
    },
    /// About one slot, but from whatever fork the node was on (the method takes no commitment): for
    /// good only if the slot was final already when the answer came, otherwise as [`Keep::Head`].
    /// Never settles later: the block may have been forked away since.
    Rooted {
        /// The slot it is about.
        about: Slot,
        /// How long it may be given when the slot was not final.
        slots: u32,
    },
    /// Until the epoch ends; as [`Keep::Head`] while the end is not known.
    Epoch {
        /// How long without knowledge of the epoch.
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

/// What is said of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// For how long.
    pub keep: Keep,
    /// The slot it was read at, where the answer itself says so, at the commitment of the call.
    pub read_at: Option<Slot>,
}

/// Judges one answer to a call of this class.
pub fn keep(_class: &Class, _params: Option<&[u8]>, _answer: &Answer) -> Dated {
    Dated {
        keep: Keep::Never,
        read_at: None,
    }
}
