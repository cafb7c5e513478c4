//! One kept answer, and whether it is still valid.

use std::mem::size_of;
use std::sync::Arc;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use crate::jsonrpc::{Id, Template};
use crate::solana::SlotView;

/// How long an entry is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until it expires.
    Until(Expiry),
    /// Until it expires, and permanently once the slot it is about is final.
    Pinned {
        /// The slot it is about.
        about: Slot,
        /// When it expires unless the slot becomes final.
        until: Expiry,
    },
    /// Permanently.
    Permanent,
}

/// When an entry expires: whichever of the two comes first. By the clock alone an answer would live
/// on if its commitment turned out to be further than assumed when it was stored; by the commitment
/// alone, if nothing reports that commitment any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Valid before this slot of [`SlotView::now`].
    pub now: Slot,
    /// The commitment it was read at.
    pub commitment: Commitment,
    /// Valid before this slot is expected at that commitment.
    pub reach: Slot,
}

impl Expiry {
    /// The earlier of two expiries at the same commitment.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        Self {
            now: self.now.min(other.now),
            reach: self.reach.min(other.reach),
            ..self
        }
    }

    /// Expired this many slots ago; `None` if still valid.
    fn past(&self, view: &SlotView) -> Option<u64> {
        let over = |at: Slot, end: Slot| at.0.checked_sub(end.0).map(|past| past.saturating_add(1));
        let reached = view.expected(self.commitment);
        over(view.now, self.now).max(reached.and_then(|reached| over(reached, self.reach)))
    }
}

/// Freshness of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryFreshness {
    /// Valid now.
    Fresh,
    /// Valid, and permanently from now on: it belongs in the permanent scope.
    Permanent,
    /// Expired this many slots ago (at least 1).
    Stale(u64),
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Its bytes as the upstream sent them, without the id.
    pub answer: Template,
    /// The slot that it was made from.
    pub read_at: Slot,
    /// Whether `read_at` comes from the answer itself.
    pub dated: bool,
    /// How long it is valid.
    pub lifetime: Lifetime,
    /// The upstream that gave it.
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

    /// Its freshness now.
    pub fn freshness(&self, view: &SlotView) -> EntryFreshness {
        let until = match self.lifetime {
            Lifetime::Permanent => return EntryFreshness::Permanent,
            Lifetime::Pinned { about, .. } if view.is_final(about) => {
                return EntryFreshness::Permanent;
            }
            Lifetime::Until(until) | Lifetime::Pinned { until, .. } => until,
        };
        if view.now < self.read_at {
            // The clock went back: the slot it was read at may never have existed.
            return EntryFreshness::Stale(u64::MAX);
        }
        until
            .past(view)
            .map_or(EntryFreshness::Fresh, EntryFreshness::Stale)
    }

    /// The same entry, permanently valid.
    #[must_use]
    pub fn made_permanent(&self) -> Self {
        Self {
            lifetime: Lifetime::Permanent,
            ..self.clone()
        }
    }

    /// For how many more slots it is valid; `None` if permanently.
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
