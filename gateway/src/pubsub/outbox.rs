//! Messages waiting for one client, in order, bounded by their bytes. Notifying never waits for a
//! client; a client with too many waiting bytes is disconnected.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backlog::{BacklogCharge, BacklogTotal, ClientBacklog};
use super::notification_head::NotificationHead;
use super::outbox_message::OutboxMessage;

/// The queue of one client.
#[derive(Debug)]
pub(super) struct Outbox {
    total: Arc<BacklogTotal>,
    /// The number by which it is known there.
    number: u64,
    state: Mutex<OutboxState>,
    /// Bytes of the message being written.
    writing: AtomicUsize,
    /// Maximum bytes of notifications waiting behind another one; while more waits in all, no call is
    /// begun.
    most: AtomicUsize,
    /// A message was added.
    filled: Notify,
    /// Too many bytes wait.
    overflowed: Notify,
    /// A message was taken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct OutboxState {
    queue: VecDeque<OutboxMessage>,
    bytes: usize,
    /// The part of it that nobody waits for: answers come of calls that are limited otherwise.
    notifications: usize,
    /// The part of it that counts for this client only.
    own: usize,
    overflowed: bool,
    /// Subscriptions whose client does not know their ids yet, with their notifications so far.
    held: Vec<(u64, Vec<OutboxMessage>)>,
}

impl OutboxState {
    fn add(&mut self, item: &OutboxMessage, total: &BacklogTotal) {
        self.bytes += item.cost();
        if item.is_notification() {
            self.notifications += item.cost();
        }
        self.own += item.own();
        total.add(item.own());
    }

    fn sub(&mut self, item: &OutboxMessage, total: &BacklogTotal) {
        self.bytes -= item.cost();
        if item.is_notification() {
            self.notifications -= item.cost();
        }
        self.own -= item.own();
        total.sub(item.own());
    }

    fn clear(&mut self, total: &BacklogTotal) {
        self.queue = VecDeque::new();
        self.held = Vec::new();
        (self.bytes, self.notifications) = (0, 0);
        total.sub(std::mem::take(&mut self.own));
    }
}

impl ClientBacklog for Outbox {
    fn bytes(&self) -> usize {
        self.state.lock().bytes + self.writing.load(Ordering::Relaxed)
    }

    fn give_up(&self) {
        let mut state = self.state.lock();
        state.overflowed = true;
        state.clear(&self.total);
        drop(state);
        self.overflowed.notify_one();
        self.filled.notify_one();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.total.leave(self.number);
        self.state.get_mut().clear(&self.total);
    }
}

impl Outbox {
    /// One that shares its byte limit with no other.
    #[cfg(test)]
    pub(super) fn new(most: usize) -> Arc<Self> {
        Self::among(&BacklogTotal::new(usize::MAX), most)
    }

    /// One of many that share the byte limit.
    pub(super) fn among(total: &Arc<BacklogTotal>, most: usize) -> Arc<Self> {
        Arc::new_cyclic(|outbox| Self {
            number: total.enter(Weak::<Self>::clone(outbox)),
            total: Arc::clone(total),
            state: Mutex::default(),
            writing: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
            filled: Notify::new(),
            overflowed: Notify::new(),
            taken: Notify::new(),
        })
    }

    /// A message of this many bytes is being written while this is alive.
    pub(super) fn writes(&self, bytes: usize) -> BacklogCharge {
        self.writing.store(bytes, Ordering::Relaxed);
        let charge = self.total.charge(bytes);
        self.total.relieve();
        charge
    }

    /// All waiting messages are written.
    pub(super) fn wrote(&self) {
        self.writing.store(0, Ordering::Relaxed);
    }

    /// Adds a notification; `false` if the client is to be disconnected.
    pub(super) fn notify(&self, head: &Arc<NotificationHead>, id: u64) -> bool {
        let item = OutboxMessage::Notification {
            head: Arc::clone(head),
            id,
        };
        let mut state = self.state.lock();
        if state.overflowed {
            return false;
        }
        let waiting = state.notifications;
        let full =
            waiting > 0 && waiting.saturating_add(item.cost()) > self.most.load(Ordering::Relaxed);
        if full {
            drop(state);
            self.give_up();
            return false;
        }
        state.add(&item, &self.total);
        if let Some((_, held)) = state.held.iter_mut().find(|(other, _)| *other == id) {
            held.push(item);
        } else {
            state.queue.push_back(item);
            self.filled.notify_one();
        }
        drop(state);
        self.total.relieve();
        true
    }

    /// Adds an answer, followed by the notifications of the subscriptions whose ids it contains.
    pub(super) fn answer(&self, answer: Bytes, makes_known: &[u64]) {
        let mut state = self.state.lock();
        if state.overflowed {
            return;
        }
        if !answer.is_empty() {
            let item = OutboxMessage::Answer(answer);
            state.add(&item, &self.total);
            state.queue.push_back(item);
        }
        for id in makes_known {
            if let Some(place) = state.held.iter().position(|(other, _)| other == id) {
                let (_, held) = state.held.swap_remove(place);
                state.queue.extend(held);
            }
        }
        drop(state);
        self.filled.notify_one();
        self.total.relieve();
    }

    /// Holds the notifications of a subscription until its client knows its id.
    pub(super) fn hold(&self, id: u64) {
        self.state.lock().held.push((id, Vec::new()));
    }

    /// Forgets a subscription whose client will never know its id.
    pub(super) fn release(&self, id: u64) {
        let mut state = self.state.lock();
        if let Some(place) = state.held.iter().position(|(other, _)| *other == id) {
            let (_, held) = state.held.swap_remove(place);
            for item in held {
                state.sub(&item, &self.total);
            }
        }
    }

    /// The next message.
    pub(super) fn take(&self) -> Option<OutboxMessage> {
        let mut state = self.state.lock();
        let item = state.queue.pop_front()?;
        state.sub(&item, &self.total);
        if state.queue.is_empty() {
            // An idle client should not keep the memory of a burst.
            state.queue.shrink_to(16);
        }
        drop(state);
        self.taken.notify_one();
        Some(item)
    }

    /// Whether so many bytes wait that nothing should be added.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().bytes > self.most.load(Ordering::Relaxed)
    }

    /// Whether a message of this many bytes besides what waits would take more than half of the
    /// room, the rest of which is for notifications.
    pub(super) fn is_crowded_by(&self, bytes: usize) -> bool {
        let waiting = self.state.lock().bytes;
        waiting > 0 && waiting.saturating_add(bytes) > self.most.load(Ordering::Relaxed) / 2
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    pub(super) fn has_overflowed(&self) -> bool {
        self.state.lock().overflowed
    }

    /// Resolves when there is room. For a single waiter.
    pub(super) async fn has_room(&self) {
        while self.is_full() {
            self.taken.notified().await;
        }
    }

    /// What waits was not all taken.
    pub(super) fn has_more(&self) {
        self.filled.notify_one();
    }

    /// Resolves when a message was added. May resolve spuriously.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Resolves when the client is to be disconnected.
    pub(super) async fn overflows(&self) {
        self.overflowed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &'static [u8]) -> Arc<NotificationHead> {
        NotificationHead::new(Bytes::from_static(text), &BacklogTotal::new(usize::MAX))
    }

    fn texts(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| outbox.take())
            .map(|item| String::from_utf8(item.into_text().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn subscribers_share_a_notification_and_have_their_own_ids() {
        let outbox = Outbox::new(1000);
        let head = head(br#"{"params":{"result":1,"subscription":"#);
        assert!(outbox.notify(&head, 7));
        assert!(outbox.notify(&head, 8));
        assert_eq!(
            texts(&outbox),
            [
                r#"{"params":{"result":1,"subscription":7}}"#,
                r#"{"params":{"result":1,"subscription":8}}"#
            ]
        );
    }

    #[test]
    fn a_notification_waits_until_its_client_knows_the_id() {
        let outbox = Outbox::new(1000);
        outbox.hold(7);
        assert!(outbox.notify(&head(b"seven:"), 7));
        assert!(outbox.notify(&head(b"eight:"), 8));
        outbox.answer(Bytes::from_static(b"7"), &[7]);
        assert_eq!(texts(&outbox), ["eight:8}}", "7", "seven:7}}"]);
    }

    #[test]
    fn one_message_may_always_wait_and_a_client_behind_which_more_piles_up_is_given_up() {
        let outbox = Outbox::new(200);
        assert!(
            outbox.notify(&head(&[b'x'; 1000]), 1),
            "alone, however large"
        );
        assert!(outbox.is_full());
        assert!(!outbox.notify(&head(b"y"), 1));
        assert!(outbox.has_overflowed());
        assert!(outbox.take().is_none(), "nothing is kept for it");
        assert!(!outbox.notify(&head(b"z"), 1));
    }

    #[test]
    fn answers_that_a_client_has_asked_for_leave_room_for_notifications() {
        let outbox = Outbox::new(200);
        for _ in 0..3 {
            outbox.answer(Bytes::from(vec![b'x'; 1000]), &[]);
        }
        assert!(outbox.is_full(), "no call is begun");
        assert!(outbox.notify(&head(b"y"), 1));
        assert!(outbox.notify(&head(b"y"), 1));
        assert!(!outbox.notify(&head(&[b'y'; 200]), 1));
        assert!(outbox.has_overflowed());
    }
}
