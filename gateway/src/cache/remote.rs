//! The cache that gateways share, in Redis. It saves calls, but nothing depends on it.
//!
//! ```text
//! get ─▶ connected? ─▶ below `concurrency`? ─▶ breaker? ─▶ GETRANGE, at most `deadline` ─▶ open ─▶ CacheEntry
//! put ─▶ queue (the oldest are dropped) ─▶ writer ─▶ seal ─▶ EVALSHA: a newer slot wins
//! ```
//!
//! No caller ever waits for a connection, sees an error, or waits longer than the deadline.
//! Connections are kept up by tasks of their own. The layout of keys and values belongs to
//! [`perijove_core::redis`]; the freshness of an entry, to [`CacheEntry::freshness`].

mod breaker;
mod claim;
mod codec;
mod connect;
mod connection;
mod connection_log;
mod failure;
mod feed;
mod forget;
mod leases;
mod metrics;
mod prices;
mod put;
mod status;
mod supervised;
mod write_queue;
mod writer;

#[cfg(test)]
pub(super) mod testing;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use parking_lot::Mutex;
use perijove_core::essential::essential;
use perijove_core::redis as schema;
use perijove_core::{BreakerState, UnixClock};
use redis::{Cmd, Value, cmd};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use self::breaker::RedisBreaker;
use self::connect::{ClientSettings, RedisConnector};
use self::connection_log::ConnectionLog;
use self::failure::{RedisFailure, RedisOperation};
use self::feed::TradeFeed;
use self::supervised::{SupervisedConnection, SupervisedState};
use self::write_queue::WriteQueue;
use self::writer::Writer;
use super::{CacheEntry, CacheKey, Lookup, PoolTrades};
use crate::config;

pub use self::claim::{Awaited, Claim, Claimed};
pub use self::connect::{RedisConfigError, RedisTrustError};
pub use self::leases::BucketLease;
pub use self::metrics::RedisMetrics;
pub use self::status::RemoteStatus;

/// Maximum size of a stored body beyond the bytes of the answer.
const BEYOND_ANSWER: usize = 1024;

/// The shared cache. Dropping it closes its connections.
pub struct RedisCache {
    settings: config::Redis,
    maker: ClientSettings,
    /// Longest body that is read, in bytes.
    longest: usize,
    /// Lookups are spread over these.
    links: Vec<Arc<SupervisedConnection>>,
    turn: AtomicUsize,
    places: Semaphore,
    breaker: Mutex<RedisBreaker>,
    queue: Arc<WriteQueue>,
    /// Until then nobody waits for a write: one came too late.
    writes_late: Mutex<Option<Instant>>,
    news: Arc<ConnectionLog>,
    metrics: RedisMetrics,
    /// The writer, until it is started.
    writer: Mutex<Option<Writer>>,
    tasks: Mutex<Vec<AbortHandle>>,
    /// The subscription to trades.
    feed: Mutex<Option<AbortHandle>>,
}

impl RedisCache {
    /// Prepares the cache. `longest` is the maximum size in bytes of an answer that is read or
    /// written.
    ///
    /// # Errors
    /// Certificates that cannot be used. A server that does not answer is not an error.
    pub fn new(
        settings: &config::Redis,
        longest: usize,
        metrics: RedisMetrics,
        clock: UnixClock,
    ) -> Result<Arc<Self>, RedisConfigError> {
        let news = Arc::new(ConnectionLog::new(settings.servers()));
        let maker = ClientSettings::new(settings)?;
        let link = || {
            let link =
                SupervisedConnection::new(RedisConnector::new(&maker)?, settings, &news, &metrics);
            Ok::<_, RedisConfigError>(Arc::new(link))
        };
        let links = (0..settings.connections.max(1))
            .map(|_| link())
            .collect::<Result<Vec<_>, _>>()?;
        let writing = link()?;
        let queue = Arc::new(WriteQueue::new(settings.queue, settings.queue_bytes));
        let others = links.iter().chain([&writing]).map(Arc::clone).collect();
        let writer = Writer::new(writing, others, &queue, settings, &metrics, clock);
        let writer = writer.telling(&news);
        Ok(Arc::new(Self {
            longest: longest.saturating_add(BEYOND_ANSWER).min(schema::LONGEST),
            links,
            turn: AtomicUsize::new(0),
            places: Semaphore::new(settings.concurrency),
            breaker: Mutex::new(RedisBreaker::new(&settings.breaker)),
            queue,
            writes_late: Mutex::default(),
            news,
            metrics,
            writer: Mutex::new(Some(writer)),
            tasks: Mutex::default(),
            feed: Mutex::default(),
            settings: settings.clone(),
            maker,
        }))
    }

    /// Whether this cache matches these settings.
    pub fn is(&self, settings: &config::Redis, longest: usize) -> bool {
        self.maker.is(settings)
            && self.longest == longest.saturating_add(BEYOND_ANSWER).min(schema::LONGEST)
    }

    /// Begins to connect and to write, on this runtime. Until then lookups find nothing and writes
    /// wait. Further calls do nothing.
    pub fn start(&self, runtime: &Handle) {
        let Some(writer) = self.writer.lock().take() else {
            return;
        };
        // A previous shared cache may have left another state.
        self.metrics.breaker(BreakerState::Closed);
        self.metrics.queued(&self.queue);
        let mut tasks = self.tasks.lock();
        for link in writer.links() {
            let keep = essential("Redis connection", Arc::clone(link).keep());
            tasks.push(runtime.spawn(keep).abort_handle());
        }
        let writer = essential("Redis writer", writer.run());
        tasks.push(runtime.spawn(writer).abort_handle());
    }

    /// Feeds `trades` with the trades that ingest publishes, or stops doing so.
    pub fn listen(&self, trades: Option<&Arc<PoolTrades>>, runtime: &Handle) {
        let mut feed = self.feed.lock();
        let Some(trades) = trades else {
            if let Some(task) = feed.take() {
                task.abort();
            }
            return;
        };
        if feed.is_some() {
            return;
        }
        match RedisConnector::new(&self.maker) {
            Ok(origin) => {
                let listener = TradeFeed::new(origin, trades, self.settings.breaker.open);
                let listen = essential("pool trades", listener.listen());
                *feed = Some(runtime.spawn(listen).abort_handle());
            }
            Err(error) => {
                let servers = self.settings.servers();
                tracing::warn!(%error, servers, "subscription to pool trades failed");
            }
        }
    }

    /// The entry of a key, if it is found in time.
    ///
    /// # Errors
    /// Otherwise the result of the lookup: [`Lookup::Miss`], [`Lookup::Slow`] or [`Lookup::Error`].
    /// Callers treat them alike.
    pub async fn get(&self, key: CacheKey) -> Result<CacheEntry, Lookup> {
        match self.look_up(key).await {
            Ok(entry) => entry.ok_or(Lookup::Miss),
            Err(failure) => {
                self.metrics.failure(RedisOperation::Lookup, failure);
                Err(failure.into())
            }
        }
    }

    /// The entries of several keys, in their order. All share one deadline.
    pub async fn get_many(&self, keys: &[CacheKey]) -> Vec<Result<CacheEntry, Lookup>> {
        join_all(keys.iter().map(|key| self.get(*key))).await
    }

    /// State of the shared cache, for the status page.
    pub fn status(&self) -> RemoteStatus {
        RemoteStatus {
            mode: status::mode(self.settings.mode),
            connections: self.links.iter().filter(|link| link.is_live()).count(),
            of_connections: self.links.len(),
            breaker: self.breaker.lock().state().label(),
            waiting_writes: self.queue.waiting().0,
            trouble: self.news.trouble(),
        }
    }

    async fn look_up(&self, key: CacheKey) -> Result<Option<CacheEntry>, RedisFailure> {
        let began = Instant::now();
        let name = schema::answer(key.to_bytes());
        let answer = self.ask(&range(&name, self.longest), bytes).await;
        if answer
            .as_ref()
            .err()
            .is_none_or(|failure| failure.was_sent())
        {
            self.metrics.took(began.elapsed());
        }
        match answer? {
            value if value.is_empty() => Ok(None),
            value => codec::open(&name, value, self.longest)
                .map(Some)
                .ok_or(RedisFailure::Unreadable),
        }
    }

    /// Sends a command if there is a connection, a free place and a closed breaker. A reply that
    /// `read` does not understand is not a reply of Redis.
    async fn ask<T>(&self, command: &Cmd, read: fn(Value) -> Option<T>) -> Result<T, RedisFailure> {
        let live = self.live().ok_or(RedisFailure::Down)?;
        let place = self.places.try_acquire();
        let _place = place.map_err(|_all_taken| RedisFailure::Busy)?;
        if !self.breaker.lock().admits(Instant::now()) {
            return Err(RedisFailure::BreakerOpen);
        }
        let answer = self.send(&live, command, read).await;
        self.judge(answer.as_ref().err().copied());
        answer
    }

    async fn send<T>(
        &self,
        live: &SupervisedState,
        command: &Cmd,
        read: fn(Value) -> Option<T>,
    ) -> Result<T, RedisFailure> {
        let answer = timeout(self.settings.deadline, live.ask(command)).await;
        match answer {
            Ok(Ok(value)) => read(value).ok_or_else(|| {
                live.broken();
                RedisFailure::Protocol
            }),
            Ok(Err(error)) => {
                live.failed(&error);
                Err(RedisFailure::of(&error))
            }
            Err(_elapsed) => {
                live.slow();
                Err(RedisFailure::Timeout)
            }
        }
    }

    /// Reports the result of a lookup to the breaker.
    fn judge(&self, failure: Option<RedisFailure>) {
        let mut breaker = self.breaker.lock();
        let before = breaker.state();
        match failure {
            None | Some(RedisFailure::Unreadable) => breaker.success(),
            Some(_) => breaker.failure(Instant::now()),
        }
        let after = breaker.state();
        drop(breaker);
        self.metrics.breaker(after);
        if before == BreakerState::Closed && after == BreakerState::Open {
            tracing::warn!(
                servers = self.settings.servers(),
                failure = failure.map(RedisFailure::label),
                "shared cache unavailable; continuing without it"
            );
        } else if before != BreakerState::Closed && after == BreakerState::Closed {
            tracing::info!("shared cache available again");
        }
    }

    /// The next live connection.
    fn live(&self) -> Option<Arc<SupervisedState>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.links.len().max(1);
        let (before, from) = self.links.split_at_checked(turn)?;
        from.iter().chain(before).find_map(|link| link.live())
    }
}

/// The value of a key; empty if there is none.
fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(value) => Some(value),
        Value::Nil => Some(Vec::new()),
        _ => None,
    }
}

/// `GETRANGE` instead of `GET`: whatever is stored under the key, no more than the allowed length
/// is sent.
fn range(name: &str, longest: usize) -> Cmd {
    let mut command = cmd("GETRANGE");
    command.arg(name).arg(0).arg(schema::HEADER + longest - 1);
    command
}

impl Drop for RedisCache {
    fn drop(&mut self) {
        for task in self
            .tasks
            .get_mut()
            .iter()
            .chain(self.feed.get_mut().iter())
        {
            task.abort();
        }
    }
}
