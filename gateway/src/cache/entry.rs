//! One kept answer, and whether it is still true.

use std::mem::size_of;
use std::sync::Arc;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use crate::jsonrpc::{Id, Template};
use crate::solana::SlotView;

/// How long an entry is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Up to an end.
    Until(Expiry),
    /// Up to an end, and for good once the slot it is about is final.
    Pinned {
        /// The slot it is about.
        about: Slot,
        /// The end of its life until then.
        until: Expiry,
    },
    /// For good.
    Permanent,
}

/// The end of a life: whichever of the two comes first. The clock alone would let an answer live
/// on when its commitment turns out to be further than was thought as it was stored; the commitment
/// alone, when nobody tells of it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// True before this slot of [`SlotView::now`].
    pub now: Slot,
    /// The level it was read at.
    pub commitment: Commitment,
    /// True before this slot is expected at that level.
    pub reach: Slot,
}

impl Expiry {
    /// The earlier of two ends at one commitment.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        Self {
            now: self.now.min(other.now),
            reach: self.reach.min(other.reach),
            ..self
        }
    }

    /// For how many slots it has been over, or `None` if it has not.
    fn past(&self, view: &SlotView) -> Option<u64> {
        let over = |at: Slot, end: Slot| at.0.checked_sub(end.0).map(|past| past.saturating_add(1));
        let reached = view.expected(self.commitment);
        over(view.now, self.now).max(reached.and_then(|reached| over(reached, self.reach)))
    }
}

/// What a look at an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFreshness {
    /// True now.
    Fresh,
    /// True, and from now on for good: it belongs on the settled shelf.
    Permanent,
    /// Was true until this many slots ago (at least 1).
    Stale(u64),
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its bytes as the upstream sent them, without the id.
    pub answer: Template,
    /// The slot it was read at, as far as it is known: from its context, else the slot its upstream
    /// had reached at least. The newer of two answers wins by it.
    pub read_at: Slot,
    /// Whether `read_at` is what the answer itself says.
    pub dated: bool,
    /// How long it is true.
    pub lifetime: Lifetime,
    /// Who gave it.
    pub upstream: Arc<str>,
}

impl CacheEntry {
    /// The answer for a caller with this id, with room for the newline that ends a response.
    pub fn spliced(&self, id: &Id) -> Bytes {
        self.answer.filled(id)
    }

    /// The raw JSON of the result; `None` for an error.
    pub fn result(&self) -> Option<&[u8]> {
        self.answer.result()
    }

    /// How true it is at this moment.
    pub fn freshness(&self, view: &SlotView) -> EntryFreshness {
        let until = match self.lifetime {
            Lifetime::Permanent => return EntryFreshness::Permanent,
            Lifetime::Pinned { about, .. } if view.is_final(about) => {
                return EntryFreshness::Permanent;
            }
            Lifetime::Until(until) | Lifetime::Pinned { until, .. } => until,
        };
        if view.now < self.read_at {
            // The clock went back: the slot it was read at may never have been.
            return EntryFreshness::Stale(u64::MAX);
        }
        until
            .past(view)
            .map_or(EntryFreshness::Fresh, EntryFreshness::Stale)
    }

    /// The same, true for good.
    #[must_use]
    pub fn made_permanent(&self) -> Self {
        Self {
            lifetime: Lifetime::Permanent,
            ..self.clone()
        }
    }

    /// For how many slots it is still true; `None` for good.
    pub fn remaining(&self, view: &SlotView) -> Option<u64> {
        match self.lifetime {
            Lifetime::Permanent => None,
            Lifetime::Until(end) | Lifetime::Pinned { until: end, .. } => {
                Some(view.now.lag_behind(end.now))
            }
        }
    }

    /// Bytes it takes in memory, its share of the index included.
    pub fn weight(&self) -> u64 {
        // The counts of its `Arc`; key, value and links in the index; what is remembered of keys
        // that were evicted.
        const INDEX: usize = 16 + 64 + 64;
        let body = self.answer.body().len();
        // The allocator rounds up to an eighth, by half of that on average.
        let bytes = size_of::<Self>() + INDEX + body + body / 16;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
