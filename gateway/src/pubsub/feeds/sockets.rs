//! The sockets to upstreams and the topics, as the task that manages them knows them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::feed_status::FeedStatus;
use super::move_cause::MoveCause;
use super::outage::SubscriptionOutage;
use super::placed::PlacedTopic;
use super::unserved_signatures::UnservedSignatures;
use crate::pubsub::hub::Hub;
use crate::pubsub::topic::Topic;
use crate::pubsub::upstream_socket::messages::{SocketOrder, SocketReport};
use crate::upstream::Upstream;

/// A socket, as known here.
pub(super) struct KnownSocket {
    pub(super) upstream: Arc<Upstream>,
    pub(super) orders: mpsc::UnboundedSender<SocketOrder>,
    /// Topics that it serves, or is to serve.
    pub(super) topics: BTreeSet<u64>,
    pub(super) opened: bool,
    /// Its topics are to move, for this reason.
    pub(super) leaves: Option<MoveCause>,
    /// It was told to close, and serves no topic any more.
    pub(super) ends: bool,
    pub(super) slot: Arc<AtomicU64>,
    /// Since when it is not needed.
    pub(super) idle_since: Instant,
    /// Since when its slots are too far behind.
    pub(super) behind_since: Option<Instant>,
}

impl KnownSocket {
    /// It serves a topic no more. Returns whether it did, or was to.
    pub(super) fn forget(&mut self, topic: &Topic) -> bool {
        let was = self.topics.remove(&topic.id);
        if was && self.topics.is_empty() {
            self.idle_since = Instant::now();
        }
        was
    }
}

/// All sockets to upstreams.
pub(in crate::pubsub) struct Feeds {
    pub(super) hub: Arc<Hub>,
    pub(super) lines: BTreeMap<u64, KnownSocket>,
    pub(super) last_line: u64,
    pub(super) topics: BTreeMap<u64, PlacedTopic>,
    /// Those that the cache alone had subscribed to when it was last looked.
    pub(super) spare: HashSet<u64>,
    pub(super) standing: HashMap<String, FeedStatus>,
    pub(super) unserved: UnservedSignatures,
    pub(super) outage: SubscriptionOutage,
    pub(super) reports: mpsc::UnboundedSender<(u64, SocketReport)>,
    pub(super) reported: Option<mpsc::UnboundedReceiver<(u64, SocketReport)>>,
}
