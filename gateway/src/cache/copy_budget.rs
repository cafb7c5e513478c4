//! Copies of large answers made while they stream to the client, bounded by the bytes of all copies
//! in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// A copy of unknown length reserves space in steps of this many bytes.
const STEP: usize = 64 * 1024;

/// The space that all copies in progress share.
#[derive(Debug)]
pub struct CopyBudget {
    taken: AtomicUsize,
    most: AtomicUsize,
}

/// The copy of one answer. Dropping it releases its space.
#[derive(Debug)]
pub struct AnswerCopy {
    bytes: BytesMut,
    longest: usize,
    room: usize,
    copies: Arc<CopyBudget>,
}

impl CopyBudget {
    /// Together they may take `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
        })
    }

    /// Changes the limit to `most` bytes. Copies in progress continue.
    pub fn resize(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Begins a copy of an answer of `length` bytes, if known. `None` if it is longer than
    /// `longest`, or there is no space.
    pub fn begin(self: &Arc<Self>, length: Option<u64>, longest: usize) -> Option<AnswerCopy> {
        let room = match length {
            None => STEP,
            Some(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= longest)?,
        };
        self.take(room).then(|| AnswerCopy {
            bytes: BytesMut::with_capacity(room),
            longest,
            room,
            copies: Arc::clone(self),
        })
    }

    fn take(&self, more: usize) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let fits = |taken: usize| taken.checked_add(more).filter(|sum| *sum <= most);
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }
}

impl AnswerCopy {
    /// Appends the next piece. `false` if the answer is too long or there is no more space: the
    /// copy is then useless.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let length = self.bytes.len() + piece.len();
        if length > self.longest {
            return false;
        }
        if length > self.room {
            // A growing buffer is copied once more, so it needs the same again.
            let more = length.max(2 * self.room) - self.room;
            if !self.copies.take(more) {
                return false;
            }
            self.room += more;
            self.bytes.reserve(self.room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        true
    }
}

impl From<AnswerCopy> for Bytes {
    fn from(mut copy: AnswerCopy) -> Self {
        std::mem::take(&mut copy.bytes).freeze()
    }
}

impl Drop for AnswerCopy {
    fn drop(&mut self) {
        self.copies.taken.fetch_sub(self.room, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_what_was_pushed() {
        let copies = CopyBudget::new(1024 * 1024);
        for length in [None, Some(300_000)] {
            let mut copy = copies.begin(length, 300_000).unwrap();
            let piece = vec![7; 30_000];
            assert!((0..10).all(|_| copy.push(&piece)));
            assert!(!copy.push(b"1"), "it is as long as it may be");
            assert_eq!(Bytes::from(copy), piece.repeat(10));
        }
        assert_eq!(copies.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_too_long_is_not_begun() {
        let copies = CopyBudget::new(1024 * 1024);
        assert!(copies.begin(Some(1001), 1000).is_none());
        assert!(copies.begin(Some(u64::MAX), usize::MAX).is_none());
        assert!(copies.begin(Some(1000), 1000).is_some());
    }

    #[test]
    fn together_they_take_no_more_than_allowed_and_what_one_gives_back_another_takes() {
        let copies = CopyBudget::new(2 * STEP);
        let first = copies.begin(Some(STEP as u64), STEP).unwrap();
        let mut second = copies.begin(None, 10 * STEP).unwrap();
        assert!(copies.begin(None, STEP).is_none());
        assert!(second.push(&vec![0; STEP]));
        assert!(!second.push(b"1"), "there is no room");
        drop(first);
        assert!(second.push(b"1"));
        drop(second);
        assert_eq!(copies.taken.load(Ordering::Relaxed), 0);
    }
}
