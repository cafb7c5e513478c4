//! Notifications that arrive before the answer that says what their number stands for.

use std::collections::HashMap;

use crate::pubsub::feed_message::FeedNotification;

/// Notifications kept because their subscription is not known yet.
const MOST: usize = 256;
/// The same in bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// What one counts besides its own bytes where room is shared out.
const OVERHEAD: usize = MOST_BYTES / MOST;

/// Early notifications of one socket, in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct EarlyNotifications(Vec<FeedNotification>);

impl EarlyNotifications {
    pub(super) fn keep(&mut self, notification: &FeedNotification) {
        self.0.push(notification.clone());
        while self.0.len() > MOST || self.bytes() > MOST_BYTES {
            self.drop_one();
        }
    }

    /// Takes those that are known by now.
    pub(super) fn take(
        &mut self,
        is_known: impl Fn(&FeedNotification) -> bool,
    ) -> Vec<FeedNotification> {
        let (known, unknown) = std::mem::take(&mut self.0).into_iter().partition(is_known);
        self.0 = unknown;
        known
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|one| one.result.len()).sum()
    }

    /// Makes room at the expense of the subscription that takes the most of it: one that tells
    /// without end, perhaps to nobody, must not cost another its only notification.
    fn drop_one(&mut self) {
        let mut taken: HashMap<u64, usize> = HashMap::new();
        for one in &self.0 {
            *taken.entry(one.subscription).or_default() += one.result.len() + OVERHEAD;
        }
        let Some((greediest, _)) = taken.into_iter().max_by_key(|(id, bytes)| (*bytes, *id)) else {
            return;
        };
        let last = self.0.iter().rposition(|one| one.subscription == greediest);
        if let Some(last) = last {
            self.0.remove(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pubsub::subscription_kind::SubscriptionKind;

    fn notification(subscription: u64, result: &'static str) -> FeedNotification {
        FeedNotification {
            subscription,
            kind: Some(SubscriptionKind::Account),
            result: Bytes::from_static(result.as_bytes()),
        }
    }

    #[test]
    fn one_that_tells_without_end_costs_no_other_what_came_early() {
        let mut early = EarlyNotifications::default();
        let flood = |early: &mut EarlyNotifications| {
            for _ in 0..MOST {
                early.keep(&notification(8, "1"));
            }
        };
        let only = notification(9, "the only one");
        flood(&mut early);
        early.keep(&only);
        flood(&mut early);
        assert_eq!(early.0.len(), MOST);
        assert_eq!(early.take(|one| one.subscription == 9), [only]);
        assert_eq!(early.0.len(), MOST - 1);
    }
}
