//! Where the history of an upstream begins, by what it says of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use perijove_core::Slot;

#[cfg(test)]
mod tests;

/// Where an upstream reports that its history begins.
#[derive(Debug)]
pub(in crate::upstream) struct LedgerStart {
    /// `u64::MAX` while it is not known.
    oldest: AtomicU64,
    heard: Mutex<HistoryReport>,
}

#[derive(Debug, Default)]
struct HistoryReport {
    /// Where its own ledger begins.
    start: Option<Slot>,
    /// It has named a first block.
    first: bool,
    /// It has reported 0 although its ledger begins later.
    zero: bool,
}

impl Default for LedgerStart {
    fn default() -> Self {
        Self {
            oldest: AtomicU64::new(u64::MAX),
            heard: Mutex::default(),
        }
    }
}

impl LedgerStart {
    pub(in crate::upstream) fn oldest(&self) -> Option<Slot> {
        let oldest = self.oldest.load(Ordering::Relaxed);
        (oldest != u64::MAX).then_some(Slot(oldest))
    }

    /// `minimumLedgerSlot`. Counts if the node names no first block.
    pub(in crate::upstream) fn starts(&self, slot: Slot) {
        let mut heard = self.heard.lock();
        heard.start = Some(slot);
        if !heard.first {
            self.oldest.store(slot.0, Ordering::Relaxed);
        }
    }

    /// `getFirstAvailableBlock`. A node that has just been started reports 0 until it has rooted
    /// two slots; one with long-term storage reports it permanently.
    pub(in crate::upstream) fn begins(&self, slot: Slot) {
        let mut heard = self.heard.lock();
        let doubtful = slot == Slot(0) && heard.start.is_some_and(|start| start > Slot(1));
        if doubtful && !std::mem::replace(&mut heard.zero, true) {
            return;
        }
        heard.zero = doubtful;
        heard.first = true;
        self.oldest.store(slot.0, Ordering::Relaxed);
    }

    /// It no longer has what is before this slot.
    pub(in crate::upstream) fn has_pruned(&self, first: Slot) {
        if self.oldest().is_none_or(|oldest| oldest < first) {
            self.oldest.store(first.0, Ordering::Relaxed);
        }
    }
}
