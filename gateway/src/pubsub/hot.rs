//! Subscribes to the accounts that are read often, for the cache: a client inside the gateway.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::feed_message::{self, FeedMessage};
use super::hub::Hub;
use super::outbox::Outbox;
use super::params::SubscriptionSpec;
use super::subscription_kind::SubscriptionKind;
use super::topic::{Subscriber, Topic};
use crate::cache::CacheKey;
use crate::config::HotAccounts;
use crate::pipeline::HotRead;

/// Bytes waiting to be kept.
const QUEUE: usize = 16 * 1024 * 1024;

/// Encodings in which a notification has the same data as an answer, whatever the account's size.
const ENCODINGS: [&str; 3] = ["base64", "base64+zstd", "jsonParsed"];

/// The accounts that are followed.
struct HotAccountFollower {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    /// By the ids of their subscriptions.
    followed: HashMap<u64, (HotRead, Arc<Topic>)>,
}

/// Runs until the process ends.
pub(super) async fn follow(hub: Arc<Hub>) {
    let mut follower = HotAccountFollower {
        outbox: Outbox::among(&hub.total, QUEUE),
        hub,
        followed: HashMap::new(),
    };
    let mut turn_at = Instant::now();
    loop {
        tokio::select! {
            () = follower.outbox.filled() => follower.keep(),
            () = sleep_until(turn_at) => {
                let snapshot = follower.hub.published.load();
                let hot = &snapshot.config.cache.hot_accounts;
                turn_at = Instant::now() + hot.window;
                let enabled = snapshot.cache.enabled();
                follower.turn(&HotAccounts { most: if enabled { hot.most } else { 0 }, ..*hot });
            }
        }
    }
}

impl HotAccountFollower {
    /// Keeps what was notified.
    fn keep(&mut self) {
        let snapshot = self.hub.published.load();
        while let Some(item) = self.outbox.take() {
            let told = feed_message::read(&item.into_text());
            let Some(FeedMessage::Notification(told)) = told else {
                continue;
            };
            if let Some((hot, topic)) = self.followed.get(&told.subscription)
                && let Some(teller) = topic.teller()
            {
                let pipeline = &self.hub.pipeline;
                pipeline.keep_heard(&snapshot, hot, &told.result, &teller);
            }
        }
    }

    /// Follows accounts that have become hot and drops those that no longer are.
    fn turn(&mut self, settings: &HotAccounts) {
        if self.outbox.has_overflowed() {
            // More arrived than can be kept: start anew with what is hottest now.
            self.leave(|_, _| true);
            self.outbox = Outbox::among(&self.hub.total, QUEUE);
        }
        let stays = settings.reads.div_ceil(2);
        let reads = self.hub.pipeline.hot.take().into_iter();
        let mut warm: Vec<_> = reads
            .filter(|hot| hot.reads >= stays)
            .filter_map(|hot| Some((spec(&hot)?, hot)))
            .collect();
        warm.sort_unstable_by_key(|(_, hot)| std::cmp::Reverse(hot.reads));
        warm.truncate(settings.most);
        let keys: HashSet<CacheKey> = warm.iter().map(|(_, hot)| hot.key()).collect();
        self.leave(|hot, topic| !keys.contains(&hot.key()) || topic.has_ended());
        let known: HashSet<CacheKey> = self.followed.values().map(|(hot, _)| hot.key()).collect();
        for (spec, hot) in warm {
            if hot.reads >= settings.reads && !known.contains(&hot.key()) {
                let id = self.hub.next_id();
                let subscriber = Subscriber::cache(&self.outbox);
                let (topic, _taken) = self.hub.join(&spec, id, subscriber);
                self.followed.insert(id, (hot, topic));
            }
        }
        self.hub.metrics.feed.hot(self.followed.len());
    }

    fn leave(&mut self, cools: impl Fn(&HotRead, &Topic) -> bool) {
        let hub = Arc::clone(&self.hub);
        self.followed.retain(|id, (hot, topic)| {
            let leaves = cools(hot, topic);
            if leaves {
                hub.leave(topic, *id);
            }
            !leaves
        });
    }
}

/// The subscription for what is read. `None` if its notifications would differ from answers.
fn spec(hot: &HotRead) -> Option<SubscriptionSpec> {
    let spec = SubscriptionSpec::read(SubscriptionKind::Account, hot.params()).ok()?;
    let config = spec.config();
    let encoding = config.get("encoding")?.as_str()?;
    ENCODINGS.contains(&encoding).then_some(spec)
}
