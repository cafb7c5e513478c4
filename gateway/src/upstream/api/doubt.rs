//! Doubts about an upstream that a single request raises. One that is refused for its key may have been
//! refused for itself: a firewall dislikes the words of one search, a token of the caller's has expired.
//! The canary, which is the same for everybody, is sent at once and decides.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// So many refusals in a row, no answer between them, hold off an upstream that no canary can be sent to.
const CERTAIN: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Doubt {
    raised: Notify,
    /// Requests refused for the key since one was answered.
    refusals: AtomicU32,
}

impl Doubt {
    /// There is one.
    pub(super) fn raise(&self) {
        self.raised.notify_one();
    }

    /// Waits until there is one.
    pub(super) async fn raised(&self) {
        self.raised.notified().await;
    }

    /// A request was answered.
    pub(super) fn served(&self) {
        self.refusals.store(0, Ordering::Relaxed);
    }

    /// Whether so many were refused that there is little doubt.
    pub(super) fn is_certain(&self) -> bool {
        self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= CERTAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_from_the_last_answer_on() {
        let doubt = Doubt::default();
        let refused = || doubt.is_certain();
        assert!(!refused() && !refused() && !refused());
        doubt.served();
        assert!(!refused() && !refused() && !refused() && refused());
    }
}
