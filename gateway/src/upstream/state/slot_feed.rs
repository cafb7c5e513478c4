//! Where an upstream's slots are learned from without probing it: live answers, and subscriptions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::Commitment;
use tokio::time::Instant;

/// How long a subscription is relied on after it reported a slot: a few slots.
const RELIED_ON: Duration = Duration::from_secs(1);

/// What came of one upstream's slots.
#[derive(Debug, Default)]
pub(in crate::upstream) struct SlotFeed {
    /// Counts new slots that live answers brought, at each commitment.
    heard: [AtomicU64; 3],
    /// When a subscription last reported a new slot.
    subscribed_at: Mutex<Option<Instant>>,
}

impl SlotFeed {
    /// Records that a live answer brought a new slot.
    pub(in crate::upstream) fn heard(&self, commitment: Commitment) {
        if let Some(count) = self.heard.get(commitment.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many new slots live answers have brought.
    pub(in crate::upstream) fn count(&self, commitment: Commitment) -> u64 {
        self.heard
            .get(commitment.index())
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Records that a subscription reported a new slot.
    pub(in crate::upstream) fn subscription_told(&self, now: Instant) {
        *self.subscribed_at.lock() = Some(now);
    }

    /// Whether subscriptions report its slots, so that it need not be probed for them.
    pub(in crate::upstream) fn is_subscribed(&self, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < RELIED_ON;
        self.subscribed_at.lock().is_some_and(lately)
    }
}
