//! What of a partition was handed out and what of that is settled. Batches may be settled in any
//! order; only what has nothing unsettled before it may be committed.

use std::collections::VecDeque;

/// One partition, from where its reading began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything before it is settled.
    settled: i64,
    /// Handed out and not yet settled, or settled behind something that is not, by offset.
    open: VecDeque<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    last: i64,
    settled: bool,
}

impl Progress {
    /// Of a partition that is read from this offset on.
    pub fn from(offset: i64) -> Self {
        Self {
            settled: offset,
            open: VecDeque::new(),
        }
    }

    /// Notes that records up to and with `last` were handed out. Redelivered ones change nothing.
    pub fn hand_out(&mut self, last: i64) {
        let newest = self.open.back().map_or(self.settled - 1, |span| span.last);
        if last > newest {
            self.open.push_back(Span {
                last,
                settled: false,
            });
        }
    }

    /// Notes that the records handed out together, of which the last is `last`, are settled. True if
    /// more may be committed than before.
    pub fn settle(&mut self, last: i64) -> bool {
        let found = self.open.binary_search_by_key(&last, |span| span.last);
        if let Some(span) = found.ok().and_then(|at| self.open.get_mut(at)) {
            span.settled = true;
        }
        let before = self.settled;
        while let Some(span) = self.open.pop_front_if(|span| span.settled) {
            self.settled = span.last + 1;
        }
        self.settled > before
    }

    /// What may be committed: the first record that is not settled.
    pub fn committable(&self) -> i64 {
        self.settled
    }

    /// Whether all that was handed out is settled.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_has_nothing_unsettled_before_it_may_be_committed() {
        let mut progress = Progress::from(10);
        for last in [14, 15, 20] {
            progress.hand_out(last);
        }
        assert!(!progress.settle(15));
        assert_eq!(progress.committable(), 10);
        assert!(progress.settle(14));
        assert_eq!(progress.committable(), 16);
        assert!(!progress.is_settled());
        assert!(progress.settle(20));
        assert_eq!(progress.committable(), 21);
        assert!(progress.is_settled());
    }

    #[test]
    fn what_was_not_handed_out_or_is_settled_already_moves_nothing() {
        let mut progress = Progress::from(10);
        progress.hand_out(14);
        assert!(!progress.settle(13));
        assert!(progress.settle(14));
        assert!(!progress.settle(14));
        progress.hand_out(12);
        assert!(progress.is_settled());
        assert_eq!(progress.committable(), 15);
    }

    proptest! {
        #[test]
        fn the_committable_offset_is_that_of_the_first_unsettled_record(
            lengths in proptest::collection::vec(1_i64..5, 1..20),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut progress = Progress::from(0);
            let mut next = 0;
            let lasts: Vec<i64> = lengths.iter().map(|length| { next += length; next - 1 }).collect();
            for last in &lasts {
                progress.hand_out(*last);
            }
            let mut settled = vec![false; lasts.len()];
            for pick in order {
                let pick = pick.index(lasts.len());
                let before = progress.committable();
                let moved = progress.settle(lasts[pick]);
                settled[pick] = true;
                let first = settled.iter().position(|settled| !settled);
                let expected = first.map_or(next, |at| lasts[at] - lengths[at] + 1);
                prop_assert_eq!(progress.committable(), expected);
                prop_assert_eq!(moved, expected > before);
            }
        }
    }
}
