//! When an answer was read, and when a number of slots will have passed since.
//!
//! Lifetimes count from the slot an answer was read at. If the answer does not contain it, the slot
//! that its upstream was known to have reached before is used: never too late, so nothing is kept
//! too long.

use perijove_core::{Commitment, Slot};

use crate::cache::Expiry;
use crate::solana::SlotView;

/// An upstream may be this many slots ahead of the known tip.
const AHEAD: u64 = 32;

/// Whether an answer claims a slot further ahead than the cluster can be. If kept, it would count
/// as newer than every true answer for a long time.
pub(super) fn is_implausible(read_at: Option<Slot>, view: &SlotView) -> bool {
    read_at.is_some_and(|slot| slot.0 > view.now.0.saturating_add(AHEAD))
}

/// The moment at which an answer was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadTime<'v> {
    /// The slot it was read at, or an earlier one.
    pub(super) slot: Slot,
    commitment: Commitment,
    /// Slots that had passed at this commitment when the answer arrived.
    lag: u64,
    view: &'v SlotView,
}

impl<'v> ReadTime<'v> {
    /// `None` if too little is known about the cluster or the upstream.
    pub(super) fn new(
        read_at: Option<Slot>,
        commitment: Commitment,
        view: &'v SlotView,
        reached: Option<Slot>,
    ) -> Option<Self> {
        let expected = view.expected(commitment)?;
        let slot = match read_at {
            Some(slot) => slot,
            None => reached?.min(expected),
        };
        Some(Self {
            slot,
            commitment,
            lag: slot.lag_behind(expected),
            view,
        })
    }

    /// The expiry after this many slots, or `None` if they have passed already.
    pub(super) fn after(&self, slots: u32) -> Option<Expiry> {
        let slots = u64::from(slots);
        let left = slots.checked_sub(self.lag).filter(|left| *left > 0)?;
        Some(Expiry {
            now: Slot(self.view.now.0.saturating_add(left)),
            commitment: self.commitment,
            reach: Slot(self.slot.0.saturating_add(slots)),
        })
    }

    /// The end of the current epoch, if the answer certainly belongs to it.
    pub(super) fn epoch(&self) -> Option<Expiry> {
        let (first, last) = (self.view.epoch_start?, self.view.epoch_end?);
        let within = first..=last;
        let next = Slot(last.0.saturating_add(1));
        (within.contains(&self.slot) && within.contains(&self.view.now)).then_some(Expiry {
            now: next,
            commitment: self.commitment,
            reach: next,
        })
    }
}
