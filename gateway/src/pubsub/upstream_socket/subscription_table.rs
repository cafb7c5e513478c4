//! The requests of one socket, and which of its subscriptions serve which topics. A node may give
//! equal subscriptions the same number: unsubscribing one must not end the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::early::EarlyNotifications;
use crate::pubsub::feed_message::{FeedNotification, request};
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::topic::Topic;

/// How long the answer to a subscription is expected that nobody wants any more.
const ABANDONED: Duration = Duration::from_mins(1);
/// What an answer will refer to.
#[derive(Debug)]
pub(super) enum PendingRequest {
    Beacon,
    Topic(Arc<Topic>),
    /// A subscription that is not wanted any more, unless somebody asks for it again.
    Given(SubscriptionSpec),
}

impl PendingRequest {
    pub(super) fn kind(&self) -> SubscriptionKind {
        match self {
            Self::Beacon => SubscriptionKind::Slot,
            Self::Topic(topic) => topic.kind(),
            Self::Given(spec) => spec.kind,
        }
    }

    /// Whether it asks for this subscription.
    fn is_for(&self, spec: &SubscriptionSpec) -> bool {
        match self {
            Self::Beacon => *spec == SubscriptionSpec::beacon(),
            Self::Topic(topic) => *spec == topic.spec,
            Self::Given(own) => spec == own,
        }
    }
}

/// A request that is not answered.
#[derive(Debug)]
struct AskedRequest {
    request: PendingRequest,
    asked_at: Instant,
    /// Since when the one that waits has waited.
    wanted_since: Instant,
}

impl AskedRequest {
    /// Whether a node may answer it with a subscription that it shares with one of these
    /// parameters. Those of which a node may think so are a little more than equal ones.
    fn may_share(&self, spec: &SubscriptionSpec) -> bool {
        let own = match &self.request {
            PendingRequest::Beacon => return spec.kind == SubscriptionKind::Slot,
            PendingRequest::Topic(topic) => &topic.spec,
            PendingRequest::Given(spec) => spec,
        };
        own.kind == spec.kind && own.subject == spec.subject
    }
}

#[derive(Debug, Default)]
pub(super) struct SubscriptionTable {
    last_id: u64,
    asked: BTreeMap<u64, AskedRequest>,
    beacon: Option<u64>,
    told: HashMap<u64, SmallVec<[Arc<Topic>; 1]>>,
    of_topic: HashMap<u64, u64>,
    early: EarlyNotifications,
    unwanted: Vec<(SubscriptionSpec, u64)>,
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

    pub(super) fn ask(&mut self, id: u64, request: PendingRequest, now: Instant) {
        let asked = AskedRequest {
            request,
            asked_at: now,
            wanted_since: now,
        };
        self.asked.insert(id, asked);
    }

    /// A topic wants what was asked for already and was not wanted any more: it waits for that
    /// answer. Returns whether there is such a request.
    pub(super) fn adopt(&mut self, topic: &Arc<Topic>, now: Instant) -> bool {
        let given = |asked: &&mut AskedRequest| match &asked.request {
            PendingRequest::Given(spec) => {
                *spec == topic.spec && now.saturating_duration_since(asked.asked_at) < ABANDONED
            }
            _ => false,
        };
        let Some(asked) = self.asked.values_mut().find(given) else {
            return false;
        };
        asked.request = PendingRequest::Topic(Arc::clone(topic));
        asked.wanted_since = now;
        true
    }

    pub(super) fn answered(&mut self, id: u64) -> Option<PendingRequest> {
        self.asked.remove(&id).map(|asked| asked.request)
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

    /// A topic leaves. If its subscription is not needed any more, it is [`Self::unwanted`].
    pub(super) fn leave(&mut self, topic: &Arc<Topic>) {
        for asked in self.asked.values_mut() {
            if matches!(&asked.request, PendingRequest::Topic(other) if other.id == topic.id) {
                asked.request = PendingRequest::Given(topic.spec.clone());
                return;
            }
        }
        if let Some(subscription) = self.forget(topic) {
            self.is_unwanted(topic.spec.clone(), subscription);
        }
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

    /// The kind of the subscription that a number stands for.
    pub(super) fn kind(&self, subscription: u64) -> Option<SubscriptionKind> {
        if self.is_beacon(subscription) {
            return Some(SubscriptionKind::Slot);
        }
        let topics = self.told.get(&subscription)?;
        topics.first().map(|topic| topic.kind())
    }

    /// The kind of a subscription that a number stands for already, if it is another one than this
    /// request was for. A node gives one number to equal subscriptions only.
    pub(super) fn taken_by_another(
        &self,
        subscription: u64,
        request: &PendingRequest,
    ) -> Option<SubscriptionKind> {
        let is_another = |spec: &&SubscriptionSpec| !request.is_for(spec);
        if self.is_beacon(subscription) && !request.is_for(&SubscriptionSpec::beacon()) {
            return Some(SubscriptionKind::Slot);
        }
        let topics = self.told.get(&subscription).into_iter().flatten();
        let ending = self.unwanted.iter().filter(|(_, id)| *id == subscription);
        let mut specs = topics
            .map(|topic| &topic.spec)
            .chain(ending.map(|(spec, _)| spec));
        specs.find(is_another).map(|spec| spec.kind)
    }

    /// Keeps a notification that arrived before its subscription was known.
    pub(super) fn keep_early(&mut self, notification: &FeedNotification) {
        if !self.asked.is_empty() {
            self.early.keep(notification);
        }
    }

    /// Kept notifications that are known now. One of another kind was of a subscription that had
    /// the number before.
    pub(super) fn early(&mut self) -> Vec<FeedNotification> {
        let mut early = std::mem::take(&mut self.early);
        let mut known = early.take(|one| self.kind(one.subscription).is_some());
        known.retain(|one| one.kind == self.kind(one.subscription));
        if !self.asked.is_empty() {
            self.early = early;
        }
        known
    }

    /// A subscription that nobody wants.
    pub(super) fn is_unwanted(&mut self, spec: SubscriptionSpec, subscription: u64) {
        self.unwanted.push((spec, subscription));
    }

    /// The subscriptions to be ended now. One waits as long as the node may answer another request
    /// with the same number, and stays if it has.
    pub(super) fn unwanted(&mut self) -> Vec<(SubscriptionKind, u64)> {
        let mut ended = Vec::new();
        for (spec, subscription) in std::mem::take(&mut self.unwanted) {
            if self.knows(subscription) || self.is_beacon(subscription) {
                continue;
            }
            if self.asked.values().any(|asked| asked.may_share(&spec)) {
                self.unwanted.push((spec, subscription));
            } else if !ended.contains(&(spec.kind, subscription)) {
                ended.push((spec.kind, subscription));
            }
        }
        ended
    }

    /// Topics whose subscription was not answered for this long. If it is answered later, it is ended;
    /// after [`ABANDONED`], it is not expected any more.
    pub(super) fn overdue(&mut self, now: Instant, patience: Duration) -> Vec<Arc<Topic>> {
        let mut overdue = Vec::new();
        self.asked.retain(|_, asked| {
            let waited = |since: Instant| now.saturating_duration_since(since);
            match &asked.request {
                PendingRequest::Topic(topic) if waited(asked.wanted_since) >= patience => {
                    overdue.push(Arc::clone(topic));
                    asked.request = PendingRequest::Given(topic.spec.clone());
                    true
                }
                PendingRequest::Given(_) => waited(asked.asked_at) < ABANDONED,
                _ => true,
            }
        });
        overdue
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

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
        table.leave(&one);
        assert_eq!(table.unwanted(), []);
        table.leave(&two);
        assert_eq!(table.unwanted(), [(SubscriptionKind::Slot, 7)]);
        assert!(!table.knows(7));
        assert_eq!(table.unwanted(), [], "once");
    }

    #[test]
    fn a_number_that_is_the_beacons_is_never_ended() {
        let mut table = SubscriptionTable::default();
        table.has_beacon(7);
        let one = topic(1);
        table.taken(&one, 7);
        table.leave(&one);
        assert_eq!(table.unwanted(), []);
    }

    #[test]
    fn what_was_asked_for_and_is_not_wanted_any_more_is_ended_when_it_comes() {
        let mut table = SubscriptionTable::default();
        let (one, now) = (topic(1), Instant::now());
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        table.leave(&one);
        answers(&mut table, 5, 9);
        assert_eq!(table.unwanted(), [(SubscriptionKind::Slot, 9)]);
    }

    /// What a socket does with the number of a subscription.
    fn answers(table: &mut SubscriptionTable, id: u64, subscription: u64) {
        match table.answered(id).unwrap() {
            PendingRequest::Topic(topic) => table.taken(&topic, subscription),
            PendingRequest::Given(spec) => table.is_unwanted(spec, subscription),
            PendingRequest::Beacon => table.has_beacon(subscription),
        }
    }

    #[test]
    fn who_comes_back_before_the_answer_waits_for_the_same() {
        let mut table = SubscriptionTable::default();
        let (one, two, now) = (topic(1), topic(2), Instant::now());
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        table.leave(&one);
        assert!(table.adopt(&two, now), "nothing is asked for again");
        assert!(!table.adopt(&topic(3), now), "it has its topic");
        answers(&mut table, 5, 9);
        assert_eq!(table.unwanted(), []);
        assert_eq!(table.topics(9)[0].id, 2);
    }

    #[test]
    fn a_number_that_another_request_may_be_answered_with_is_not_ended_under_it() {
        let (one, two, now) = (topic(1), topic(2), Instant::now());
        for was_answered in [false, true] {
            let mut table = SubscriptionTable::default();
            table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
            table.ask(6, PendingRequest::Topic(Arc::clone(&two)), now);
            if was_answered {
                answers(&mut table, 5, 9);
                table.leave(&one);
            } else {
                table.leave(&one);
                answers(&mut table, 5, 9);
            }
            assert_eq!(table.unwanted(), [], "the second may be the same");
            answers(&mut table, 6, 9);
            assert_eq!(table.unwanted(), [], "it is");
            table.leave(&two);
            assert_eq!(table.unwanted(), [(SubscriptionKind::Slot, 9)]);
        }
        // A node that gives each a number of its own.
        let mut table = SubscriptionTable::default();
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        table.ask(6, PendingRequest::Topic(Arc::clone(&two)), now);
        table.leave(&one);
        answers(&mut table, 5, 9);
        assert_eq!(table.unwanted(), []);
        answers(&mut table, 6, 10);
        assert_eq!(table.unwanted(), [(SubscriptionKind::Slot, 9)]);
    }

    #[test]
    fn a_request_that_is_not_answered_for_long_is_made_again() {
        let mut table = SubscriptionTable::default();
        let (mut now, patience) = (Instant::now(), Duration::from_secs(5));
        table.ask(5, PendingRequest::Topic(topic(1)), now);
        for id in 2..14 {
            now += patience;
            assert_eq!(table.overdue(now, patience).len(), 1);
            assert_eq!(table.adopt(&topic(id), now), id < 13, "{id}");
        }
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
        let notification = |kind| FeedNotification {
            subscription: 9,
            kind: Some(kind),
            result: Bytes::from_static(b"1"),
        };
        let slot = notification(SubscriptionKind::Slot);
        table.ask(5, PendingRequest::Topic(Arc::clone(&one)), now);
        // Of a subscription that has just ended.
        table.keep_early(&notification(SubscriptionKind::Signature));
        table.keep_early(&slot);
        assert!(table.early().is_empty());
        table.answered(5);
        table.taken(&one, 9);
        assert_eq!(table.early(), [slot]);
        assert!(table.early().is_empty());
    }

    #[test]
    fn a_number_in_use_is_shared_by_equal_subscriptions_only() {
        let account = |key: u8, config: &str| {
            let key = bs58::encode([key; 32]).into_string();
            let params = format!(r#"["{key}",{config}]"#);
            let spec = SubscriptionSpec::read(SubscriptionKind::Account, Some(params.as_bytes()));
            Arc::new(Topic::new(1, spec.unwrap(), &BacklogTotal::new(usize::MAX)))
        };
        let first = account(1, "{}");
        let same = account(1, r#"{"commitment":"finalized","encoding":"binary"}"#);
        let others = [
            account(2, "{}"),
            account(1, r#"{"commitment":"confirmed"}"#),
            account(1, r#"{"encoding":"base64"}"#),
            account(1, r#"{"dataSlice":{"offset":0,"length":1}}"#),
            topic(1),
        ];
        let mut told = SubscriptionTable::default();
        told.taken(&first, 7);
        let mut ending = SubscriptionTable::default();
        ending.taken(&first, 7);
        ending.leave(&first);
        for table in [told, ending] {
            let taken = |request| table.taken_by_another(7, &request);
            assert_eq!(taken(PendingRequest::Topic(Arc::clone(&same))), None);
            assert_eq!(taken(PendingRequest::Given(same.spec.clone())), None);
            for other in &others {
                for request in [
                    PendingRequest::Topic(Arc::clone(other)),
                    PendingRequest::Given(other.spec.clone()),
                ] {
                    assert_eq!(table.taken_by_another(8, &request), None);
                    assert_eq!(taken(request), Some(SubscriptionKind::Account));
                }
            }
            assert_eq!(
                taken(PendingRequest::Beacon),
                Some(SubscriptionKind::Account)
            );
        }
        let mut table = SubscriptionTable::default();
        table.has_beacon(7);
        let shares = PendingRequest::Topic(topic(1));
        assert_eq!(table.taken_by_another(7, &shares), None);
        let other = PendingRequest::Topic(first);
        let taken = table.taken_by_another(7, &other);
        assert_eq!(taken, Some(SubscriptionKind::Slot));
    }
}
