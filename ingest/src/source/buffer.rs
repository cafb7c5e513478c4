//! Limits what is buffered between a source and the sinks. At a limit the source stops fetching; it
//! resumes at half of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Buffer;

/// The limits, and how many bytes of all partitions are buffered.
#[derive(Debug)]
pub struct BufferBudget {
    bytes: AtomicUsize,
    most_bytes: usize,
    most_messages: usize,
}

/// How many messages of one partition are buffered.
#[derive(Debug)]
pub struct PartitionBudget {
    budget: Arc<BufferBudget>,
    messages: Arc<AtomicUsize>,
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FillLevel {
    /// No more than half of each limit.
    Low,
    Between,
    /// At a limit or over it.
    Full,
}

impl BufferBudget {
    pub fn new(buffer: &Buffer) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            most_bytes: buffer.bytes,
            most_messages: buffer.messages,
        })
    }

    /// Bytes of payloads and keys that are buffered.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The budget of one partition.
    pub fn of_partition(self: &Arc<Self>) -> PartitionBudget {
        PartitionBudget {
            budget: Arc::clone(self),
            messages: Arc::default(),
        }
    }
}

impl PartitionBudget {
    /// Reserves space for a batch, even beyond the limits: check [`PartitionBudget::level`] first.
    pub fn reserve(&self, messages: usize, bytes: usize) -> Reservation {
        self.budget.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.messages.fetch_add(messages, Ordering::Relaxed);
        Reservation {
            budget: Arc::clone(&self.budget),
            partition: Arc::clone(&self.messages),
            messages,
            bytes,
        }
    }

    pub fn level(&self) -> FillLevel {
        let bytes = level(self.budget.bytes(), self.budget.most_bytes);
        let messages = self.messages.load(Ordering::Relaxed);
        bytes.max(level(messages, self.budget.most_messages))
    }
}

fn level(taken: usize, most: usize) -> FillLevel {
    if taken >= most {
        FillLevel::Full
    } else if taken > most / 2 {
        FillLevel::Between
    } else {
        FillLevel::Low
    }
}

/// The space of one batch, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<BufferBudget>,
    partition: Arc<AtomicUsize>,
    messages: usize,
    bytes: usize,
}

impl Reservation {
    /// Bytes of the batch.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.partition.fetch_sub(self.messages, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<BufferBudget> {
        BufferBudget::new(&Buffer {
            bytes: 100,
            messages: 10,
            ..Buffer::default()
        })
    }

    #[test]
    fn bytes_are_limited_over_all_partitions() {
        let budget = budget();
        let (one, other) = (budget.of_partition(), budget.of_partition());
        let first = one.reserve(1, 50);
        assert_eq!(other.level(), FillLevel::Low);
        let second = other.reserve(1, 50);
        assert_eq!(
            (one.level(), other.level()),
            (FillLevel::Full, FillLevel::Full)
        );
        drop(first);
        let third = other.reserve(1, 1);
        assert_eq!((one.level(), budget.bytes()), (FillLevel::Between, 51));
        drop((second, third));
        assert_eq!((one.level(), budget.bytes()), (FillLevel::Low, 0));
    }

    #[test]
    fn messages_are_limited_for_each_partition() {
        let budget = budget();
        let (one, other) = (budget.of_partition(), budget.of_partition());
        let reservation = one.reserve(10, 10);
        assert_eq!(
            (one.level(), other.level()),
            (FillLevel::Full, FillLevel::Low)
        );
        drop(reservation);
        assert_eq!(one.level(), FillLevel::Low);
    }
}
