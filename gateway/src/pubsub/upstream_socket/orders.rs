//! The orders that a socket has yet to carry out.

use std::collections::VecDeque;

use super::messages::SocketOrder;

/// Orders that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct OrderQueue(VecDeque<SocketOrder>);

impl OrderQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an order. A subscription that is still queued and no longer wanted is dropped; a later
    /// order is a new one.
    pub(super) fn add(&mut self, order: SocketOrder) {
        if let SocketOrder::Unsubscribe(topic) = &order {
            let waits = |order: &SocketOrder| matches!(order, SocketOrder::Subscribe(other) if other.id == topic.id);
            if let Some(place) = self.0.iter().position(waits) {
                self.0.remove(place);
                return;
            }
        }
        self.0.push_back(order);
    }

    pub(super) fn next(&mut self) -> Option<SocketOrder> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pubsub::backlog::BacklogTotal;
    use crate::pubsub::params::SubscriptionSpec;
    use crate::pubsub::topic::Topic;

    /// What is done for orders that come at once, by `+` and `-` and the topic's number.
    fn done(orders: &[(char, u64)]) -> String {
        let mut queue = OrderQueue::default();
        for (order, id) in orders {
            let topic = Arc::new(Topic::new(
                *id,
                SubscriptionSpec::beacon(),
                &BacklogTotal::new(usize::MAX),
            ));
            queue.add(match order {
                '+' => SocketOrder::Subscribe(topic),
                _ => SocketOrder::Unsubscribe(topic),
            });
        }
        let mut done = Vec::new();
        while let Some(order) = queue.next() {
            done.push(match order {
                SocketOrder::Subscribe(topic) => format!("+{}", topic.id),
                SocketOrder::Unsubscribe(topic) => format!("-{}", topic.id),
            });
        }
        assert!(queue.is_empty());
        done.concat()
    }

    #[test]
    fn a_subscription_that_is_given_up_before_its_turn_is_not_made() {
        assert_eq!(done(&[('+', 1), ('+', 2), ('-', 1)]), "+2");
    }

    #[test]
    fn one_that_comes_back_before_it_was_ended_is_made_again() {
        assert_eq!(done(&[('-', 1), ('+', 1)]), "-1+1");
        assert_eq!(done(&[('-', 1), ('+', 1), ('-', 1)]), "-1");
        assert_eq!(
            done(&[('+', 1), ('-', 1), ('+', 1), ('-', 2)]),
            "+1-2",
            "the first was never made"
        );
    }
}
