//! A socket that is open: the orders it carries out, and what it tells.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use perijove_core::{Commitment, Slot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::cluster_reach::ClusterReach;
use super::messages::{CloseReason, SocketOrder, SocketReport};
use super::orders::OrderQueue;
use super::pulse::{Pulse, PulseState};
use super::socket_terms::SocketTerms;
use super::subscription_table::{PendingRequest, SubscriptionTable};
use crate::jsonrpc::RpcError;
use crate::pubsub::delivered::NotificationVerdict;
use crate::pubsub::feed_message::{self, FeedMessage, FeedNotification, SlotInfo};
use crate::pubsub::topic::{MissedRange, NotificationOutcome, Topic};
use crate::upstream::Duplex;

/// How long an upstream may take at most to answer a subscription while it keeps reporting slots,
/// before another one is tried.
const ANSWER: Duration = Duration::from_secs(5);
/// Interval between two checks of the pulse.
const LOOK: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<Box<dyn Duplex>>;

/// A socket that is open.
pub(super) struct OpenSocket {
    pub(super) terms: SocketTerms,
    socket: Socket,
    table: SubscriptionTable,
    pulse: Pulse,
    queue: OrderQueue,
    reach: ClusterReach,
    /// When the next subscription may be made.
    next_order: Instant,
    /// It sent a notification that is invalid for its subscription.
    garbled: bool,
}

impl OpenSocket {
    /// One on which nothing was said yet.
    pub(super) fn new(terms: SocketTerms, socket: Socket) -> Self {
        let now = Instant::now();
        Self {
            pulse: Pulse::new(terms.limits.silence, now),
            reach: ClusterReach::new(Arc::clone(&terms.hub)),
            terms,
            socket,
            table: SubscriptionTable::default(),
            queue: OrderQueue::default(),
            next_order: now,
            garbled: false,
        }
    }

    /// Serves it until its end.
    pub(super) async fn serve(&mut self) -> CloseReason {
        let (id, text) = self.table.beacon();
        if let Err(closed) = self.say(text).await {
            return closed;
        }
        self.table.ask(id, PendingRequest::Beacon, Instant::now());
        let mut look_at = Instant::now() + LOOK;
        loop {
            let may_order = !self.queue.is_empty();
            let step = tokio::select! {
                biased;
                message = self.socket.next() => {
                    let is_ping = matches!(message, Some(Ok(Message::Ping(_))));
                    match self.hear(message) {
                        // Tungstenite has the answer ready.
                        Ok(()) if is_ping => self.flush().await,
                        heard => heard,
                    }
                }
                order = self.terms.orders.recv() => match order {
                    Some(order) => {
                        self.queue.add(order);
                        Ok(())
                    }
                    None => Err(CloseReason::Unused),
                },
                () = sleep_until(self.next_order), if may_order => self.order().await,
                () = sleep_until(look_at) => {
                    look_at = Instant::now() + LOOK;
                    self.look().await
                }
            };
            if let Err(closed) = step {
                return closed;
            }
        }
    }

    pub(super) fn report(&self, report: SocketReport) {
        drop(self.terms.reports.send((self.terms.id, report)));
    }

    /// Sends a text; an upstream that does not accept it is dead.
    async fn say(&mut self, text: String) -> Result<(), CloseReason> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), CloseReason> {
        let sending = self.socket.send(message);
        CloseReason::unless_accepted(timeout(self.terms.limits.silence, sending).await)
    }

    /// Nothing more is read before what waits is accepted: answers to pings would pile up.
    async fn flush(&mut self) -> Result<(), CloseReason> {
        let flushing = self.socket.flush();
        CloseReason::unless_accepted(timeout(self.terms.limits.silence, flushing).await)
    }

    /// Carries out the next order.
    async fn order(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        // A tenth of a second's worth may be made at once.
        let pause = Duration::from_secs(1) / self.terms.limits.rate;
        let earliest = now.checked_sub(Duration::from_millis(100)).unwrap_or(now);
        self.next_order = self.next_order.max(earliest) + pause;
        match self.queue.next() {
            Some(SocketOrder::Subscribe(topic)) => {
                if topic.has_ended() {
                    return Ok(());
                }
                if self.table.adopt(&topic, now) {
                    return Ok(());
                }
                let id = self.table.next_id();
                let text = feed_message::request(id, topic.kind().subscribe(), &topic.spec.params);
                self.terms.upstream.charge(topic.kind().subscribe());
                self.table.ask(id, PendingRequest::Topic(topic), now);
                self.say(text).await
            }
            Some(SocketOrder::Unsubscribe(topic)) => {
                self.table.leave(&topic);
                self.end_unwanted().await
            }
            None => Ok(()),
        }
    }

    /// Ends the subscriptions that nobody wants.
    async fn end_unwanted(&mut self) -> Result<(), CloseReason> {
        for (kind, subscription) in self.table.unwanted() {
            let id = self.table.next_id();
            let params = format!("[{subscription}]");
            self.say(feed_message::request(id, kind.unsubscribe(), &params))
                .await?;
        }
        Ok(())
    }

    fn hear(
        &mut self,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), CloseReason> {
        let now = Instant::now();
        let text: Bytes = match message {
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code.into());
                return Err(CloseReason::Upstream { code });
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.pulse.heard(now);
                return Ok(());
            }
            Some(Err(error)) => {
                tracing::debug!(upstream = self.terms.upstream.id(), %error, "subscription socket failed");
                return Err(CloseReason::Upstream { code: None });
            }
            None => return Err(CloseReason::Upstream { code: None }),
        };
        self.pulse.heard(now);
        match feed_message::read(&text) {
            Some(FeedMessage::Notification(notification)) => self.notified(&notification, now),
            Some(FeedMessage::Answer { id, result }) => self.answered(id, result, now),
            // A notification may have been intended.
            None if feed_message::is_garbage(&text) => return Err(CloseReason::Garbled),
            None => {}
        }
        if self.garbled {
            return Err(CloseReason::Garbled);
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, result: Result<Bytes, RpcError>, now: Instant) {
        let Some(asked) = self.table.answered(id) else {
            return;
        };
        let subscription = result.and_then(|result| {
            serde_json::from_slice::<u64>(&result)
                .map_err(|_no_number| RpcError::new(-32603, "Internal error"))
        });
        let taken = |number: &u64| self.table.taken_by_another(*number, &asked);
        if let Some(other) = subscription.as_ref().ok().and_then(taken) {
            tracing::info!(
                upstream = self.terms.upstream.id(),
                method = asked.kind().subscribe(),
                other = other.subscribe(),
                "upstream gave two different subscriptions the same number"
            );
            self.garbled = true;
            return;
        }
        match (asked, subscription) {
            (PendingRequest::Beacon, Ok(subscription)) => {
                self.table.has_beacon(subscription);
                self.pulse.has_beacon(now);
            }
            (PendingRequest::Beacon, Err(error)) => {
                tracing::info!(
                    upstream = self.terms.upstream.id(),
                    code = error.code,
                    "upstream refused slotSubscribe; only pings check the subscription socket"
                );
            }
            (PendingRequest::Topic(topic), Ok(subscription)) => {
                self.table.taken(&topic, subscription);
                // At once: the next notification counts already.
                let moved = topic.taken(self.terms.id);
                self.report(SocketReport::Taken(topic, moved));
            }
            (PendingRequest::Given(spec), Ok(subscription)) => {
                // Its subscribers have left meanwhile.
                self.table.is_unwanted(spec, subscription);
            }
            (PendingRequest::Topic(topic), Err(error)) => {
                self.report(SocketReport::Refused(topic, error));
            }
            (PendingRequest::Given(_), Err(_)) => {}
        }
        // Some upstreams notify before they have confirmed a subscription.
        for notification in self.table.early() {
            self.notified(&notification, now);
        }
    }

    fn notified(&mut self, notification: &FeedNotification, now: Instant) {
        let FeedNotification {
            subscription,
            kind,
            result,
        } = notification;
        let subscription = *subscription;
        let Some(expected) = self.table.kind(subscription) else {
            self.table.keep_early(notification);
            return;
        };
        if *kind != Some(expected) {
            self.garbled = true;
            return;
        }
        let is_possible = self.reach.includes(result, now);
        if is_possible && self.table.is_beacon(subscription) {
            self.beats(result, now);
        }
        let topics = self.table.topics(subscription);
        if let Some(topic) = topics.first().filter(|_| is_possible) {
            // Before a client can ask for more.
            self.terms.note_slot(&topic.spec, result);
        }
        for topic in topics {
            self.tell(&topic, result, is_possible);
        }
    }

    /// The beacon has told a slot.
    fn beats(&mut self, result: &Bytes, now: Instant) {
        let Some(info) = SlotInfo::read(result) else {
            return;
        };
        let newest = self.terms.slot.fetch_max(info.slot, Ordering::AcqRel);
        if info.slot > newest {
            self.pulse.beat(now);
            if self.terms.limits.track_slots {
                self.terms.upstream.tells_slot(Slot(info.slot));
            }
        }
    }

    fn tell(&mut self, topic: &Arc<Topic>, result: &Bytes, is_possible: bool) {
        let heard = if is_possible {
            let reach = self.reach.of(&topic.spec);
            topic.hear_within(self.terms.id, result, reach)
        } else {
            NotificationOutcome::nothing(NotificationVerdict::Garbled)
        };
        let metrics = &self.terms.hub.metrics;
        metrics.feed.heard(topic.kind(), &heard.verdict);
        metrics.told(topic.kind(), heard.told);
        metrics.unsubscribed(topic.kind(), heard.left);
        self.garbled |=
            heard.verdict == NotificationVerdict::Garbled && topic.kind().can_be_repaired();
        if let NotificationVerdict::Missing { after, until } = heard.verdict {
            let next = result.clone();
            let missing = MissedRange { after, until, next };
            self.report(SocketReport::Missing(Arc::clone(topic), missing));
        }
        if heard.ended {
            self.table.forget(topic);
            self.report(SocketReport::Ended(Arc::clone(topic)));
        }
    }

    async fn look(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        self.end_unwanted().await?;
        // Half of it, so that there is time to try another upstream.
        let patience = ANSWER.min(self.terms.limits.subscribe_timeout / 2);
        for topic in self.table.overdue(now, patience) {
            self.report(SocketReport::Overdue(topic));
        }
        let told = self.terms.slot.load(Ordering::Acquire);
        let goes_on = || {
            let snapshot = self.terms.hub.published.load();
            let tip = snapshot.pool.tip(Commitment::Processed);
            tip.is_some_and(|tip| tip.0 > told.saturating_add(2))
        };
        match self.pulse.look(now, goes_on) {
            PulseState::Alive => Ok(()),
            PulseState::Doubtful => self.send(Message::Ping(Bytes::new())).await,
            PulseState::Dead => Err(CloseReason::Silent),
        }
    }

    /// Says that it ends.
    pub(super) async fn close(&mut self, why: &CloseReason) {
        let last_word = self.socket.close(None);
        if *why == CloseReason::Unused {
            drop(timeout(LOOK, last_word).await);
        }
    }
}
