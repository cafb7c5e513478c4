//! How much may be under way between a source and the sinks. Over a limit the source stops
//! fetching; it goes on at half of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Buffer;

/// The limits, and how much is under way in bytes of all partitions together.
#[derive(Debug)]
pub struct Room {
    bytes: AtomicUsize,
    most_bytes: usize,
    most_messages: usize,
}

/// How many messages of one partition are under way.
#[derive(Debug)]
pub struct Bay {
    room: Arc<Room>,
    messages: Arc<AtomicUsize>,
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// No more than half of each limit.
    Low,
    Between,
    /// At a limit or over it.
    Full,
}

impl Room {
    pub fn new(buffer: &Buffer) -> Arc<Self> {
        Arc::new(Self {
            bytes: AtomicUsize::new(0),
            most_bytes: buffer.bytes,
            most_messages: buffer.messages,
        })
    }

    /// Bytes of payloads and keys that are under way.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The part of one partition.
    pub fn bay(self: &Arc<Self>) -> Bay {
        Bay {
            room: Arc::clone(self),
            messages: Arc::default(),
        }
    }
}

impl Bay {
    /// Takes room for a batch. There may be none left: whoever asks has looked at [`Bay::fill`].
    pub fn load(&self, messages: usize, bytes: usize) -> Load {
        self.room.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.messages.fetch_add(messages, Ordering::Relaxed);
        Load {
            room: Arc::clone(&self.room),
            of_partition: Arc::clone(&self.messages),
            messages,
            bytes,
        }
    }

    pub fn fill(&self) -> Fill {
        let bytes = fill(self.room.bytes(), self.room.most_bytes);
        let messages = self.messages.load(Ordering::Relaxed);
        bytes.max(fill(messages, self.room.most_messages))
    }
}

fn fill(taken: usize, most: usize) -> Fill {
    if taken >= most {
        Fill::Full
    } else if taken > most / 2 {
        Fill::Between
    } else {
        Fill::Low
    }
}

/// What a batch takes of the room, given back when dropped.
#[derive(Debug)]
pub struct Load {
    room: Arc<Room>,
    of_partition: Arc<AtomicUsize>,
    messages: usize,
    bytes: usize,
}

impl Load {
    /// Bytes of the batch.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of_partition
            .fetch_sub(self.messages, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Arc<Room> {
        Room::new(&Buffer {
            bytes: 100,
            messages: 10,
            ..Buffer::default()
        })
    }

    #[test]
    fn bytes_are_limited_over_all_partitions() {
        let room = room();
        let (one, other) = (room.bay(), room.bay());
        let first = one.load(1, 50);
        assert_eq!(other.fill(), Fill::Low);
        let second = other.load(1, 50);
        assert_eq!((one.fill(), other.fill()), (Fill::Full, Fill::Full));
        drop(first);
        let third = other.load(1, 1);
        assert_eq!((one.fill(), room.bytes()), (Fill::Between, 51));
        drop((second, third));
        assert_eq!((one.fill(), room.bytes()), (Fill::Low, 0));
    }

    #[test]
    fn messages_are_limited_for_each_partition() {
        let room = room();
        let (one, other) = (room.bay(), room.bay());
        let load = one.load(10, 10);
        assert_eq!((one.fill(), other.fill()), (Fill::Full, Fill::Low));
        drop(load);
        assert_eq!(one.fill(), Fill::Low);
    }
}
