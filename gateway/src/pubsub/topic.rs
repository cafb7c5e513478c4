//! One subscription as it is made upstream, shared by all clients with equal subscriptions: its
//! subscribers, what was delivered, and the upstream that counts.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::sync::oneshot;

use super::backlog::BacklogTotal;
use super::delivered::{DeliveredHistory, NotificationVerdict};
use super::feed_message::head;
use super::notification_head::NotificationHead;
use super::outbox::Outbox;
use super::params::SubscriptionSpec;
use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

#[cfg(test)]
mod tests;

/// Maximum number of notifications held while missed ones before them are recovered.
const MOST_HELD: usize = 4096;

/// Whether an upstream has accepted a subscription.
pub(super) type SubscribeResult = Result<(), RpcError>;

/// A shared subscription.
#[derive(Debug)]
pub(super) struct Topic {
    /// Never reused.
    pub(super) id: u64,
    pub(super) spec: SubscriptionSpec,
    /// Counts the bytes waiting for clients.
    total: Arc<BacklogTotal>,
    state: Mutex<TopicState>,
}

#[derive(Debug)]
struct TopicState {
    phase: TopicPhase,
    subscribers: IndexMap<u64, Arc<Outbox>>,
    seen: DeliveredHistory,
    /// The socket whose notifications count.
    source: Option<u64>,
    /// The upstream of that socket.
    teller: Option<Arc<str>>,
    /// Notifications that arrived while missed ones were being recovered.
    held: Option<Vec<Bytes>>,
    /// Something after this slot was missed and cannot be recovered.
    gap: Option<Slot>,
    /// The index in `held` from which on another upstream notified.
    moved_at: Option<usize>,
}

#[derive(Debug)]
enum TopicPhase {
    /// No upstream has accepted it yet.
    New(Vec<oneshot::Sender<SubscribeResult>>),
    Live,
    /// It has ended.
    Ended,
}

/// Whether a client has joined.
pub(super) enum JoinOutcome {
    Live,
    /// Resolves when an upstream has accepted it.
    Soon(oneshot::Receiver<SubscribeResult>),
    /// It has ended: a new one is needed.
    Ended,
}

/// What may have been missed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MissedRange {
    pub(super) after: u64,
    pub(super) until: u64,
    /// The notification before which the missed ones belong.
    pub(super) next: Bytes,
}

/// Result of a notification.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotificationOutcome {
    pub(super) verdict: NotificationVerdict,
    /// Number of clients notified.
    pub(super) told: usize,
    pub(super) ended: bool,
    /// Number of clients subscribed until it ended.
    pub(super) left: usize,
}

impl Topic {
    pub(super) fn new(id: u64, spec: SubscriptionSpec, total: &Arc<BacklogTotal>) -> Self {
        let state = TopicState {
            phase: TopicPhase::New(Vec::new()),
            subscribers: IndexMap::new(),
            seen: DeliveredHistory::of(spec.kind),
            source: None,
            teller: None,
            held: None,
            gap: None,
            moved_at: None,
        };
        Self {
            id,
            spec,
            total: Arc::clone(total),
            state: Mutex::new(state),
        }
    }

    pub(super) fn kind(&self) -> SubscriptionKind {
        self.spec.kind
    }

    /// A client subscribes under this id.
    pub(super) fn join(&self, id: u64, outbox: &Arc<Outbox>) -> JoinOutcome {
        let mut state = self.state.lock();
        let joined = match &mut state.phase {
            TopicPhase::Ended => return JoinOutcome::Ended,
            TopicPhase::Live => JoinOutcome::Live,
            TopicPhase::New(waiting) => {
                let (taken, soon) = oneshot::channel();
                waiting.push(taken);
                JoinOutcome::Soon(soon)
            }
        };
        state.subscribers.insert(id, Arc::clone(outbox));
        joined
    }

    /// A client unsubscribes; returns whether it was subscribed.
    pub(super) fn leave(&self, id: u64) -> bool {
        self.state.lock().subscribers.swap_remove(&id).is_some()
    }

    /// Whether it has no subscribers.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().subscribers.is_empty()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subscribers.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.lock().phase, TopicPhase::Ended)
    }

    /// Whether an upstream has ever accepted it.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state.lock().phase, TopicPhase::Live)
    }

    /// The newest slot that was delivered.
    pub(super) fn newest(&self) -> Option<Slot> {
        self.state.lock().seen.newest()
    }

    /// An upstream has accepted it, on this socket; returns whether it had another before.
    pub(super) fn taken(&self, source: u64) -> bool {
        let mut state = self.state.lock();
        state.source = Some(source);
        match std::mem::replace(&mut state.phase, TopicPhase::Live) {
            TopicPhase::New(waiting) => {
                drop(state);
                for taken in waiting {
                    // A client may have left meanwhile.
                    drop(taken.send(Ok(())));
                }
                false
            }
            TopicPhase::Live => {
                state.seen.moves();
                state.moved_at = state.held.as_ref().map(Vec::len);
                if !self.spec.kind.can_be_repaired() {
                    state.gap = state.gap.or(Some(state.seen.newest().unwrap_or(Slot(0))));
                }
                true
            }
            TopicPhase::Ended => {
                state.phase = TopicPhase::Ended;
                false
            }
        }
    }

    /// The upstream that serves it.
    pub(super) fn teller(&self) -> Option<Arc<str>> {
        self.state.lock().teller.clone()
    }

    pub(super) fn is_told_by(&self, upstream: &Arc<str>) {
        self.state.lock().teller = Some(Arc::clone(upstream));
    }

    /// No upstream accepts it.
    pub(super) fn refuse(&self, error: &RpcError) {
        let mut state = self.state.lock();
        if let TopicPhase::New(waiting) = std::mem::replace(&mut state.phase, TopicPhase::Ended) {
            drop(state);
            for taken in waiting {
                drop(taken.send(Err(error.clone())));
            }
        }
    }

    /// A notification of a socket.
    pub(super) fn hear(&self, source: u64, result: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        if state.source != Some(source) || matches!(state.phase, TopicPhase::Ended) {
            return NotificationOutcome::nothing(NotificationVerdict::Repeated);
        }
        if let Some(held) = &mut state.held
            && held.len() < MOST_HELD
        {
            held.push(result.clone());
            return state.untangle(self);
        }
        let heard = state.hear(self, result);
        if matches!(heard.verdict, NotificationVerdict::Missing { .. }) {
            state.held = Some(vec![result.clone()]);
            state.moved_at = None;
        }
        heard
    }

    /// What was missed before `next` is known, or `None`: it cannot be. Held notifications follow.
    /// Returns how many clients were notified, and what was missed before the rest if it has moved
    /// meanwhile.
    pub(super) fn fill(
        &self,
        next: &Bytes,
        missed: Option<Vec<Bytes>>,
    ) -> (usize, Option<MissedRange>) {
        let mut state = self.state.lock();
        // It may have arrived after all, and something else be missing by now.
        let waits = |held: &mut Vec<Bytes>| held.first() == Some(next);
        let Some(held) = state.held.take_if(waits) else {
            return (0, None);
        };
        let mut told = 0;
        state.seen.is_complete();
        if missed.is_none() {
            state.gap = Some(state.seen.newest().unwrap_or(Slot(0)));
        }
        for result in missed.into_iter().flatten() {
            told += state.hear(self, &result).told;
        }
        let moved_at = state.moved_at.take();
        state.seen.is_complete();
        for (place, result) in held.iter().enumerate() {
            if moved_at == Some(place) {
                state.seen.moves();
            }
            let heard = state.hear(self, result);
            told += heard.told;
            if let NotificationVerdict::Missing { after, until } = heard.verdict {
                let rest = held.get(place..).unwrap_or_default();
                state.held = Some(rest.to_vec());
                let later = moved_at.and_then(|at| at.checked_sub(place));
                state.moved_at = later.filter(|at| *at > 0);
                let next = result.clone();
                return (told, Some(MissedRange { after, until, next }));
            }
        }
        (told, None)
    }

    /// A result that was looked up, and counts as a notification.
    pub(super) fn found(&self, result: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        if matches!(state.phase, TopicPhase::Ended) {
            return NotificationOutcome::nothing(NotificationVerdict::Repeated);
        }
        state.hear(self, result)
    }

    /// The account as read afresh; `value` is the account.
    pub(super) fn read(&self, slot: Slot, value: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        let verdict = state.seen.read_account(slot, value);
        state.told(self, verdict, &wrapped(slot, value))
    }

    /// An account of the program as read afresh.
    pub(super) fn read_of_program(&self, slot: Slot, account: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        let verdict = state.seen.read_account_of_program(slot, account);
        state.told(self, verdict, &wrapped(slot, account))
    }

    /// What was missed cannot be recovered: the next notification says so.
    pub(super) fn has_gap(&self) {
        let mut state = self.state.lock();
        state.gap = Some(state.seen.newest().unwrap_or(Slot(0)));
    }

    /// Sends the last delivered value of the account to this client only; returns whether there was
    /// one.
    pub(super) fn replay(&self, id: u64) -> bool {
        let state = self.state.lock();
        let DeliveredHistory::Account {
            slot,
            value: Some(value),
        } = &state.seen
        else {
            return false;
        };
        let head = head(self.kind(), &wrapped(*slot, value), None);
        state.tell_one(id, &NotificationHead::new(head, &self.total));
        true
    }

    /// Notifies one client only.
    pub(super) fn tell_one(&self, id: u64, slot: Slot, value: &Bytes) {
        let state = self.state.lock();
        let head = head(self.kind(), &wrapped(slot, value), None);
        state.tell_one(id, &NotificationHead::new(head, &self.total));
    }
}

impl TopicState {
    fn hear(&mut self, topic: &Topic, result: &Bytes) -> NotificationOutcome {
        let verdict = self.seen.hear(result);
        self.told(topic, verdict, result)
    }

    fn told(
        &mut self,
        topic: &Topic,
        verdict: NotificationVerdict,
        result: &[u8],
    ) -> NotificationOutcome {
        if verdict != NotificationVerdict::Tell {
            return NotificationOutcome::nothing(verdict);
        }
        let head = head(topic.kind(), result, self.gap.take());
        let head = NotificationHead::new(head, &topic.total);
        let mut told = 0;
        for (id, outbox) in &self.subscribers {
            told += usize::from(outbox.notify(&head, *id));
        }
        let ended = self.seen.has_ended();
        let mut left = 0;
        if ended {
            self.phase = TopicPhase::Ended;
            left = self.subscribers.len();
            self.subscribers.clear();
        }
        NotificationOutcome {
            verdict,
            told,
            ended,
            left,
        }
    }

    /// Delivers what is held if the missing ones before it have arrived.
    fn untangle(&mut self, topic: &Topic) -> NotificationOutcome {
        let mut heard = NotificationOutcome::nothing(NotificationVerdict::Tell);
        let held = self.held.as_deref().filter(|_| self.moved_at.is_none());
        if let Some(results) = held.and_then(|held| self.seen.in_order(held)) {
            self.held = None;
            for result in &results {
                heard.told += self.hear(topic, result).told;
            }
        }
        heard
    }

    fn tell_one(&self, id: u64, head: &Arc<NotificationHead>) {
        if let Some(outbox) = self.subscribers.get(&id) {
            outbox.notify(head, id);
        }
    }
}

impl NotificationOutcome {
    pub(super) fn nothing(verdict: NotificationVerdict) -> Self {
        Self {
            verdict,
            told: 0,
            ended: false,
            left: 0,
        }
    }
}

/// A value in the form of a notification.
pub(super) fn wrapped(slot: Slot, value: &[u8]) -> Bytes {
    let mut digits = itoa::Buffer::new();
    let slot = digits.format(slot.0).as_bytes();
    Bytes::from(
        [
            br#"{"context":{"slot":"#,
            slot,
            br#"},"value":"#,
            value,
            b"}",
        ]
        .concat(),
    )
}
