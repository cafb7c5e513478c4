//! Something that was missed and cannot be recovered.

use perijove_core::Slot;

/// What was missed, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// It came after this slot.
    pub(super) after: Slot,
    /// The last client that missed it: who has joined later, with a greater id, has missed nothing.
    last: u64,
}

impl Gap {
    pub(super) fn new(after: Slot, last: u64) -> Self {
        Self { after, last }
    }

    /// Both, for all who have missed one.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self {
            after: self.after.min(other.after),
            last: self.last.max(other.last),
        }
    }

    pub(super) fn concerns(self, client: u64) -> bool {
        client <= self.last
    }
}
