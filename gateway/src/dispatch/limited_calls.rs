//! Calls that were refused because every upstream that could serve them limits their rate, or has no
//! budget left.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many there were. Only the log asks for it: answers are counted by metrics.
#[derive(Debug, Default)]
pub struct LimitedCalls(AtomicU64);

impl LimitedCalls {
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were since the start.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
