//! How urgent a call under way is to those that wait for its answer: they raise its class to theirs.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::solana::Priority;

/// The highest class of the callers that wait for one call besides the one that makes it.
#[derive(Debug, Default)]
pub struct Urgency {
    class: AtomicU8,
    raised: Notify,
}

impl Urgency {
    /// The lowest until somebody raises it.
    pub fn class(&self) -> Priority {
        let class = usize::from(self.class.load(Ordering::Acquire));
        let known = Priority::ALL.get(class).copied();
        known.unwrap_or(Priority::Background)
    }

    /// A caller of this class waits for the call from now on.
    pub fn raise(&self, class: Priority) {
        if self.class.fetch_max(class as u8, Ordering::AcqRel) < class as u8 {
            self.raised.notify_waiters();
        }
    }

    /// Waits until it is above this class.
    pub async fn above(&self, class: Priority) {
        loop {
            // Created before the check, so that what happens in between wakes it up.
            let raised = self.raised.notified();
            if self.class() > class {
                return;
            }
            raised.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_only_rises_and_wakes_whoever_waits_for_that() {
        let urgency = Urgency::default();
        assert_eq!(urgency.class(), Priority::Background);
        let raise = async {
            urgency.raise(Priority::Medium);
            tokio::task::yield_now().await;
            urgency.raise(Priority::Critical);
        };
        tokio::join!(urgency.above(Priority::High), raise);
        urgency.raise(Priority::Low);
        assert_eq!(urgency.class(), Priority::Critical);
        urgency.above(Priority::Medium).await;
    }
}
