//! What becomes of a notification.

/// What to do with a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum NotificationVerdict {
    Tell,
    /// Delivered already.
    Repeated,
    /// A newer one was delivered.
    Outdated,
    /// Read afresh: whether it has changed cannot be said.
    Unknown,
    /// Invalid.
    Garbled,
    /// Others before it may have been missed: after one slot, and until another, except skipped
    /// ones.
    Missing {
        after: u64,
        until: u64,
    },
}
