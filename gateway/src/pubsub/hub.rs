//! What all client sockets share: the topics they are subscribed to, and the channel to the task
//! that manages the sockets to upstreams.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::backlog::BacklogTotal;
use super::caller_share::{CallerShare, CallerShares};
use super::collected::CollectedAnswers;
use super::deflate::{Compressors, Inflaters};
use super::feed_command::FeedCommand;
use super::metrics::PubSubMetrics;
use super::params::SubscriptionSpec;
use super::repair::turns::RepairTurns;
use super::topic::{JoinOutcome, Subscriber, Topic};
use super::upstream_socket::dial::{NetworkDialer, SocketDialer};
use crate::auth::ConsumerId;
use crate::context::ClientKey;
use crate::error::Rejection;
use crate::pipeline::Pipeline;
use crate::snapshot::{Published, Snapshot};

/// The state of sockets and subscriptions.
pub struct Hub {
    pub(super) published: Arc<Published>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) metrics: PubSubMetrics,
    pub(super) dial: Box<dyn SocketDialer>,
    /// Bytes waiting for clients.
    pub(super) total: Arc<BacklogTotal>,
    pub(super) compressors: Compressors,
    pub(super) inflaters: Arc<Inflaters>,
    /// Answers that are being collected for them, or by the gateway itself.
    pub(super) collected: Arc<CollectedAnswers>,
    /// What the gateway's own calls count for.
    pub(super) own_share: Arc<CallerShare>,
    pub(super) repair_turns: RepairTurns,
    shares: CallerShares,
    topics: Mutex<HashMap<SubscriptionSpec, Arc<Topic>>>,
    /// The last id of a topic, and that of a client's subscription.
    topic_ids: AtomicU64,
    ids: AtomicU64,
    commands: mpsc::UnboundedSender<FeedCommand>,
    received: Mutex<Option<mpsc::UnboundedReceiver<FeedCommand>>>,
    /// Of the sockets to upstreams, for `/status`.
    pub(super) feeds: Mutex<serde_json::Value>,
    clients: AtomicUsize,
    leaving: AtomicBool,
    left: Notify,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

/// Wait time reported to a caller whose plan allows no more sockets.
const MOMENT: Duration = Duration::from_secs(1);

/// A socket that is counted while this is alive.
#[derive(Debug)]
pub struct SocketPermit {
    hub: Arc<Hub>,
    /// The caller and its share.
    share: Option<(ClientKey, Arc<CallerShare>)>,
}

impl SocketPermit {
    /// The share of its caller.
    pub fn share(&self) -> Arc<CallerShare> {
        self.share
            .as_ref()
            .map_or_else(Arc::default, |(_, share)| Arc::clone(share))
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        if let Some((key, _)) = self.share {
            self.hub.shares.close(key);
        }
        self.hub.clients.fetch_sub(1, Ordering::AcqRel);
        self.hub.metrics.left();
    }
}

impl Hub {
    pub fn new(
        published: Arc<Published>,
        pipeline: Arc<Pipeline>,
        metrics: PubSubMetrics,
    ) -> Arc<Self> {
        Self::dialling(published, pipeline, metrics, Box::new(NetworkDialer))
    }

    pub(super) fn dialling(
        published: Arc<Published>,
        pipeline: Arc<Pipeline>,
        metrics: PubSubMetrics,
        dial: Box<dyn SocketDialer>,
    ) -> Arc<Self> {
        let (commands, received) = mpsc::unbounded_channel();
        let total = BacklogTotal::new(published.load().config.websocket.memory);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new(Self {
            collected: CollectedAnswers::new(&total),
            total,
            own_share: Arc::default(),
            repair_turns: RepairTurns::default(),
            compressors: Compressors::new(cores),
            inflaters: Inflaters::new(cores, metrics.compression.received.clone()),
            published,
            pipeline,
            metrics,
            dial,
            shares: CallerShares::default(),
            topics: Mutex::default(),
            topic_ids: AtomicU64::new(0),
            // Clients can represent numbers up to 2^53.
            ids: AtomicU64::new(fastrand::u64(1..1 << 32)),
            commands,
            received: Mutex::new(Some(received)),
            feeds: Mutex::default(),
            clients: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// The commands for the task that manages the sockets to upstreams; once.
    pub(super) fn commands(&self) -> Option<mpsc::UnboundedReceiver<FeedCommand>> {
        self.received.lock().take()
    }

    /// Admits a socket of this caller.
    ///
    /// # Errors
    /// The limit is reached, in all or by the caller's plan.
    pub fn admit(
        self: &Arc<Self>,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerId>,
        key: ClientKey,
    ) -> Result<SocketPermit, Rejection> {
        let before = self.clients.fetch_add(1, Ordering::AcqRel);
        self.metrics.opened();
        let mut place = SocketPermit {
            hub: Arc::clone(self),
            share: None,
        };
        if before >= snapshot.config.websocket.clients {
            return Err(Rejection::TooManySockets);
        }
        let most = snapshot.plan(consumer).and_then(|plan| plan.sockets);
        let share = self.shares.open(key, most).ok_or(Rejection::OverLimit {
            reason: "your plan allows no more WebSockets",
            retry_after: MOMENT,
            remaining: None,
        })?;
        place.share = Some((key, share));
        Ok(place)
    }

    /// Sockets of clients.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Acquire)
    }

    /// An id for a client's subscription; never reused.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The topic of this subscription, joined by a client.
    pub(super) fn join(
        &self,
        spec: &SubscriptionSpec,
        id: u64,
        subscriber: impl Into<Subscriber>,
    ) -> (Arc<Topic>, JoinOutcome) {
        let subscriber = subscriber.into();
        let mut topics = self.topics.lock();
        if let Some(topic) = topics.get(spec) {
            let joined = topic.join(id, subscriber.clone());
            if !matches!(joined, JoinOutcome::Ended) {
                self.metrics.subscribed(spec.kind);
                return (Arc::clone(topic), joined);
            }
        }
        let topic_id = self.topic_ids.fetch_add(1, Ordering::Relaxed);
        let topic = Arc::new(Topic::new(topic_id, spec.clone(), &self.total));
        let joined = topic.join(id, subscriber);
        self.metrics.subscribed(spec.kind);
        topics.insert(spec.clone(), Arc::clone(&topic));
        self.command(FeedCommand::Added(Arc::clone(&topic)));
        (topic, joined)
    }

    /// A client unsubscribes.
    pub(super) fn leave(&self, topic: &Arc<Topic>, id: u64) {
        let mut topics = self.topics.lock();
        if topic.leave(id) {
            self.metrics.unsubscribed(topic.kind(), 1);
        }
        if topic.is_idle() {
            forget(&mut topics, topic);
            self.command(FeedCommand::Removed(Arc::clone(topic)));
        }
    }

    /// A topic has ended: the next subscriber starts a new one.
    pub(super) fn end(&self, topic: &Arc<Topic>) {
        forget(&mut self.topics.lock(), topic);
        self.command(FeedCommand::Removed(Arc::clone(topic)));
    }

    fn command(&self, command: FeedCommand) {
        // Once the process exits there is no receiver.
        drop(self.commands.send(command));
    }

    /// From here on client sockets are closed one after the other.
    pub fn leave_all(&self) {
        self.leaving.store(true, Ordering::Release);
        self.left.notify_waiters();
    }

    /// Resolves when the gateway stops.
    pub(super) async fn leaves(&self) {
        let left = self.left.notified();
        if !self.leaving.load(Ordering::Acquire) {
            left.await;
        }
    }

    /// For `/status`.
    pub fn status(&self) -> serde_json::Value {
        let topics = self.topics.lock();
        let subscriptions: usize = topics.values().map(|topic| topic.subscribers()).sum();
        serde_json::json!({
            "clients": self.clients(),
            "waiting_bytes": self.total.bytes(),
            "subscriptions": subscriptions,
            "shared_subscriptions": topics.len(),
            "upstreams": &*self.feeds.lock(),
        })
    }
}

/// Only this topic: another may have taken its place.
fn forget(topics: &mut HashMap<SubscriptionSpec, Arc<Topic>>, topic: &Arc<Topic>) {
    if topics
        .get(&topic.spec)
        .is_some_and(|other| other.id == topic.id)
    {
        topics.remove(&topic.spec);
    }
}
