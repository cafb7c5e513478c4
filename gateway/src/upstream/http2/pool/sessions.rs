//! The open connections of a pool, and which of them gets the next stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::solana::FaultKind;
use crate::upstream::http2::session::Http2Connection;

/// From this many streams on another of the kept connections is used: streams share one TCP
/// connection, and a loss on it delays all of them.
pub(super) const COMFORTABLE: usize = 100;

/// The open connections, those that are being opened, and how many calls wait for one.
#[derive(Debug)]
pub(super) struct PoolSessions {
    pub(super) sessions: Vec<Arc<Http2Connection>>,
    pub(super) opening: usize,
    pub(super) waiting: usize,
    /// Streams the upstream allowed on a connection when it last said so.
    pub(super) each: usize,
    /// Number of failed openings so far, and the last fault.
    pub(super) failures: u64,
    pub(super) fault: FaultKind,
}

impl Default for PoolSessions {
    fn default() -> Self {
        Self {
            sessions: Vec::new(),
            opening: 0,
            waiting: 0,
            each: usize::MAX,
            failures: 0,
            fault: FaultKind::ConnectFailed,
        }
    }
}

impl PoolSessions {
    /// Whether the upstream allows another number of streams than was known.
    pub(super) fn learn(&mut self) -> bool {
        let known = self.sessions.iter().filter(|one| one.is_known());
        let Some(each) = known.map(|one| one.announced()).min() else {
            return false;
        };
        std::mem::replace(&mut self.each, each) != each
    }

    /// How many streams may be open on a connection. One without settings yet is assumed to be like
    /// the others.
    fn capacity(&self, session: &Http2Connection) -> usize {
        let capacity = session.capacity();
        if session.is_known() {
            capacity
        } else {
            capacity.min(self.each).max(1)
        }
    }

    /// The connection for the next stream: the first that is not crowded, so that surplus ones
    /// become idle; else the one with the fewest streams. A silent one, or one unused for too long,
    /// is used only if no other can be opened.
    pub(super) fn pick(&self, fresh: Duration, may_open: bool) -> Option<Arc<Http2Connection>> {
        let now = Instant::now();
        let room = |one: &&Arc<Http2Connection>| one.streams() < self.capacity(one);
        let suits = |one: &&Arc<Http2Connection>| {
            !one.is_doubted() && one.idle(now).is_none_or(|idle| idle < fresh)
        };
        let free = || self.sessions.iter().filter(room);
        free()
            .filter(suits)
            .find(|one| one.streams() < COMFORTABLE)
            .or_else(|| free().filter(suits).min_by_key(|one| one.streams()))
            .or_else(|| {
                let anyone = free().min_by_key(|one| one.streams());
                anyone.filter(|_| !may_open)
            })
            .cloned()
    }
}
