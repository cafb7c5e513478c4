//! Size of batches, and limits of what is buffered.

use std::time::Duration;

use perijove_core::settings::{Section, Size};
use schemars::JsonSchema;

/// When a batch is written: as soon as it is full or old.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Batch {
    /// Rows that make it full. A message is never split, so it may have some more.
    pub rows: usize,
    /// How long its first message may wait.
    pub wait: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            rows: 1000,
            wait: Duration::from_millis(100),
        }
    }
}

impl Batch {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let wait = Duration::from_millis(1)..=Duration::from_mins(1);
        Self {
            rows: section.within("rows", default.rows, 1..=100_000),
            wait: section.within("wait", default.wait, wait),
        }
    }
}

/// Limits of what is buffered in memory. Beyond them partitions are paused; they resume at half of
/// them.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Buffer {
    /// Buffered bytes of messages, of all partitions together.
    pub bytes: usize,
    /// Buffered messages of each partition.
    pub messages: usize,
    /// A larger message, in bytes, becomes a dead letter.
    pub max_message: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: 64 * 1024 * 1024,
            messages: 4096,
            max_message: 4 * 1024 * 1024,
        }
    }
}

impl Buffer {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let bytes = Size::mib(1)..=Size::mib(64 * 1024);
        let message = Size::kib(64)..=Size::mib(64);
        let buffer = Self {
            bytes: section.within("bytes", Size(default.bytes), bytes).0,
            messages: section.within("messages", default.messages, 2..=1_000_000),
            max_message: section
                .within("max_message", Size(default.max_message), message)
                .0,
        };
        if buffer.max_message > buffer.bytes {
            section.violation("max_message", "must not be above bytes");
        }
        buffer
    }
}
