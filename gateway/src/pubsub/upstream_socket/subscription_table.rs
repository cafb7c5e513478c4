//! The requests of one socket, and which of its subscriptions serve which topics. A node may give
//! equal subscriptions the same number: unsubscribing one must not end the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::pubsub::feed_message::request;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::topic::Topic;

/// Notifications kept because their subscription is not known yet.
const MOST_EARLY: usize = 256;
/// The same in bytes.
const MOST_EARLY_BYTES: usize = 16 * 1024 * 1024;
/// How long the answer to a subscription is expected that nobody wants any more.
const ABANDONED: Duration = Duration::from_mins(1);
/// What one counts besides its own bytes where room is shared out.
const EARLY_OVERHEAD: usize = MOST_EARLY_BYTES / MOST_EARLY;

/// What an answer will refer to.
#[derive(Debug)]
pub(super) enum PendingRequest {
    Beacon,
    Topic(Arc<Topic>),
    /// A subscription that is not wanted any more.
    Given(SubscriptionKind),
}

#[derive(Debug, Default)]
pub(super) struct SubscriptionTable {
    last_id: u64,
    asked: BTreeMap<u64, (PendingRequest, Instant)>,
    beacon: Option<u64>,
    told: HashMap<u64, SmallVec<[Arc<Topic>; 1]>>,
    of_topic: HashMap<u64, u64>,
    early: Vec<(u64, Bytes)>,
    unwanted: Vec<(SubscriptionKind, u64)>,
}

impl SubscriptionTable {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The request for the beacon.
    pub(super) fn beacon(&mut self) -> (u64, String) {
        let (id, beacon) = (self.next_id(), SubscriptionSpec::beacon());
        (id, request(id, beacon.kind.subscribe(), &beacon.params))
    }

    pub(super) fn ask(&mut self, id: u64, asked: PendingRequest, now: Instant) {
        self.asked.insert(id, (asked, now));
    }

    pub(super) fn answered(&mut self, id: u64) -> Option<PendingRequest> {
        self.asked.remove(&id).map(|(asked, _)| asked)
    }

    pub(super) fn has_beacon(&mut self, subscription: u64) {
        self.beacon = Some(subscription);
    }

    pub(super) fn is_beacon(&self, subscription: u64) -> bool {
        self.beacon == Some(subscription)
    }

    pub(super) fn taken(&mut self, topic: &Arc<Topic>, subscription: u64) {
        self.of_topic.insert(topic.id, subscription);
        let topics = self.told.entry(subscription).or_default();
        topics.push(Arc::clone(topic));
    }

    /// A topic leaves. Returns the subscription to be ended for it, if any.
    pub(super) fn leave(&mut self, topic: &Arc<Topic>) -> Option<u64> {
        for (asked, _) in self.asked.values_mut() {
            if matches!(asked, PendingRequest::Topic(other) if other.id == topic.id) {
                *asked = PendingRequest::Given(topic.kind());
                return None;
            }
        }
        self.forget(topic)
    }

    /// The same if the node has ended it by itself; returns what is no longer needed.
    pub(super) fn forget(&mut self, topic: &Arc<Topic>) -> Option<u64> {
        let subscription = self.of_topic.remove(&topic.id)?;
        let topics = self.told.get_mut(&subscription)?;
        topics.retain(|other| other.id != topic.id);
        if !topics.is_empty() {
            return None;
        }
        self.told.remove(&subscription);
        (!self.is_beacon(subscription)).then_some(subscription)
    }

    pub(super) fn knows(&self, subscription: u64) -> bool {
        self.told.contains_key(&subscription)
    }

    pub(super) fn topics(&self, subscription: u64) -> SmallVec<[Arc<Topic>; 1]> {
        self.told.get(&subscription).cloned().unwrap_or_default()
    }

    /// Keeps a notification that arrived before its subscription was known.
    pub(super) fn keep_early(&mut self, subscription: u64, result: &Bytes) {
        if self.asked.is_empty() {
            return;
        }
        self.early.push((subscription, result.clone()));
        while self.early.len() > MOST_EARLY || self.early_bytes() > MOST_EARLY_BYTES {
            self.drop_one_early();
        }
    }

    fn early_bytes(&self) -> usize {
        self.early.iter().map(|(_, result)| result.len()).sum()
    }

    /// Makes room at the expense of the subscription that takes the most of it: one that tells
    /// without end, perhaps to nobody, must not cost another its only notification.
    fn drop_one_early(&mut self) {
        let mut taken: HashMap<u64, usize> = HashMap::new();
        for (subscription, result) in &self.early {
            *taken.entry(*subscription).or_default() += result.len() + EARLY_OVERHEAD;
        }
        let Some((greediest, _)) = taken.into_iter().max_by_key(|(id, bytes)| (*bytes, *id)) else {
            return;
        };
        let last = self.early.iter().rposition(|(id, _)| *id == greediest);
        if let Some(last) = last {
            self.early.remove(last);
        }
    }

    /// Kept notifications that are known now.
    pub(super) fn early(&mut self) -> Vec<(u64, Bytes)> {
        let early = std::mem::take(&mut self.early);
        let (known, unknown) = early.into_iter().partition(|(subscription, _)| {
            self.knows(*subscription) || self.is_beacon(*subscription)
        });
        if !self.asked.is_empty() {
            self.early = unknown;
        }
        known
    }

    pub(super) fn is_unwanted(&mut self, kind: SubscriptionKind, subscription: u64) {
        if !self.knows(subscription) && !self.is_beacon(subscription) {
            self.unwanted.push((kind, subscription));
        }
    }

    pub(super) fn unwanted(&mut self) -> Vec<(SubscriptionKind, u64)> {
        std::mem::take(&mut self.unwanted)
    }

    /// Topics whose subscription was not answered for this long. If it is answered later, it is ended;
    /// after [`ABANDONED`], it is not expected any more.
    pub(super) fn overdue(&mut self, now: Instant, patience: Duration) -> Vec<Arc<Topic>> {
        let mut overdue = Vec::new();
        self.asked.retain(|_, (asked, at)| {
            let waited = now.saturating_duration_since(*at);
            match asked {
                PendingRequest::Topic(topic) if waited >= patience => {
                    overdue.push(Arc::clone(topic));
                    *asked = PendingRequest::Given(topic.kind());
                    true
                }
                PendingRequest::Given(_) => waited < ABANDONED,
                _ => true,
            }
        });
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::backlog::BacklogTotal;

    fn topic(id: u64) -> Arc<Topic> {
        Arc::new(Topic::new(
            id,
            SubscriptionSpec::beacon(),
            &BacklogTotal::new(usize::MAX),
        ))
    }

    #[test]
    fn a_number_that_two_share_is_ended_with_the_last_of_them() {
        let mut table = SubscriptionTable::default();
        let (one, two) = (topic(1), topic(2));
        table.taken(&one, 7);
        table.taken(&two, 7);
        assert_eq!(table.topics(7).len(), 2);
        assert_eq!(table.leave(&one), None);
        assert_eq!(table.leave(&two), Some(7));
        assert!(!table.knows(7));
    }

    #[test]
    fn a_number_that_is_the_beacons_is_never_ended() {
        let mut table = SubscriptionTable::default();
        table.has_beacon(7);
        let one = topic(1);
        table.taken(&one, 7);
        assert_eq!(table.leave(&one), None);
    }

    #[test]
    fn what_was_asked_for_and_is_not_wanted_any_more_is_ended_when_it_comes() {
        let mut table = SubscriptionTable::default();
        let (one, now) = (topic(1), Instant::now());
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        assert_eq!(table.leave(&one), None);
        let Some(PendingRequest::Given(kind)) = table.answered(5) else {
            panic!()
        };
        table.is_unwanted(kind, 9);
        assert_eq!(table.unwanted(), [(SubscriptionKind::Slot, 9)]);
    }

    #[test]
    fn an_upstream_that_answers_no_subscription_leaves_nothing_behind() {
        let mut table = SubscriptionTable::default();
        let (mut now, patience) = (Instant::now(), Duration::from_secs(5));
        for id in 0..100 {
            table.ask(id, PendingRequest::Topic(topic(id)), now);
            now += patience;
            assert_eq!(table.overdue(now, patience).len(), 1);
        }
        assert!(table.asked.len() <= 12, "{}", table.asked.len());
        table.overdue(now + ABANDONED, patience);
        assert!(table.asked.is_empty());
    }

    #[test]
    fn what_comes_before_its_subscription_is_known_is_kept() {
        let mut table = SubscriptionTable::default();
        let (one, now) = (topic(1), Instant::now());
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        table.keep_early(9, &Bytes::from_static(b"1"));
        assert!(table.early().is_empty());
        table.answered(5);
        table.taken(&one, 9);
        assert_eq!(table.early(), [(9, Bytes::from_static(b"1"))]);
    }

    #[test]
    fn one_that_tells_without_end_costs_no_other_what_came_early() {
        let mut table = SubscriptionTable::default();
        let (one, now) = (topic(1), Instant::now());
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        let flood = |table: &mut SubscriptionTable| {
            for _ in 0..MOST_EARLY {
                table.keep_early(8, &Bytes::from_static(b"1"));
            }
        };
        flood(&mut table);
        table.keep_early(9, &Bytes::from_static(b"the only one"));
        flood(&mut table);
        assert_eq!(table.early.len(), MOST_EARLY);
        table.answered(5);
        table.taken(&one, 9);
        assert_eq!(table.early(), [(9, Bytes::from_static(b"the only one"))]);
    }
}
