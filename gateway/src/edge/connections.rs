//! The client connections: their limits, in all and per address, which of them are idle and since
//! when, and disconnecting those that hold up others.
//!
//! A connection is registered from the moment it is accepted, before any handshake, until its
//! socket is closed. Requests only touch a few counters of their own connection.

mod admitted;
mod backlog;
mod bodies;
mod close_cause;
mod held_bytes;
mod keep_up;
mod metrics;
mod state;
mod stopping;
mod table;
mod tracked;
mod unsent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::time::Instant;

pub(super) use self::admitted::AdmittedConnection;
use self::backlog::Backlog;
use self::close_cause::CloseCause;
pub use self::keep_up::KeepUp;
use self::metrics::ConnectionMetrics;
use self::stopping::Stopping;
use self::table::{ClientConnectionBounds, ConnectionTable};
pub(super) use self::tracked::{ServingRequest, TrackedConnection};
pub(super) use self::unsent::{NoRoom, UnsentBytes};
use crate::config::Limits;

/// Maximum number of connections unless the configuration or the file descriptors allow fewer.
const MOST: usize = 16_384;
/// An answer pending for less than this is in transit; its client is not slow.
const SLOW: Duration = Duration::from_secs(1);
/// A connection that its client alone keeps busy makes room for others after this long.
const HELD: Duration = Duration::from_secs(5);
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
    /// Bytes of incomplete requests.
    bodies: AtomicUsize,
    metrics: ConnectionMetrics,
    trouble: ConnectionTrouble,
    stopping: Arc<Stopping>,
}

/// Events since the last check, for the log.
#[derive(Debug, Default)]
pub(super) struct ConnectionTrouble {
    /// Connections refused or closed because there were too many.
    pub crowded: AtomicU64,
    /// The same because there were too many of one address.
    pub crowded_address: AtomicU64,
    /// Answers refused, and connections closed, because too many bytes waited for slow clients.
    pub unsent: AtomicU64,
    /// Requests refused because too many were incomplete.
    pub bodies: AtomicU64,
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

    /// The current limits.
    pub fn bounds(&self, limits: &Limits) -> ClientConnectionBounds {
        let all = limits.connections.unwrap_or(MOST).min(self.most).max(1);
        let half = all.div_ceil(2);
        ClientConnectionBounds {
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
        for state in table.iter() {
            if state.stalled_since().is_some_and(|since| since <= before) {
                state.cut(CloseCause::Stalled, &self.metrics);
            } else if waited && state.waits_since().is_some_and(|since| since <= before) {
                state.dismiss();
            }
        }
    }

    /// Closes all connections on which no request is in progress or has arrived.
    pub fn dismiss_idle(&self) {
        self.table.lock().iter().for_each(|state| state.dismiss());
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

#[cfg(test)]
mod tests;
