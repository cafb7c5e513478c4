//! Doubts about an upstream that a single request raises. One that is refused for its key may have been
//! refused for itself: a firewall dislikes the words of one search, a token of the caller's has expired.
//! The canary, which is the same for everybody, is sent at once and decides.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ApiUpstream;
use crate::jupiter::{Api, ApiFault, Product};

/// So many refusals in a row, no answer between them, hold off an upstream that no canary can be sent to.
const CERTAIN: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Doubt {
    raised: Notify,
    /// Requests refused for the key since one was answered.
    refusals: AtomicU32,
}

impl Doubt {
    /// Waits until there is one.
    pub(super) async fn raised(&self) {
        self.raised.notified().await;
    }

    /// A request was answered.
    pub(super) fn served(&self) {
        self.refusals.store(0, Ordering::Relaxed);
    }

    /// Whether so many were refused that there is little doubt.
    fn is_certain(&self) -> bool {
        self.refusals.fetch_add(1, Ordering::Relaxed) + 1 >= CERTAIN
    }
}

impl ApiUpstream {
    /// Has the next canary sent early.
    pub fn look_soon(&self) {
        self.state.doubt.raised.notify_one();
    }

    /// A request of this part of the API was refused as if the gateway's key or address were.
    pub fn doubt(&self, product: Product, fault: ApiFault, now: Instant) {
        let doubt = &self.state.doubt;
        if self.has(Api::SwapV1) {
            self.look_soon();
        } else if doubt.is_certain() {
            self.refused(product, fault, now);
        }
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
