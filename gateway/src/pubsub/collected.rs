//! The memory of answers that are being collected: over a WebSocket an answer is one message, so
//! that it has to be complete before it is sent. They count in the total of what waits for clients.
//! Where that is half used up, a caller may hold no more than its equal share, so that one who asks
//! for much on many sockets leaves room for the answers of others and for notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::backlog::{BacklogCharge, BacklogTotal};
use super::caller_share::CallerShare;

/// Answers that are being collected, of all callers.
#[derive(Debug)]
pub(super) struct CollectedAnswers {
    total: Arc<BacklogTotal>,
    bytes: AtomicUsize,
    /// Callers for whom something is being collected.
    callers: AtomicUsize,
}

/// An answer that is being collected; dropped when it is handed over, or given up.
#[derive(Debug)]
pub(super) struct CollectedAnswer {
    all: Arc<CollectedAnswers>,
    share: Arc<CallerShare>,
    charge: BacklogCharge,
}

/// Its caller may hold no more at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShareUsedUp;

impl CollectedAnswers {
    pub(super) fn new(total: &Arc<BacklogTotal>) -> Arc<Self> {
        Arc::new(Self {
            total: Arc::clone(total),
            bytes: AtomicUsize::new(0),
            callers: AtomicUsize::new(0),
        })
    }

    /// An answer for a caller, of which nothing has arrived.
    pub(super) fn begin(self: &Arc<Self>, share: &Arc<CallerShare>) -> CollectedAnswer {
        CollectedAnswer {
            all: Arc::clone(self),
            share: Arc::clone(share),
            charge: self.total.charge(0),
        }
    }

    /// Whether a caller may hold this much.
    fn allows(&self, of_caller: usize) -> bool {
        let most = self.total.most();
        let fair = most / 2 / self.callers.load(Ordering::Acquire).max(1);
        self.bytes.load(Ordering::Acquire) <= most
            && (of_caller <= fair || self.total.bytes() <= most / 2)
    }
}

impl CollectedAnswer {
    /// It takes this many bytes of memory by now.
    ///
    /// # Errors
    /// There is no room for that. It keeps what it had.
    pub(super) fn reaches(&mut self, bytes: usize) -> Result<(), ShareUsedUp> {
        let more = bytes.saturating_sub(self.charge.bytes());
        if more == 0 {
            return Ok(());
        }
        // Counted first: whoever comes at the same time sees it.
        let of_caller = self.add(more);
        if self.all.allows(of_caller) {
            return Ok(());
        }
        self.sub(more);
        Err(ShareUsedUp)
    }

    /// Returns what its caller holds now.
    fn add(&mut self, bytes: usize) -> usize {
        self.charge.grow(bytes);
        self.all.bytes.fetch_add(bytes, Ordering::AcqRel);
        let before = self.share.collected.fetch_add(bytes, Ordering::AcqRel);
        if before == 0 {
            self.all.callers.fetch_add(1, Ordering::AcqRel);
        }
        before + bytes
    }

    fn sub(&mut self, bytes: usize) {
        self.charge.shrink(bytes);
        self.all.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if self.share.collected.fetch_sub(bytes, Ordering::AcqRel) == bytes {
            self.all.callers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for CollectedAnswer {
    fn drop(&mut self) {
        let bytes = self.charge.bytes();
        if bytes > 0 {
            self.sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 100_000;

    fn shares<const COUNT: usize>() -> [Arc<CallerShare>; COUNT] {
        std::array::from_fn(|_| Arc::default())
    }

    #[test]
    fn one_that_asks_for_much_on_many_sockets_leaves_others_their_share() {
        let all = CollectedAnswers::new(&BacklogTotal::new(MOST));
        let [greedy, modest] = shares();
        let mut taken: Vec<_> = (0..300).map(|_| all.begin(&greedy)).collect();
        let mut refused = 0;
        for bytes in (1000..30_000).step_by(1000) {
            for answer in &mut taken {
                refused += usize::from(answer.reaches(bytes).is_err());
            }
        }
        assert!(refused > 0);
        assert!(all.total.bytes() <= MOST / 2, "{}", all.total.bytes());
        let mut other = all.begin(&modest);
        assert_eq!(other.reaches(MOST / 4), Ok(()));
        assert_eq!(other.reaches(MOST / 4 + 1), Err(ShareUsedUp));
        drop(taken);
        assert_eq!(other.reaches(MOST / 2), Ok(()));
        drop(other);
        let (total, callers) = (all.total.bytes(), all.callers.load(Ordering::Acquire));
        assert_eq!((total, callers), (0, 0), "nothing is left behind");
    }

    #[test]
    fn where_messages_wait_for_clients_answers_find_less_room() {
        let total = BacklogTotal::new(MOST);
        let all = CollectedAnswers::new(&total);
        let [one, other] = shares();
        let mut kept = all.begin(&other);
        kept.reaches(1).unwrap();
        let waiting = total.charge(MOST);
        let mut answer = all.begin(&one);
        assert_eq!(answer.reaches(MOST / 4), Ok(()), "its share");
        assert_eq!(answer.reaches(MOST / 4 + 1), Err(ShareUsedUp));
        drop(waiting);
        assert_eq!(answer.reaches(MOST / 4 + 1), Ok(()));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_there_is_never_more_than_the_total(
            steps in vec((0..40_usize, 0..12_usize, 0..MOST, any::<bool>()), 1..400),
        ) {
            let all = CollectedAnswers::new(&BacklogTotal::new(MOST));
            let shares = shares::<12>();
            let mut answers: Vec<Option<CollectedAnswer>> = (0..40).map(|_| None).collect();
            for (place, share, bytes, ends) in steps {
                let answer = answers[place].get_or_insert_with(|| all.begin(&shares[share]));
                let before = answer.charge.bytes();
                let reached = answer.reaches(bytes);
                let held = if reached.is_ok() { before.max(bytes) } else { before };
                prop_assert_eq!(answer.charge.bytes(), held);
                if ends {
                    answers[place] = None;
                }
                let sum: usize = answers.iter().flatten().map(|one| one.charge.bytes()).sum();
                prop_assert_eq!(all.total.bytes(), sum);
                prop_assert_eq!(all.bytes.load(Ordering::Acquire), sum);
                prop_assert!(sum <= MOST);
                let holders = shares.iter().filter(|share| share.collected.load(Ordering::Acquire) > 0);
                prop_assert_eq!(all.callers.load(Ordering::Acquire), holders.count());
            }
        }
    }
}
