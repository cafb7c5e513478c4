//! One subscription as it is made upstream, shared by all clients that ask for the same: who is told,
//! what was told, and which upstream is listened to.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::sync::oneshot;

use super::backlog::BacklogTotal;
use super::delivered::{DeliveredHistory, NotificationVerdict};
use super::feed_message::head;
use super::outbox::Outbox;
use super::params::SubscriptionSpec;
use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

#[cfg(test)]
mod tests;

/// Notifications that are kept at most while what was missed before them is being found out.
const MOST_HELD: usize = 4096;

/// Whether an upstream has taken a subscription.
pub(super) type SubscribeResult = Result<(), RpcError>;

/// A shared subscription.
#[derive(Debug)]
pub(super) struct Topic {
    /// Never given twice.
    pub(super) id: u64,
    pub(super) spec: SubscriptionSpec,
    /// Where what waits for clients is counted.
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
    /// Whose that is.
    teller: Option<Arc<str>>,
    /// What came while it was being found out what had been missed.
    held: Option<Vec<Bytes>>,
    /// Something after this slot was missed for good.
    gap: Option<Slot>,
    /// From which place on what is held was told by yet another upstream.
    moved_at: Option<usize>,
}

#[derive(Debug)]
enum TopicPhase {
    /// No upstream has taken it yet.
    New(Vec<oneshot::Sender<SubscribeResult>>),
    Live,
    /// There is nothing more to tell.
    Ended,
}

/// Whether a client has joined.
pub(super) enum JoinOutcome {
    Live,
    /// As soon as an upstream has taken it.
    Soon(oneshot::Receiver<SubscribeResult>),
    /// It has ended: a new one is needed.
    Ended,
}

/// What may have been missed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MissedRange {
    pub(super) after: u64,
    pub(super) until: u64,
    /// The notification before which it would have been told.
    pub(super) next: Bytes,
}

/// What came of a notification.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotificationOutcome {
    pub(super) verdict: NotificationVerdict,
    /// So many clients were told.
    pub(super) told: usize,
    pub(super) ended: bool,
    /// So many clients were subscribed until it ended.
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

    /// A client wants to be told under this id.
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

    /// A client wants to be told no more; whether it was told up to now.
    pub(super) fn leave(&self, id: u64) -> bool {
        self.state.lock().subscribers.swap_remove(&id).is_some()
    }

    /// Whether nobody is told.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().subscribers.is_empty()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subscribers.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.lock().phase, TopicPhase::Ended)
    }

    /// Whether an upstream has taken it once.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.state.lock().phase, TopicPhase::Live)
    }

    /// The newest slot that clients know of it.
    pub(super) fn newest(&self) -> Option<Slot> {
        self.state.lock().seen.newest()
    }

    /// An upstream has taken it, on this socket; whether it had another before.
    pub(super) fn taken(&self, source: u64) -> bool {
        let mut state = self.state.lock();
        state.source = Some(source);
        match std::mem::replace(&mut state.phase, TopicPhase::Live) {
            TopicPhase::New(waiting) => {
                drop(state);
                for taken in waiting {
                    // Who has gone meanwhile does not mind.
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

    /// Who tells it.
    pub(super) fn teller(&self) -> Option<Arc<str>> {
        self.state.lock().teller.clone()
    }

    pub(super) fn is_told_by(&self, upstream: &Arc<str>) {
        self.state.lock().teller = Some(Arc::clone(upstream));
    }

    /// No upstream takes it.
    pub(super) fn refuse(&self, error: &RpcError) {
        let mut state = self.state.lock();
        if let TopicPhase::New(waiting) = std::mem::replace(&mut state.phase, TopicPhase::Ended) {
            drop(state);
            for taken in waiting {
                drop(taken.send(Err(error.clone())));
            }
        }
    }

    /// A socket notifies.
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

    /// What was missed before `next` has been found out, or `None`: it cannot be. What was held
    /// follows. Returns how many clients were told, and what was missed before the rest if it has
    /// moved meanwhile.
    pub(super) fn fill(
        &self,
        next: &Bytes,
        missed: Option<Vec<Bytes>>,
    ) -> (usize, Option<MissedRange>) {
        let mut state = self.state.lock();
        // It may have come after all, and something else be missing by now.
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

    /// A result that was found out by asking, and counts as a notification of one.
    pub(super) fn found(&self, result: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        if matches!(state.phase, TopicPhase::Ended) {
            return NotificationOutcome::nothing(NotificationVerdict::Repeated);
        }
        state.hear(self, result)
    }

    /// A fresh read of the account shows this; `value` is the account.
    pub(super) fn read(&self, slot: Slot, value: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        let verdict = state.seen.read_account(slot, value);
        state.told(self, verdict, &wrapped(slot, value))
    }

    /// A fresh read of the program shows this account.
    pub(super) fn read_of_program(&self, slot: Slot, account: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        let verdict = state.seen.read_account_of_program(slot, account);
        state.told(self, verdict, &wrapped(slot, account))
    }

    /// What was missed cannot be found out: the next notification says so.
    pub(super) fn has_gap(&self) {
        let mut state = self.state.lock();
        state.gap = Some(state.seen.newest().unwrap_or(Slot(0)));
    }

    /// Whether any value of the account was told, which is then told to this client alone.
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
        state.tell_one(id, &self.total.share(head));
        true
    }

    /// Tells one client alone.
    pub(super) fn tell_one(&self, id: u64, slot: Slot, value: &Bytes) {
        let state = self.state.lock();
        let head = head(self.kind(), &wrapped(slot, value), None);
        state.tell_one(id, &self.total.share(head));
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
        let head = topic.total.share(head);
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

    /// Tells what is held if what was missing before it has come.
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

    fn tell_one(&self, id: u64, head: &Bytes) {
        if let Some(outbox) = self.subscribers.get(&id) {
            outbox.notify(head, id);
        }
    }
}

impl NotificationOutcome {
    fn nothing(verdict: NotificationVerdict) -> Self {
        Self {
            verdict,
            told: 0,
            ended: false,
            left: 0,
        }
    }
}

/// A value as it stands in a notification.
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
