//! The memory of messages waiting for clients, of all clients together. Above the limit, the
//! clients with the most waiting bytes are disconnected.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// One client's share.
pub(super) trait ClientBacklog: Send + Sync + std::fmt::Debug {
    /// Bytes waiting for the client, including those being written.
    fn bytes(&self) -> usize;

    fn give_up(&self);
}

/// Bytes waiting for all clients.
#[derive(Debug)]
pub(super) struct BacklogTotal {
    bytes: AtomicUsize,
    most: AtomicUsize,
    outboxes: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    last: u64,
    all: HashMap<u64, Weak<dyn ClientBacklog>>,
}

/// Bytes that count for as long as this is alive.
#[derive(Debug)]
pub(super) struct BacklogCharge {
    total: Arc<BacklogTotal>,
    bytes: usize,
}

impl BacklogCharge {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.total.add(bytes);
    }

    pub(super) fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.total.sub(bytes);
    }
}

impl Drop for BacklogCharge {
    fn drop(&mut self) {
        self.total.sub(self.bytes);
    }
}

impl BacklogCharge {
    /// Counts more bytes, on their own.
    pub(super) fn another(&self, bytes: usize) -> Self {
        self.total.charge(bytes)
    }
}

impl BacklogTotal {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            outboxes: Mutex::default(),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The limit of waiting bytes.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Changes the limit of waiting bytes.
    pub(super) fn allow(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> BacklogCharge {
        self.add(bytes);
        BacklogCharge {
            total: Arc::clone(self),
            bytes,
        }
    }

    /// Registers a client; returns the number by which it is known until it leaves.
    pub(super) fn enter(&self, outbox: Weak<dyn ClientBacklog>) -> u64 {
        let mut outboxes = self.outboxes.lock();
        outboxes.last += 1;
        let number = outboxes.last;
        outboxes.all.insert(number, outbox);
        number
    }

    pub(super) fn leave(&self, number: u64) {
        self.outboxes.lock().all.remove(&number);
    }

    /// If too many bytes wait, disconnects the clients with the most, until a quarter of the limit
    /// will be free again: bytes that are being written are freed a little later. A client with no
    /// more than an equal share of the limit is never disconnected; others, or answers that are
    /// still being collected, have taken the rest. Must not be called with an outbox locked.
    pub(super) fn relieve(&self) {
        let most = self.most();
        if self.bytes() <= most {
            return;
        }
        let Some(outboxes) = self.outboxes.try_lock() else {
            // Another task does it, or a client joins or leaves: the next message checks again.
            return;
        };
        let known: Vec<_> = outboxes.all.values().filter_map(Weak::upgrade).collect();
        // The last owner of an outbox removes it from the list.
        drop(outboxes);
        let mut waiting: Vec<_> = known
            .into_iter()
            .map(|outbox| (outbox.bytes(), outbox))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        waiting.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let share = most / waiting.len().max(1);
        let mut excess = self.bytes().saturating_sub(most / 4 * 3);
        for (bytes, outbox) in &waiting {
            if excess == 0 || *bytes <= share {
                return;
            }
            outbox.give_up();
            excess = excess.saturating_sub(*bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pubsub::collected::CollectedAnswers;
    use crate::pubsub::notification_head::NotificationHead;
    use crate::pubsub::outbox::Outbox;

    #[test]
    fn where_too_much_waits_those_are_given_up_behind_whom_most_does() {
        let total = BacklogTotal::new(10_000);
        let outboxes: Vec<_> = (0..5).map(|_| Outbox::among(&total, 100_000)).collect();
        for (outbox, answers) in outboxes.iter().zip([1, 2, 3, 0, 1]) {
            for _ in 0..answers {
                outbox.answer(Bytes::from(vec![b'x'; 1000]), &[]);
            }
        }
        assert!(outboxes.iter().all(|outbox| !outbox.has_overflowed()));
        outboxes[3].answer(Bytes::from(vec![b'x'; 4000]), &[]);
        let given_up: Vec<_> = outboxes.iter().map(|one| one.has_overflowed()).collect();
        assert_eq!(given_up, [false, false, false, true, false]);
        assert!(total.bytes() <= 7_500, "{}", total.bytes());
        drop(outboxes);
        assert_eq!(total.bytes(), 0, "clients that have gone wait for nothing");
    }

    #[test]
    fn what_is_still_being_written_to_one_is_no_reason_to_give_up_others() {
        let total = BacklogTotal::new(10_000);
        let [slow, other, reader] = [0; 3].map(|_| Outbox::among(&total, 100_000));
        let written = slow.writes(9000);
        reader.answer(Bytes::from(vec![b'x'; 100]), &[]);
        other.answer(Bytes::from(vec![b'x'; 2000]), &[]);
        let given_up = [&slow, &other, &reader].map(|one| one.has_overflowed());
        assert_eq!(given_up, [true, false, false]);
        drop(written);
    }

    #[test]
    fn answers_that_are_still_being_collected_give_nobody_up() {
        let total = BacklogTotal::new(10_000);
        let [one, other] = [0; 2].map(|_| Outbox::among(&total, 100_000));
        let collected = CollectedAnswers::new(&total);
        let mut fetched = collected.begin(&Arc::default());
        fetched.reaches(5000).unwrap();
        // As much as may wait, and messages besides.
        let waiting = total.charge(5000);
        for outbox in [&one, &other] {
            outbox.answer(Bytes::from(vec![b'x'; 100]), &[]);
            assert!(!outbox.has_overflowed());
        }
        drop((fetched, waiting));
    }

    #[test]
    fn a_notification_that_all_wait_for_gives_nobody_up() {
        let total = BacklogTotal::new(10_000);
        let outboxes: Vec<_> = (0..50).map(|_| Outbox::among(&total, 100_000)).collect();
        let head = NotificationHead::new(Bytes::from(vec![b'x'; 5000]), &total);
        for outbox in &outboxes {
            assert!(outbox.notify(&head, 7));
        }
        drop(head);
        assert!(total.bytes() >= 5000 && total.bytes() < 10_000);
        for outbox in &outboxes {
            outbox.take().unwrap();
        }
        assert_eq!(total.bytes(), 0);
    }
}
