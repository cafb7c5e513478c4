//! What a call requires of the upstream that it is sent to.

use perijove_core::Slot;

use crate::solana::{Capability, Class, Priority};
use crate::upstream::state::history::DeeperUpstreams;

/// What a call requires.
#[derive(Clone, Copy, Debug)]
pub struct CallRequirements<'a> {
    pub class: &'a Class,
    /// The method as the client named it.
    pub method_name: &'a str,
    /// The raw parameters, which identify the question.
    pub params: Option<&'a [u8]>,
    /// The caller's `minContextSlot`, or another slot that must have been reached.
    pub min_slot: Option<Slot>,
    /// What the client was shown already. An upstream that may have reached it by now will do: its
    /// answer is checked.
    pub floor: Option<Slot>,
    /// Only upstreams assumed to have this, and none rather than another.
    pub only: Option<Capability>,
    /// Only upstreams that may have history which another has not.
    pub history: Option<DeeperUpstreams<'a>>,
    /// A reserve of a provider's budget may be kept for the higher classes.
    pub priority: Priority,
    /// An unknown method: the first to be asked is an unmetered upstream, even if it has refused
    /// this method before.
    pub strange: bool,
}

impl<'a> CallRequirements<'a> {
    /// The requirements of the class alone.
    pub fn of(class: &'a Class, method_name: &'a str) -> Self {
        Self {
            class,
            method_name,
            params: None,
            min_slot: class.context.min_context_slot,
            floor: None,
            only: None,
            history: None,
            priority: class.profile().priority,
            strange: false,
        }
    }

    /// The slot the upstream should have reached.
    pub(super) fn slot(&self) -> Option<Slot> {
        self.min_slot.max(self.class.pinned_slot)
    }
}
