//! Signatures that no socket serves: they are looked up from time to time, so that whoever waits for
//! a transaction hears of it even while no upstream accepts a subscription.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::sockets::Feeds;
use crate::pubsub::repair::statuses;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::topic::Topic;

/// How long a signature has no socket before it is looked up: most moves are over sooner.
const AFTER: Duration = Duration::from_secs(1);
/// Between two calls, however many signatures wait.
const PAUSE: Duration = Duration::from_secs(2);
/// The same after a call that was refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

impl Feeds {
    /// Looks up what waits, a call's worth at a time.
    pub(super) fn look_up_unserved(&mut self, now: Instant) {
        let unserved = &mut self.unserved;
        if let Some(call) = &mut unserved.call {
            let Some(ended) = call.now_or_never() else {
                return;
            };
            unserved.call = None;
            let pause = if ended.unwrap_or(false) {
                PAUSE
            } else {
                REFUSED_PAUSE
            };
            unserved.again_at = Some(now + pause);
        }
        if unserved.again_at.is_some_and(|at| now < at) {
            return;
        }
        let after = (Bound::Excluded(unserved.last), Bound::Unbounded);
        let before = (Bound::Unbounded, Bound::Included(unserved.last));
        let in_turn = self.topics.range(after).chain(self.topics.range(before));
        let waiting: Vec<Arc<Topic>> = in_turn
            .filter(|(_, placed)| {
                placed.topic.kind() == SubscriptionKind::Signature
                    && placed.is_unserved_for(AFTER, now)
            })
            .map(|(_, placed)| Arc::clone(&placed.topic))
            .take(statuses::MOST)
            .collect();
        if let Some(last) = waiting.last() {
            unserved.last = last.id;
            let looked_up = statuses::look_up(Arc::clone(&self.hub), waiting);
            unserved.call = Some(tokio::spawn(looked_up));
        }
    }
}
