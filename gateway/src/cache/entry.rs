//! One kept answer, and whether it is still true.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use perijove_core::Slot;

use crate::jsonrpc::Id;
use crate::solana::SlotView;

/// How long an entry is true. Slots are those of [`SlotView::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Before this slot.
    Until(Slot),
    /// Before `until`, and for good once the slot it is about is final.
    Pinned {
        /// The slot it is about.
        about: Slot,
        /// The end of its life until then.
        until: Slot,
    },
    /// For good.
    Settled,
}

/// What a look at an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// True now.
    Fresh,
    /// True, and from now on for good: it belongs on the settled shelf.
    Settled,
    /// Was true until this many slots ago (at least 1).
    Stale(u64),
}

/// A kept answer: its bytes as the upstream sent them, without the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Everything before the id.
    pub head: Bytes,
    /// Everything after it.
    pub tail: Bytes,
    /// Where the raw JSON of the result stands: in `head` if the flag is true, else in `tail`.
    /// `None` for an error.
    pub result: Option<(bool, Range<usize>)>,
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

impl Entry {
    /// The answer for a caller with this id, with room for the newline that ends a response.
    pub fn spliced(&self, id: &Id) -> Bytes {
        let length = self.head.len() + id.as_bytes().len() + self.tail.len();
        let mut answer = BytesMut::with_capacity(length + 1);
        answer.put_slice(&self.head);
        answer.put_slice(id.as_bytes());
        answer.put_slice(&self.tail);
        answer.freeze()
    }

    /// The raw JSON of the result.
    pub fn result(&self) -> Option<&[u8]> {
        let (in_head, range) = self.result.clone()?;
        if in_head { &self.head } else { &self.tail }.get(range)
    }

    /// How true it is at this moment.
    pub fn freshness(&self, view: &SlotView) -> Freshness {
        let until = match self.lifetime {
            Lifetime::Settled => return Freshness::Settled,
            Lifetime::Pinned { about, .. } if view.is_final(about) => return Freshness::Settled,
            Lifetime::Until(until) | Lifetime::Pinned { until, .. } => until,
        };
        match view.now.0.checked_sub(until.0) {
            None => Freshness::Fresh,
            Some(past) => Freshness::Stale(past + 1),
        }
    }

    /// Bytes it takes in memory, its share of the index included.
    pub fn weight(&self) -> u64 {
        const INDEX: usize = 160;
        u64::try_from(self.head.len() + self.tail.len() + INDEX).unwrap_or(u64::MAX)
    }
}
