//! The client connections: their limits, in all and per address, which of them are idle and since
//! when, and disconnecting those that hold up others.
//!
//! A connection is registered from the moment it is accepted, before any handshake, until its
//! socket is closed. Requests only touch a few counters of their own connection.

mod backlog;
mod metrics;
mod table;
mod tracked;
mod unsent;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::backlog::Backlog;
pub use self::backlog::KeepUp;
use self::metrics::ConnectionMetrics;
use self::table::{BoundReached, ConnectionTable};
use self::tracked::CloseCause;
pub(super) use self::tracked::TrackedConnection;
pub(super) use self::unsent::{NoRoom, UnsentBytes};
use crate::config::Limits;

/// Maximum number of connections unless the configuration or the file descriptors allow fewer.
const MOST: usize = 16_384;
/// An answer pending for less than this is in transit; its client is not slow.
const SLOW: Duration = Duration::from_secs(1);
/// While the gateway stops, how long a client may take for each 64 KiB of its answer.
pub(super) const PATIENCE_WHEN_STOPPING: Duration = Duration::from_secs(5);

/// All client connections.
#[derive(Debug)]
pub struct ClientConnections {
    born: Instant,
    /// The number that file descriptors allow, if known.
    most: usize,
    table: Mutex<ConnectionTable>,
    backlog: Backlog,
    /// Answer bytes not yet accepted by their clients.
    unsent: AtomicUsize,
    /// Bytes of incomplete bodies.
    bodies: AtomicUsize,
    metrics: ConnectionMetrics,
    trouble: ConnectionTrouble,
    stopping: Arc<Stopping>,
}

/// State of stopping.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    begun: AtomicBool,
    /// When, on the clock of [`ClientConnections`].
    at: AtomicU64,
    told: Arc<Notify>,
}

impl Stopping {
    /// Resolves when stopping has begun.
    pub(super) async fn begins(self: Arc<Self>) {
        let told = Arc::clone(&self.told).notified_owned();
        if !self.begun.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// Events since the last check, for the log.
#[derive(Debug, Default)]
pub(super) struct ConnectionTrouble {
    /// Connections refused or closed because there were too many.
    pub crowded: AtomicU64,
    /// Answers refused, and connections closed, because too many bytes waited for slow clients.
    pub unsent: AtomicU64,
    /// Requests refused because too many bodies were incomplete.
    pub bodies: AtomicU64,
}

/// An admitted connection; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct AdmittedConnection(Arc<TrackedConnection>);

impl std::ops::Deref for AdmittedConnection {
    type Target = Arc<TrackedConnection>;

    fn deref(&self) -> &Arc<TrackedConnection> {
        &self.0
    }
}

impl Drop for AdmittedConnection {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        let mut table = connections.table.lock();
        table.remove(&self.0);
        connections.metrics.open(table.len());
        drop(table);
        if self.0.was_crowded_out() {
            connections.backlog.left();
        }
    }
}

impl ClientConnections {
    /// `allowed` is how many connections the process's file descriptors allow.
    ///
    /// # Errors
    /// A metric's name is taken in `registry`.
    pub fn new(allowed: Option<usize>, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            born: Instant::now(),
            most: allowed.unwrap_or(MOST),
            table: Mutex::default(),
            backlog: Backlog::default(),
            unsent: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            metrics: ConnectionMetrics::register(registry)?,
            trouble: ConnectionTrouble::default(),
            stopping: Arc::default(),
        })
    }

    /// Admits a new connection. If there are too many, the one that has been idle for longest is
    /// closed: of the same address if that has too many, otherwise of all. `None` if none is idle.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        limits: &Limits,
    ) -> Option<AdmittedConnection> {
        self.backlog.arrived();
        let bounds = self.bounds(limits);
        let tracked = Arc::new(TrackedConnection::new(Arc::clone(self), address));
        let mut table = self.table.lock();
        self.metrics.limit(bounds.all);
        if let Some(full) = table.full(&tracked, bounds) {
            self.trouble.crowded.fetch_add(1, Ordering::Relaxed);
            let among = match full {
                BoundReached::Address => tracked.origin,
                BoundReached::All => None,
            };
            if !table.make_room(among) {
                self.metrics.refused(full.label());
                return None;
            }
            self.backlog.leaves();
        }
        table.insert(Arc::clone(&tracked));
        self.metrics.open(table.len());
        Some(AdmittedConnection(tracked))
    }

    /// The current limits.
    pub fn bounds(&self, limits: &Limits) -> ConnectionBounds {
        let all = limits.connections.unwrap_or(MOST).min(self.most).max(1);
        let half = all.div_ceil(2);
        ConnectionBounds {
            all,
            per_address: limits.connections_per_address.unwrap_or(half).min(all),
        }
    }

    /// Closes connections whose clients accept nothing of what waits for them. While the gateway
    /// stops, no client is waited for for long.
    pub(super) fn cut_stalled(&self, write_timeout: Duration, stopping: bool) {
        if stopping && !self.stopping.begun.load(Ordering::Acquire) {
            self.stopping.at.store(self.now(), Ordering::Release);
            self.stopping.begun.store(true, Ordering::Release);
            self.stopping.told.notify_waiters();
        }
        let patience = if stopping {
            write_timeout.min(PATIENCE_WHEN_STOPPING)
        } else {
            write_timeout
        };
        let before = self.millis_before(patience);
        // A client that was idle before stopping began gets as much time as all others.
        let waited = stopping && self.stopping.at.load(Ordering::Acquire) <= before;
        let table = self.table.lock();
        for tracked in table.iter() {
            if tracked.stalled_since().is_some_and(|since| since <= before) {
                tracked.cut(CloseCause::Stalled);
            } else if waited && tracked.waits_since().is_some_and(|since| since <= before) {
                tracked.dismiss();
            }
        }
    }

    /// Closes all connections on which no request is in progress or has arrived.
    pub fn dismiss_idle(&self) {
        self.table
            .lock()
            .iter()
            .for_each(|tracked| tracked.dismiss());
    }

    /// Counts bytes of an incomplete body until they are released.
    pub(super) fn unfinished_body(self: &Arc<Self>, limit: usize) -> BodyBytes {
        BodyBytes {
            connections: Arc::clone(self),
            bytes: 0,
            limit,
        }
    }

    /// Updates the gauges when metrics are scraped.
    pub(super) fn tell_metrics(&self) {
        self.metrics.unsent(self.unsent.load(Ordering::Relaxed));
        self.metrics.bodies(self.bodies.load(Ordering::Relaxed));
    }

    /// For `/status`.
    pub(super) fn status(&self, limits: &Limits) -> serde_json::Value {
        let bounds = self.bounds(limits);
        serde_json::json!({
            "open": self.table.lock().len(),
            "limit": bounds.all,
            "limit_per_address": bounds.per_address,
            "unsent_bytes": self.unsent.load(Ordering::Relaxed),
            "unfinished_body_bytes": self.bodies.load(Ordering::Relaxed),
        })
    }

    pub(super) fn stopping(&self) -> Arc<Stopping> {
        Arc::clone(&self.stopping)
    }

    pub(super) fn trouble(&self) -> &ConnectionTrouble {
        &self.trouble
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.born);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        self.millis(Instant::now())
    }

    /// The time `ago` before now; 0 is the start, when nothing had waited yet.
    fn millis_before(&self, ago: Duration) -> u64 {
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        self.now().saturating_sub(ago)
    }
}

/// Limits of client connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    pub all: usize,
    pub per_address: usize,
}

/// Bytes of one body, counted until it is complete or given up.
#[derive(Debug)]
pub(super) struct BodyBytes {
    connections: Arc<ClientConnections>,
    bytes: usize,
    limit: usize,
}

impl BodyBytes {
    /// Counts more bytes; returns whether they fit.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let before = self.connections.bodies.fetch_add(bytes, Ordering::Relaxed);
        // A single body may always arrive.
        let fits = before + bytes <= self.limit || before + bytes == self.bytes;
        if !fits {
            self.connections
                .trouble
                .bodies
                .fetch_add(1, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        self.connections
            .bodies
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
