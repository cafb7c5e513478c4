//! Answers that wait to be written, bounded in number and bytes. First in, first out; when the
//! queue is full the oldest are dropped, since they expire first.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::cache::{CacheEntry, CacheKey};

/// An answer to be written.
#[derive(Debug)]
pub(super) struct PendingWrite {
    pub(super) key: CacheKey,
    pub(super) entry: Arc<CacheEntry>,
    /// When writing it is no longer worthwhile.
    pub(super) ends: Instant,
    /// Dropped with the write, when it is done or given up: whoever waits for it goes on.
    pub(super) done: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
pub(super) struct WriteQueue {
    most: usize,
    most_bytes: u64,
    waiting: Mutex<QueuedWrites>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct QueuedWrites {
    writes: VecDeque<PendingWrite>,
    bytes: u64,
}

impl WriteQueue {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most,
            most_bytes: u64::try_from(most_bytes).unwrap_or(u64::MAX),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Adds a write and returns how many were dropped for it. A single write that is too large is
    /// dropped itself.
    pub(super) fn push(&self, write: PendingWrite) -> usize {
        let bytes = write.entry.weight();
        if bytes > self.most_bytes {
            return 1;
        }
        let mut given_up = 0;
        let mut waiting = self.waiting.lock();
        while waiting.writes.len() >= self.most || waiting.bytes + bytes > self.most_bytes {
            if waiting.pop().is_none() {
                break;
            }
            given_up += 1;
        }
        waiting.bytes += bytes;
        waiting.writes.push_back(write);
        drop(waiting);
        self.arrived.notify_one();
        given_up
    }

    /// Waits for writes and takes them: at least one, at most `most`, and after the first none that
    /// would bring the sum above `most_bytes`. For a single consumer.
    pub(super) async fn take(&self, most: usize, most_bytes: u64) -> Vec<PendingWrite> {
        loop {
            let taken = self.waiting.lock().take(most, most_bytes);
            if !taken.is_empty() {
                return taken;
            }
            self.arrived.notified().await;
        }
    }

    /// Drops queued writes under these keys.
    pub(super) fn forget(&self, keys: &HashSet<CacheKey>) {
        let mut waiting = self.waiting.lock();
        let writes = std::mem::take(&mut waiting.writes);
        let kept = writes
            .into_iter()
            .filter(|write| !keys.contains(&write.key));
        waiting.writes = kept.collect();
        waiting.bytes = waiting
            .writes
            .iter()
            .map(|write| write.entry.weight())
            .sum();
    }

    /// Number and bytes of queued writes.
    pub(super) fn waiting(&self) -> (usize, u64) {
        let waiting = self.waiting.lock();
        (waiting.writes.len(), waiting.bytes)
    }
}

impl QueuedWrites {
    fn pop(&mut self) -> Option<PendingWrite> {
        let write = self.writes.pop_front()?;
        self.bytes -= write.entry.weight();
        Some(write)
    }

    fn take(&mut self, most: usize, most_bytes: u64) -> Vec<PendingWrite> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < most
            && let Some(next) = self.writes.front()
        {
            bytes += next.entry.weight();
            if bytes > most_bytes && !taken.is_empty() {
                break;
            }
            taken.extend(self.pop());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;
    use crate::cache::remote::testing::{key, long};

    /// A write of about so many bytes.
    fn write(number: u64, bytes: usize) -> PendingWrite {
        PendingWrite {
            key: key(number),
            entry: Arc::new(long(bytes)),
            ends: Instant::now() + Duration::from_secs(1),
            done: None,
        }
    }

    /// What such a write weighs.
    fn weight(bytes: usize) -> usize {
        usize::try_from(write(0, bytes).entry.weight()).unwrap()
    }

    fn keys(writes: &[PendingWrite]) -> Vec<CacheKey> {
        writes.iter().map(|write| write.key).collect()
    }

    async fn all(queue: &WriteQueue) -> Vec<CacheKey> {
        keys(&queue.take(usize::MAX, u64::MAX).await)
    }

    #[tokio::test]
    async fn what_came_first_goes_first() {
        let queue = WriteQueue::new(10, 1 << 20);
        for number in 1..=3 {
            assert_eq!(queue.push(write(number, 10)), 0);
        }
        assert_eq!(all(&queue).await, [key(1), key(2), key(3)]);
        assert_eq!(queue.waiting(), (0, 0));
    }

    #[tokio::test]
    async fn the_oldest_makes_room_by_number() {
        let queue = WriteQueue::new(2, 1 << 20);
        let given_up: usize = (1..=5).map(|number| queue.push(write(number, 10))).sum();
        assert_eq!(given_up, 3);
        assert_eq!(all(&queue).await, [key(4), key(5)]);
    }

    #[tokio::test]
    async fn the_oldest_make_room_by_bytes() {
        let queue = WriteQueue::new(100, 3 * weight(100));
        assert_eq!(queue.push(write(1, 100)), 0);
        assert_eq!(queue.push(write(2, 100)), 0);
        assert_eq!(queue.push(write(3, 100)), 0);
        // More than one of them, less than two.
        assert_eq!(queue.push(write(4, 300)), 2);
        assert_eq!(all(&queue).await, [key(3), key(4)]);
    }

    #[tokio::test]
    async fn one_that_fits_at_no_time_drives_nobody_out() {
        let queue = WriteQueue::new(100, weight(100));
        assert_eq!(queue.push(write(1, 100)), 0);
        assert_eq!(queue.push(write(2, 101)), 1);
        assert_eq!(all(&queue).await, [key(1)]);
    }

    #[tokio::test]
    async fn they_are_taken_in_portions() {
        let queue = WriteQueue::new(100, 1 << 20);
        for number in 1..=5 {
            queue.push(write(number, 100));
        }
        let two = u64::try_from(2 * weight(100)).unwrap();
        assert_eq!(keys(&queue.take(10, two).await), [key(1), key(2)]);
        assert_eq!(keys(&queue.take(1, two).await), [key(3)]);
        // One larger than a portion is a portion.
        assert_eq!(keys(&queue.take(10, 1).await), [key(4)]);
        let rest = queue.waiting();
        assert_eq!(rest, (1, two / 2));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_not_written() {
        let queue = WriteQueue::new(100, 1 << 20);
        for number in 1..=3 {
            queue.push(write(number, 100));
        }
        queue.forget(&HashSet::from([key(1), key(3)]));
        let left = u64::try_from(weight(100)).unwrap();
        assert_eq!(queue.waiting(), (1, left));
        assert_eq!(all(&queue).await, [key(2)]);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_write_goes_on_when_it_isdone_or_given_up() {
        let queue = WriteQueue::new(1, 1 << 20);
        let waited_for = |number| {
            let (done, written) = oneshot::channel();
            let write = PendingWrite {
                done: Some(done),
                ..write(number, 1)
            };
            (write, written)
        };
        let (first, mut given_up) = waited_for(1);
        queue.push(first);
        assert!((&mut given_up).now_or_never().is_none());
        let (second, mut written) = waited_for(2);
        queue.push(second);
        assert!(given_up.now_or_never().is_some());
        let taken = queue.take(1, u64::MAX).await;
        assert!((&mut written).now_or_never().is_none());
        drop(taken);
        assert!(written.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_takes_waits_until_there_is_something() {
        let queue = WriteQueue::new(100, 1 << 20);
        assert!(queue.take(1, 1).now_or_never().is_none());
        queue.push(write(1, 1));
        // A taker that was dropped took nothing with it.
        assert_eq!(all(&queue).await, [key(1)]);
        let mut waiting = std::pin::pin!(queue.take(1, 1));
        assert!(waiting.as_mut().now_or_never().is_none());
        queue.push(write(2, 1));
        assert_eq!(keys(&waiting.await), [key(2)]);
    }
}
