//! One subscription as it is made upstream, shared by all clients with equal subscriptions: its
//! subscribers, what was delivered, and the upstream that counts.

mod gap;
mod held;
mod outcomes;
mod replays;
mod subscriber;
#[cfg(test)]
mod tests;
mod topic_state;
mod wrapped;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use perijove_core::Slot;
use tokio::sync::oneshot;

use self::held::{HeldNotification, HeldNotifications};
pub(super) use self::outcomes::{JoinOutcome, MissedRange, NotificationOutcome};
pub(super) use self::subscriber::Subscriber;
use self::topic_state::{TopicPhase, TopicState, answer};
pub(super) use self::wrapped::wrapped;
use super::backlog::BacklogTotal;
use super::delivered::{NotificationVerdict, UnknownAccount};
use super::params::SubscriptionSpec;
use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

/// A shared subscription.
#[derive(Debug)]
pub(super) struct Topic {
    /// Never reused.
    pub(super) id: u64,
    pub(super) spec: SubscriptionSpec,
    state: Mutex<TopicState>,
}

impl Topic {
    pub(super) fn new(id: u64, spec: SubscriptionSpec, total: &Arc<BacklogTotal>) -> Self {
        let state = TopicState::new(&spec, Arc::clone(total));
        Self {
            id,
            spec,
            state: Mutex::new(state),
        }
    }

    pub(super) fn kind(&self) -> SubscriptionKind {
        self.spec.kind
    }

    /// A client subscribes under this id.
    pub(super) fn join(&self, id: u64, subscriber: impl Into<Subscriber>) -> JoinOutcome {
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
        state.subscribers.insert(id, subscriber.into());
        joined
    }

    /// A client unsubscribes; returns whether it was subscribed.
    pub(super) fn leave(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        state.replays.leaves(id);
        state.aside.retain(|(client, _)| *client != id);
        state.subscribers.swap_remove(&id).is_some()
    }

    /// Whether it has no subscribers.
    pub(super) fn is_idle(&self) -> bool {
        self.state.lock().subscribers.is_empty()
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subscribers.len()
    }

    /// Whether the cache has subscribed, and no client.
    pub(super) fn is_spare(&self) -> bool {
        self.state.lock().is_spare()
    }

    /// Ends it if it is spare. Returns how many subscribers it had, if it has ended.
    pub(super) fn gives_way(&self) -> Option<usize> {
        self.state.lock().gives_way()
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

    /// An upstream has accepted it, on this socket. If it had another before, returns the newest
    /// slot that was delivered from there (0: none was): something after it may have been missed.
    pub(super) fn taken(&self, source: u64) -> Option<Slot> {
        let mut state = self.state.lock();
        state.source = Some(source);
        match std::mem::replace(&mut state.phase, TopicPhase::Live) {
            TopicPhase::New(waiting) => {
                drop(state);
                answer(waiting, &Ok(()));
                None
            }
            TopicPhase::Live => Some(state.moves_on()),
            TopicPhase::Ended => {
                state.phase = TopicPhase::Ended;
                None
            }
        }
    }

    /// What its clients wait for is known, though no upstream has accepted it.
    pub(super) fn is_answered(&self) {
        let mut state = self.state.lock();
        if let TopicPhase::New(waiting) = &mut state.phase {
            let waiting = std::mem::take(waiting);
            state.phase = TopicPhase::Live;
            drop(state);
            answer(waiting, &Ok(()));
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
            answer(waiting, &Err(error.clone()));
        }
    }

    /// A notification of a socket, by which nobody knows where the cluster is.
    #[cfg(test)]
    pub(super) fn hear(&self, source: u64, result: &Bytes) -> NotificationOutcome {
        self.hear_within(source, result, None)
    }

    /// A notification of a socket, while the cluster has reached this slot at its commitment.
    pub(super) fn hear_within(
        &self,
        source: u64,
        result: &Bytes,
        reach: Option<Slot>,
    ) -> NotificationOutcome {
        let mut state = self.state.lock();
        if state.source != Some(source) || matches!(state.phase, TopicPhase::Ended) {
            return NotificationOutcome::nothing(NotificationVerdict::Repeated);
        }
        let notification = HeldNotification {
            moves: state.moves,
            result: result.clone(),
        };
        if let Some(held) = &mut state.held
            && held.add(notification.clone())
        {
            return state.untangle();
        }
        let heard = state.hear_after(&notification, reach);
        if matches!(heard.verdict, NotificationVerdict::Missing { .. }) {
            state.held = Some(HeldNotifications::new(notification));
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
        let waits = |held: &mut HeldNotifications| held.begins_with(next);
        let Some(held) = state.held.take_if(waits) else {
            return (0, None);
        };
        let mut told = 0;
        state.seen.is_complete();
        if missed.is_none() {
            state.has_gap_now();
        }
        for result in missed.into_iter().flatten() {
            told += state.hear(&result).told;
        }
        state.seen.is_complete();
        for (place, notification) in held.iter().enumerate() {
            let heard = state.hear_after(notification, None);
            told += heard.told;
            if let NotificationVerdict::Missing { after, until } = heard.verdict {
                state.held = held.rest(place);
                let next = notification.result.clone();
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
        state.hear(result)
    }

    /// The account as read afresh; `value` is the account. Clients set aside for this read are not
    /// told.
    pub(super) fn read(&self, read: u64, slot: Slot, value: &Bytes) -> NotificationOutcome {
        let mut state = self.state.lock();
        let verdict = state.seen.read_account(slot, value);
        state.told(verdict, &wrapped(slot, value), Some(read))
    }

    /// An account of the program as read afresh. Clients set aside for this read are not told.
    pub(super) fn read_of_program(
        &self,
        read: u64,
        slot: Slot,
        account: &Bytes,
        unknown: UnknownAccount,
    ) -> NotificationOutcome {
        let mut state = self.state.lock();
        let seen = &mut state.seen;
        let verdict = seen.read_account_of_program(slot, account, unknown);
        state.told(verdict, &wrapped(slot, account), Some(read))
    }

    /// What a move has missed after this slot cannot be recovered: the next notification says so.
    pub(super) fn has_gap(&self, after: Slot) {
        self.state.lock().has_gap(after);
    }

    /// The clients that a message of this many bytes would crowd, but for those set aside for this read.
    pub(super) fn crowded(&self, read: u64, bytes: usize) -> Vec<u64> {
        self.state.lock().crowded(read, bytes)
    }

    /// The same for one client.
    pub(super) fn is_crowded(&self, client: u64, bytes: usize) -> bool {
        self.state.lock().is_crowded(client, bytes)
    }

    /// From now on this client is told by itself what was read.
    pub(super) fn sets_aside(&self, client: u64, read: u64) {
        let mut state = self.state.lock();
        if state.subscribers.contains_key(&client) && state.aside.insert((client, read)) {
            state.replays.begins(client);
        }
    }

    /// Tells a client that was set aside something that was read, unless it has been notified of
    /// something newer meanwhile. Returns whether it is still subscribed.
    pub(super) fn tell_aside(&self, client: u64, slot: Slot, value: &Bytes) -> bool {
        let mut state = self.state.lock();
        let is_subscribed = state.subscribers.contains_key(&client);
        if is_subscribed {
            state.replay_one(client, slot, &wrapped(slot, value));
        }
        is_subscribed
    }

    /// It has been told everything.
    pub(super) fn is_aside_no_more(&self, client: u64, read: u64) {
        let mut state = self.state.lock();
        if state.aside.remove(&(client, read)) {
            state.replays.is_over(client);
        }
    }

    /// Sends the last delivered value of the account to this client only; returns whether there was
    /// one.
    pub(super) fn replay(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        let Some((slot, value)) = state.seen.account() else {
            return false;
        };
        let result = wrapped(slot, value);
        state.replay_one(id, slot, &result);
        true
    }

    /// Notifies one client of what was read for it after it had joined, unless it has been notified
    /// of something as new meanwhile. Returns whether it is still subscribed.
    pub(super) fn tell_one(&self, id: u64, slot: Slot, value: &Bytes) -> bool {
        let mut state = self.state.lock();
        if !state.subscribers.contains_key(&id) {
            return false;
        }
        if !state.seen.is_ahead_of(slot, value) {
            state.replay_one(id, slot, &wrapped(slot, value));
        }
        true
    }

    /// Current values are about to be read for this client.
    pub(super) fn begins_replay(&self, id: u64) {
        let mut state = self.state.lock();
        let has_values = matches!(
            self.kind(),
            SubscriptionKind::Account | SubscriptionKind::Program
        );
        if has_values && state.subscribers.contains_key(&id) {
            state.replays.begins(id);
        }
    }

    /// They were told to it, as far as they were needed.
    pub(super) fn ends_replay(&self, id: u64) {
        self.state.lock().replays.is_over(id);
    }
}
