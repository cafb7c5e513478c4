//! The state of a topic, which its lock guards: who is subscribed, what was delivered, and what is
//! held back until something else has been recovered.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use perijove_core::{Commitment, Slot};
use tokio::sync::oneshot;

use super::gap::Gap;
use super::held::{HeldNotification, HeldNotifications};
use super::outcomes::{NotificationOutcome, SubscribeResult};
use super::replays::Replays;
use super::subscriber::Subscriber;
use crate::pubsub::backlog::BacklogTotal;
use crate::pubsub::delivered::{DeliveredHistory, NotificationVerdict, ValueMark, is_ahead};
use crate::pubsub::feed_message::head;
use crate::pubsub::notification_head::NotificationHead;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::shown_slot::ShownSlot;
use crate::pubsub::subscription_kind::SubscriptionKind;

#[derive(Debug)]
pub(super) struct TopicState {
    kind: SubscriptionKind,
    commitment: Commitment,
    /// Counts the bytes waiting for clients.
    total: Arc<BacklogTotal>,
    pub(super) phase: TopicPhase,
    pub(super) subscribers: IndexMap<u64, Subscriber>,
    pub(super) replays: Replays,
    /// Clients that are not told with the others what was read, and which read it was.
    pub(super) aside: HashSet<(u64, u64)>,
    pub(super) seen: DeliveredHistory,
    /// The socket whose notifications count.
    pub(super) source: Option<u64>,
    /// The upstream of that socket.
    pub(super) teller: Option<Arc<str>>,
    /// Notifications that arrived while missed ones were being recovered.
    pub(super) held: Option<HeldNotifications>,
    gap: Option<Gap>,
    /// How often it has moved to another socket.
    pub(super) moves: u64,
    /// The last client that was subscribed when it moved.
    last_moved: u64,
    /// The number of moves when the last notification came that was judged by `seen`.
    pub(super) moves_seen: u64,
}

#[derive(Debug)]
pub(super) enum TopicPhase {
    /// No upstream has accepted it yet.
    New(Vec<oneshot::Sender<SubscribeResult>>),
    Live,
    /// It has ended.
    Ended,
}

impl TopicState {
    pub(super) fn new(spec: &SubscriptionSpec, total: Arc<BacklogTotal>) -> Self {
        let kind = spec.kind;
        Self {
            kind,
            commitment: spec.commitment,
            total,
            phase: TopicPhase::New(Vec::new()),
            subscribers: IndexMap::new(),
            replays: Replays::default(),
            aside: HashSet::new(),
            seen: DeliveredHistory::of(kind),
            source: None,
            teller: None,
            held: None,
            gap: None,
            moves: 0,
            last_moved: 0,
            moves_seen: 0,
        }
    }

    /// A notification of a socket, while the cluster has reached this slot.
    pub(super) fn hear_after(
        &mut self,
        notification: &HeldNotification,
        reach: Option<Slot>,
    ) -> NotificationOutcome {
        if self.moves_seen != notification.moves {
            self.moves_seen = notification.moves;
            self.seen.moves();
        }
        let result = &notification.result;
        let verdict = self.seen.hear_within(result, reach);
        // What is ahead of the cluster may be wrong, and nobody could be answered until it gets there.
        let shows = self.shows(result);
        let shows = shows.filter(|shown| !is_ahead(shown.slot, reach));
        self.told_showing(verdict, result, None, shows)
    }

    /// What a notification shows of the chain.
    fn shows(&self, result: &Bytes) -> Option<ShownSlot> {
        ShownSlot::of(self.kind, self.commitment, result)
    }

    /// The clients whose outbox a message of this many bytes would fill so far that notifications
    /// might find no room, but for those that are set aside for this read.
    pub(super) fn crowded(&self, read: u64, bytes: usize) -> Vec<u64> {
        let subscribers = self.subscribers.iter();
        subscribers
            .filter(|(_, one)| one.outbox.is_crowded_by(bytes))
            .map(|(id, _)| *id)
            .filter(|id| !self.aside.contains(&(*id, read)))
            .collect()
    }

    /// The same for one client.
    pub(super) fn is_crowded(&self, client: u64, bytes: usize) -> bool {
        let subscriber = self.subscribers.get(&client);
        subscriber.is_some_and(|one| one.outbox.is_crowded_by(bytes))
    }

    /// Whether the cache has subscribed, and no client.
    pub(super) fn is_spare(&self) -> bool {
        let mut all = self.subscribers.values();
        !self.subscribers.is_empty() && all.all(|one| one.is_cache)
    }

    /// Ends it if it is spare. Returns how many subscribers it had, if it has ended.
    pub(super) fn gives_way(&mut self) -> Option<usize> {
        self.is_spare().then(|| self.end())
    }

    /// Ends it; returns how many subscribers it had.
    fn end(&mut self) -> usize {
        self.phase = TopicPhase::Ended;
        let left = self.subscribers.len();
        self.subscribers.clear();
        self.replays.clear();
        self.aside.clear();
        left
    }

    /// Another socket serves it. Returns the newest slot that was delivered (0: none was).
    pub(super) fn moves_on(&mut self) -> Slot {
        let after = self.newest();
        self.moves += 1;
        self.last_moved = self.last();
        if !self.kind.can_be_repaired() {
            self.has_gap(after);
        }
        after
    }

    /// What those who were subscribed when it moved have missed after this slot cannot be recovered.
    pub(super) fn has_gap(&mut self, after: Slot) {
        self.gap = Some(Gap::new(after, self.last_moved).and(self.gap));
    }

    /// Nor can what has just been missed.
    pub(super) fn has_gap_now(&mut self) {
        self.gap = Some(Gap::new(self.newest(), self.last()).and(self.gap));
    }

    fn newest(&self) -> Slot {
        self.seen.newest().unwrap_or(Slot(0))
    }

    /// The client that has joined last.
    fn last(&self) -> u64 {
        self.subscribers.keys().max().copied().unwrap_or(0)
    }

    pub(super) fn hear(&mut self, result: &Bytes) -> NotificationOutcome {
        let verdict = self.seen.hear(result);
        self.told(verdict, result, None)
    }

    /// `read`: it was not notified, but comes of this read.
    pub(super) fn told(
        &mut self,
        verdict: NotificationVerdict,
        result: &Bytes,
        read: Option<u64>,
    ) -> NotificationOutcome {
        let shows = self.shows(result);
        self.told_showing(verdict, result, read, shows)
    }

    fn told_showing(
        &mut self,
        verdict: NotificationVerdict,
        result: &Bytes,
        read: Option<u64>,
        shows: Option<ShownSlot>,
    ) -> NotificationOutcome {
        if verdict != NotificationVerdict::Tell {
            return NotificationOutcome::nothing(verdict);
        }
        let gap = self.gap.take();
        let with = |missed| {
            let head = head(self.kind, result, missed);
            NotificationHead::showing(head, shows, &self.total)
        };
        let (whole, broken) = (with(None), gap.map(|gap| (gap, with(Some(gap.after)))));
        let mut told = 0;
        let replayed = (!self.replays.is_empty())
            .then(|| ValueMark::of(self.kind, result))
            .flatten();
        for (id, subscriber) in &self.subscribers {
            if read.is_some_and(|read| self.aside.contains(&(*id, read))) {
                // Later.
                told += 1;
                continue;
            }
            if let Some(value) = replayed
                && !self.replays.needs(*id, value, read.is_some())
            {
                continue;
            }
            let broken = broken.as_ref().filter(|(gap, _)| gap.concerns(*id));
            let head = broken.map_or(&whole, |(_, head)| head);
            told += usize::from(subscriber.outbox.notify(head, *id));
        }
        let ended = self.seen.has_ended();
        let left = if ended { self.end() } else { 0 };
        NotificationOutcome {
            verdict,
            told,
            ended,
            left,
        }
    }

    /// Delivers what is held if the missing ones before it have arrived.
    pub(super) fn untangle(&mut self) -> NotificationOutcome {
        let mut heard = NotificationOutcome::nothing(NotificationVerdict::Tell);
        let held = self.held.as_ref();
        let results = held.and_then(|held| held.after(self.moves_seen));
        if let Some(results) = results.and_then(|results| self.seen.in_order(&results)) {
            self.held = None;
            for result in &results {
                heard.told += self.hear(result).told;
            }
        }
        heard
    }

    /// Tells one client a current value, unless it was notified of it meanwhile.
    pub(super) fn replay_one(&mut self, id: u64, slot: Slot, result: &Bytes) {
        let value = ValueMark::of(self.kind, result);
        let is_new = value.is_none_or(|(_, value)| self.replays.is_read(id, slot, value));
        if is_new && let Some(subscriber) = self.subscribers.get(&id) {
            let head = head(self.kind, result, None);
            let head = NotificationHead::showing(head, self.shows(result), &self.total);
            subscriber.outbox.notify(&head, id);
        }
    }
}

/// Tells clients whether an upstream has accepted their subscription.
pub(super) fn answer(waiting: Vec<oneshot::Sender<SubscribeResult>>, result: &SubscribeResult) {
    for taken in waiting {
        // A client may have left meanwhile.
        drop(taken.send(result.clone()));
    }
}
