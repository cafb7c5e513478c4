//! How great the cluster's counters can be by now. What one upstream says beyond that must not become a
//! floor: its client would get no other number for as long as floors last.

use parking_lot::Mutex;
use perijove_core::Slot;

use crate::solana::{HeadCounter, Heads};

/// Upstreams may be this far ahead of the tip.
const AHEAD: u64 = 16;
/// A blockhash is valid for this many blocks after its own.
const VALID_BLOCKS: u64 = 150;
/// A number that nothing explains counts once so many answers in a row have named such: then it is what
/// was known that was wrong.
const CONFIRMATIONS: u32 = 3;

/// The greatest credible number of each counter.
#[derive(Debug, Default)]
pub(super) struct CounterBounds(Mutex<[CounterBound; HeadCounter::ALL.len()]>);

#[derive(Clone, Copy, Debug, Default)]
struct CounterBound {
    /// The greatest number seen, and where the tip was.
    known: Option<(u64, Slot)>,
    /// Numbers beyond it in a row.
    beyond: u32,
}

impl CounterBounds {
    /// Whether the cluster can have reached these numbers, given that its newest slot is `tip`. Slots
    /// themselves are judged elsewhere.
    pub(super) fn allow(&self, heads: &Heads, tip: Slot) -> bool {
        let mut named = heads
            .named()
            .filter(|(head, _)| *head != HeadCounter::Slot)
            .peekable();
        if named.peek().is_none() {
            return true;
        }
        let mut bounds = self.0.lock();
        named.fold(true, |allowed, (head, number)| {
            let bound = bounds.get_mut(head as usize);
            allowed & bound.is_none_or(|bound| bound.allows(head, number, tip))
        })
    }

    /// Forgets what was seen: it may have been another cluster's.
    pub(super) fn forget(&self) {
        *self.0.lock() = Default::default();
    }
}

impl CounterBound {
    fn allows(&mut self, head: HeadCounter, number: u64, tip: Slot) -> bool {
        let head_of_chain = tip.0.saturating_add(AHEAD);
        // No chain has more blocks than slots.
        let possible = match head {
            HeadCounter::Slot | HeadCounter::BlockHeight => number <= head_of_chain,
            HeadCounter::LastValidBlockHeight => {
                number <= head_of_chain.saturating_add(VALID_BLOCKS)
            }
            HeadCounter::TransactionCount => true,
        };
        let explained = self.known.is_none_or(|(known, at)| {
            let slots = at.lag_behind(tip).saturating_add(AHEAD);
            number <= head.forth(known, slots)
        });
        if possible && explained {
            self.beyond = 0;
            if self.known.is_none_or(|(known, _)| number > known) {
                self.known = Some((number, tip));
            }
            return true;
        }
        self.beyond = self.beyond.saturating_add(1);
        let confirmed = possible && self.beyond >= CONFIRMATIONS;
        if confirmed {
            *self = Self {
                known: Some((number, tip)),
                beyond: 0,
            };
        }
        confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(head: HeadCounter, number: u64) -> Heads {
        let mut heads = Heads::default();
        heads.set(head, Some(number));
        heads
    }

    #[test]
    fn there_are_never_more_blocks_than_slots() {
        let bounds = CounterBounds::default();
        for (head, number, allowed) in [
            (HeadCounter::BlockHeight, 1016, true),
            (HeadCounter::BlockHeight, 1017, false),
            (HeadCounter::BlockHeight, u64::MAX - 1, false),
            (HeadCounter::LastValidBlockHeight, 1166, true),
            (HeadCounter::LastValidBlockHeight, 1167, false),
            (HeadCounter::LastValidBlockHeight, u64::MAX - 1, false),
        ] {
            for _ in 0..5 {
                let said = bounds.allow(&named(head, number), Slot(1000));
                assert_eq!(said, allowed, "{head:?} {number}");
            }
        }
        assert!(
            bounds.allow(&Heads::at(Slot(u64::MAX - 1)), Slot(5)),
            "slots"
        );
    }

    #[test]
    fn counters_advance_no_faster_than_slots() {
        let (height, count) = (HeadCounter::BlockHeight, HeadCounter::TransactionCount);
        for (head, each) in [(height, 1), (count, 100_000)] {
            let bounds = CounterBounds::default();
            let allow = |number, tip| bounds.allow(&named(head, number), Slot(tip));
            assert!(allow(900, 2000), "{head:?}");
            assert!(!allow(900 + each * 17, 2000), "{head:?}");
            assert!(allow(900 + each * 16, 2000), "{head:?}");
            assert!(allow(700, 2000), "{head:?}: a node behind");
            assert!(allow(900 + each * 30, 2020), "{head:?}");
        }
    }

    #[test]
    fn what_is_said_again_and_again_by_nobody_contradicted_counts() {
        let bounds = CounterBounds::default();
        let allow = |number| {
            let heads = named(HeadCounter::BlockHeight, number);
            bounds.allow(&heads, Slot(5000))
        };
        assert!(allow(100));
        for _ in 0..10 {
            assert!(!allow(4000));
            assert!(!allow(4000));
            assert!(allow(101), "another contradicts it");
        }
        assert!(!allow(4000));
        assert!(!allow(4000));
        assert!(allow(4000), "it was the first that was wrong");
        bounds.forget();
        assert!(allow(900));
    }
}
