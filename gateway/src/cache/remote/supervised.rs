//! One connection that is kept up: opened without anybody waiting for it, dropped when it breaks or
//! falls silent, and reopened after a growing pause.
//!
//! The client library's own connection manager is not used: its callers wait while it connects, a
//! server that accepts and never answers keeps its connection for ever, and after a refused login
//! it does not retry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, RedisError, Value, cmd};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::connect::RedisConnector;
use super::connection::RedisConnection;
use super::connection_log::ConnectionLog;
use super::failure::RedisFailure;
use super::metrics::RedisMetrics;
use crate::config;

/// A connection that lasted this long was a good one: the next one is opened without a pause. A
/// slow connection gets the same time to recover before it is checked again.
const REST: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(50);

const FINE: u8 = 0;
const SLOW: u8 = 1;
const BROKEN: u8 = 2;

/// One connection, and what its users found out about it.
pub(super) struct SupervisedState {
    connection: RedisConnection,
    state: AtomicU8,
    /// Wakes the supervisor.
    trouble: Arc<Notify>,
}

impl SupervisedState {
    /// Sends a command and waits for the answer without a time limit.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        self.connection.ask(command).await
    }

    /// An answer did not arrive in time: the connection may be dead.
    pub(super) fn slow(&self) {
        self.is_now(SLOW);
    }

    /// The connection is unusable.
    pub(super) fn broken(&self) {
        self.is_now(BROKEN);
    }

    /// Records what an error says about the connection.
    pub(super) fn failed(&self, error: &RedisError) {
        match RedisFailure::of(error) {
            RedisFailure::Timeout => self.slow(),
            RedisFailure::Io | RedisFailure::Protocol => self.broken(),
            _ if error.is_unrecoverable_error() => self.broken(),
            _ => {}
        }
    }

    fn is_now(&self, state: u8) {
        if self.state.fetch_max(state, Ordering::AcqRel) < state {
            self.trouble.notify_one();
        }
    }

    /// Clears the slow mark, unless it has become worse.
    fn has_been_slow(&self) {
        let change = (Ordering::AcqRel, Ordering::Acquire);
        self.state
            .compare_exchange(SLOW, FINE, change.0, change.1)
            .ok();
    }

    fn is_broken(&self) -> bool {
        self.state.load(Ordering::Acquire) == BROKEN
    }
}

/// Why a connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkFailure {
    Broken,
    /// It is open, but nothing arrives.
    Silence,
}

pub(super) struct SupervisedConnection {
    current: watch::Sender<Option<Arc<SupervisedState>>>,
    trouble: Arc<Notify>,
    /// Until the task that keeps it up takes it.
    origin: Mutex<Option<RedisConnector>>,
    /// How long the server may take to answer a ping.
    patience: Duration,
    longest_pause: Duration,
    news: Arc<ConnectionLog>,
    metrics: RedisMetrics,
}

impl SupervisedConnection {
    pub(super) fn new(
        origin: RedisConnector,
        settings: &config::Redis,
        news: &Arc<ConnectionLog>,
        metrics: &RedisMetrics,
    ) -> Self {
        Self {
            current: watch::Sender::new(None),
            trouble: Arc::default(),
            origin: Mutex::new(Some(origin)),
            patience: settings.connect,
            longest_pause: settings.breaker.open,
            news: Arc::clone(news),
            metrics: metrics.clone(),
        }
    }

    /// The connection, if there is one.
    pub(super) fn live(&self) -> Option<Arc<SupervisedState>> {
        let live = self.current.borrow().clone();
        live.filter(|live| !live.is_broken())
    }

    pub(super) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// Waits for the connection.
    pub(super) async fn ready(&self) -> Arc<SupervisedState> {
        let mut current = self.current.subscribe();
        loop {
            if let Some(live) = self.live() {
                return live;
            }
            // The sender is owned by `self`, so it cannot be gone.
            drop(current.changed().await);
        }
    }

    /// Connects and stays connected; does not return.
    pub(super) async fn keep(self: Arc<Self>) {
        let Some(mut origin) = self.origin.lock().take() else {
            return;
        };
        let mut pauses = ReconnectBackoff::new(self.longest_pause);
        loop {
            let mut live = self.publish(self.establish(&mut origin, &mut pauses).await);
            let since = Instant::now();
            while self.trouble_with(&live).await == LinkFailure::Silence {
                // A Cluster may be silent in part: the old connection stays until there is a better
                // one.
                match origin.connect().await {
                    Ok(connection) => live = self.publish(connection),
                    Err(error) => {
                        self.news.failed(&error);
                        break;
                    }
                }
            }
            self.withdraw();
            if since.elapsed() >= REST {
                pauses.reset();
            }
        }
    }

    async fn establish(
        &self,
        origin: &mut RedisConnector,
        pauses: &mut ReconnectBackoff,
    ) -> RedisConnection {
        loop {
            sleep(pauses.next()).await;
            match origin.connect().await {
                Ok(connection) => return connection,
                Err(error) => self.news.failed(&error),
            }
        }
    }

    /// Waits until something is wrong with the connection.
    async fn trouble_with(&self, live: &SupervisedState) -> LinkFailure {
        loop {
            // A new connection, or a slow one, gets some time to recover.
            let broke = timeout(REST, self.reaches(live, BROKEN)).await;
            if broke.is_ok() {
                return LinkFailure::Broken;
            }
            self.reaches(live, SLOW).await;
            live.has_been_slow();
            if live.is_broken() {
                return LinkFailure::Broken;
            }
            if !self.answers(live).await {
                return if live.is_broken() {
                    LinkFailure::Broken
                } else {
                    LinkFailure::Silence
                };
            }
        }
    }

    /// Waits until the connection is at least this bad.
    async fn reaches(&self, live: &SupervisedState, state: u8) {
        while live.state.load(Ordering::Acquire) < state {
            self.trouble.notified().await;
        }
    }

    /// Whether the server responds at all; in a Cluster, every master.
    async fn answers(&self, live: &SupervisedState) -> bool {
        let answer = timeout(self.patience, live.ask(&cmd("PING"))).await;
        match answer {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                live.failed(&error);
                error.kind() == ErrorKind::Extension || matches!(error.kind(), ErrorKind::Server(_))
            }
            Err(_elapsed) => false,
        }
    }

    fn publish(&self, connection: RedisConnection) -> Arc<SupervisedState> {
        let live = Arc::new(SupervisedState {
            connection,
            state: AtomicU8::new(FINE),
            trouble: Arc::clone(&self.trouble),
        });
        if self.current.send_replace(Some(Arc::clone(&live))).is_none() {
            self.metrics.connected(true);
        }
        self.news.connected();
        live
    }

    /// Drops the connection: with its last user, its task and buffers end.
    fn withdraw(&self) {
        if self.current.send_replace(None).is_some() {
            self.metrics.connected(false);
        }
    }
}

impl Drop for SupervisedConnection {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// Growing pauses with jitter, so that replicas do not reconnect all at once.
pub(super) struct ReconnectBackoff {
    next: Duration,
    longest: Duration,
}

impl ReconnectBackoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            next: Duration::ZERO,
            longest,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).clamp(FIRST_PAUSE, self.longest.max(FIRST_PAUSE));
        pause.mul_f64(0.75 + 0.5 * fastrand::f64())
    }

    pub(super) fn reset(&mut self) {
        self.next = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again() {
        let mut pauses = ReconnectBackoff::new(Duration::from_secs(1));
        assert_eq!(pauses.next(), Duration::ZERO);
        for expected in [50, 100, 200, 400, 800, 1000, 1000] {
            let expected = Duration::from_millis(expected);
            let pause = pauses.next();
            assert!(
                (expected.mul_f64(0.75)..=expected.mul_f64(1.25)).contains(&pause),
                "{pause:?}"
            );
        }
        pauses.reset();
        assert_eq!(pauses.next(), Duration::ZERO);
    }
}
