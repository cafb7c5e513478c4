//! What the tests begin with: a shared cache with its metrics, entries and keys.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::{Commitment, Slot, UnixClock};
use perijove_gateway::cache::{
    CacheEntry, CacheKey, Expiry, KeyScope, Lifetime, RedisCache, RedisMetrics, ScopedKeys,
};
use perijove_gateway::config::{Redis, RedisMode, RedisUrl};
use perijove_gateway::jsonrpc::Answer;
use perijove_gateway::solana::{canonical, classify};
use perijove_tests::metrics::Metrics;
use perijove_tests::wait::{eventually, until};
use prometheus::{Registry, TextEncoder};
use tokio::runtime::Handle;

/// The longest answer that is kept.
pub const LONGEST: usize = 1024 * 1024;

/// As long as an answer lives where it does not matter.
pub const LONG: Duration = Duration::from_mins(10);

/// A single server. Lookups may take long: most tests are not about the deadline.
pub fn at(url: &str) -> Redis {
    Redis {
        deadline: Duration::from_secs(2),
        ..Redis::at(RedisUrl::parse(url).unwrap())
    }
}

/// Several servers of one kind.
pub fn among(urls: &[String], mode: RedisMode) -> Redis {
    let urls: Vec<_> = urls
        .iter()
        .map(|url| RedisUrl::parse(url).unwrap())
        .collect();
    Redis {
        mode,
        ..Redis {
            urls: urls.clone(),
            ..at(urls[0].expose().as_str())
        }
    }
}

/// A shared cache and what it counts.
pub struct Scene {
    pub remote: Arc<RedisCache>,
    registry: Registry,
    connections: usize,
}

impl Scene {
    /// Starts it, whether or not anybody listens.
    pub fn start(settings: &Redis) -> Self {
        let scene = Self::idle(settings);
        scene.remote.start(&Handle::current());
        scene
    }

    /// Does not start it.
    pub fn idle(settings: &Redis) -> Self {
        let registry = Registry::new();
        let metrics = RedisMetrics::register(&registry).unwrap();
        Self {
            remote: RedisCache::new(
                settings,
                LONGEST,
                metrics,
                UnixClock::new(|| 1_763_731_200_000),
            )
            .unwrap(),
            registry,
            connections: settings.connections + 1,
        }
    }

    /// Starts it and waits until all its connections are there.
    pub async fn connected(settings: &Redis) -> Self {
        let scene = Self::start(settings);
        scene.wait_connected().await;
        scene
    }

    pub async fn wait_connected(&self) {
        let all = u64::try_from(self.connections).unwrap();
        eventually("all connections", || {
            self.count("perijove_redis_connections", &[]) == all
        })
        .await;
    }

    /// The value of a metric, over all series with these labels.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are small whole numbers"
        )]
        let count = Metrics::parse(&text).sum(name, labels) as u64;
        count
    }

    /// Lookups that failed for this reason.
    pub fn failed(&self, kind: &str) -> u64 {
        let labels = [("operation", "lookup"), ("kind", kind)];
        self.count("perijove_redis_errors_total", &labels)
    }

    /// Writes that ended so.
    pub fn written(&self, outcome: &str) -> u64 {
        self.count("perijove_redis_writes_total", &[("outcome", outcome)])
    }

    /// The entry of a key, if it is found.
    pub async fn get(&self, key: CacheKey) -> Option<CacheEntry> {
        self.remote.get(key).await.ok()
    }

    /// Puts an entry and waits until it was written.
    pub async fn store(&self, key: CacheKey, entry: &CacheEntry) {
        let before = self.written("written");
        self.remote.put(key, &Arc::new(entry.clone()), LONG);
        eventually("the entry to be written", || {
            self.written("written") > before
        })
        .await;
    }

    /// Puts an entry until it is found: for servers that have not been there for a while.
    pub async fn until_kept(&self, key: CacheKey, entry: &CacheEntry) {
        until("the entry to be kept", || async {
            self.remote.put(key, &Arc::new(entry.clone()), LONG);
            (self.get(key).await.as_ref() == Some(entry)).then_some(())
        })
        .await;
    }
}

/// The key of some call.
pub fn key(number: u64) -> CacheKey {
    let params = format!("[{number}]").into_bytes();
    let class = classify("getBlock", Some(&params));
    let canonical = canonical(&class, Some(&params)).unwrap();
    ScopedKeys::new("genesis", &canonical, b"").at(KeyScope::Permanent)
}

/// What it is called in Redis.
pub fn name(key: CacheKey) -> String {
    perijove_core::redis::answer(key.to_bytes())
}

/// An answer of few bytes, read at this slot.
pub fn balance(slot: u64) -> CacheEntry {
    entry(
        &format!(
            r#"{{"jsonrpc":"2.0","result":{{"context":{{"slot":{slot}}},"value":{slot}}},"id":1}}"#
        ),
        slot,
    )
}

/// An answer of that many bytes and some, all alike.
pub fn long(bytes: usize) -> CacheEntry {
    let text = "a".repeat(bytes);
    entry(
        &format!(r#"{{"jsonrpc":"2.0","result":"{text}","id":1}}"#),
        100,
    )
}

fn entry(body: &str, slot: u64) -> CacheEntry {
    let answer = Answer::scan(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    CacheEntry {
        answer: answer.template(),
        read_at: Slot(slot),
        dated: true,
        lifetime: Lifetime::Until(Expiry {
            now: Slot(slot + 2),
            commitment: Commitment::Confirmed,
            reach: Slot(slot + 1),
        }),
        upstream: "validator".into(),
    }
}
