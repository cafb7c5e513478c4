//! Answer bytes not yet accepted by their clients, for one connection and in all.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::close_cause::CloseCause;
use super::held_bytes;
use super::state::ClientOrigin;
use super::tracked::TrackedConnection;
use super::{ClientConnections, SLOW};
use crate::config::Limits;

/// No more answer bytes may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct NoRoom;

/// Bytes waiting for their client while this is alive.
#[derive(Debug)]
pub(in crate::edge) struct UnsentBytes {
    tracked: Arc<TrackedConnection>,
    bytes: usize,
}

impl UnsentBytes {
    /// The client has accepted a good part of them.
    pub(in crate::edge) fn taken(&self) {
        let TrackedConnection {
            connections, state, ..
        } = &*self.tracked;
        state.taken_at.store(connections.now(), Ordering::Release);
    }
}

impl Drop for UnsentBytes {
    fn drop(&mut self) {
        let TrackedConnection {
            connections, state, ..
        } = &*self.tracked;
        held_bytes::remove(&state.held.unsent, &connections.unsent, self.bytes);
        let before = state.unsent.fetch_sub(self.bytes, Ordering::AcqRel);
        if before > self.bytes {
            self.taken();
        }
    }
}

impl TrackedConnection {
    /// Counts bytes as waiting. If they are too many, connections with the most bytes waiting for
    /// longest are closed: those of all where all hold too much, otherwise those of the same origin.
    pub(in crate::edge) fn charge(
        self: &Arc<Self>,
        bytes: usize,
        limits: &Limits,
    ) -> Result<UnsentBytes, NoRoom> {
        let connections = &self.connections;
        let before = self.state.unsent.fetch_add(bytes, Ordering::AcqRel);
        let own = &self.state.held.unsent;
        let excess = held_bytes::add(own, &connections.unsent, bytes, limits.unsent);
        let charge = UnsentBytes {
            tracked: Arc::clone(self),
            bytes,
        };
        if before == 0 {
            charge.taken();
        }
        let too_much_here = before > 0 && before + bytes > limits.unsent_per_connection;
        let all = connections.unsent.load(Ordering::Acquire);
        let too_much = excess > 0 && all > before + bytes;
        let among = self.state.origin.filter(|_| all <= limits.unsent);
        if too_much_here || (too_much && !connections.cut_slowest(among, excess)) {
            connections.trouble.unsent.fetch_add(1, Ordering::Relaxed);
            return Err(NoRoom);
        }
        Ok(charge)
    }

    /// Whether so many bytes wait for the client that nothing should be added.
    pub(in crate::edge) fn has_no_room(&self, limits: &Limits) -> bool {
        self.state.unsent.load(Ordering::Acquire) >= limits.unsent_per_connection
    }
}

impl ClientConnections {
    /// Closes slow connections, of one origin or of all, until this many bytes are free, or will be once
    /// they have ended; returns whether there were enough.
    fn cut_slowest(&self, among: Option<ClientOrigin>, needed: usize) -> bool {
        let now = self.now();
        let slow = u64::try_from(SLOW.as_millis()).unwrap_or(u64::MAX);
        let table = self.table.lock();
        let mut slowest: Vec<_> = table
            .iter()
            .filter(|state| among.is_none_or(|origin| state.origin == Some(origin)))
            .filter_map(|state| {
                let stalled = now.saturating_sub(state.stalled_since()?);
                let bytes = state.unsent.load(Ordering::Acquire);
                let held = stalled.saturating_mul(bytes as u64);
                (stalled >= slow).then_some((held, bytes, state))
            })
            .collect();
        slowest.sort_unstable_by_key(|(held, ..)| std::cmp::Reverse(*held));
        let mut freed = 0;
        for (_, bytes, state) in slowest {
            if freed >= needed {
                break;
            }
            // Connections closed already are about to release theirs.
            if state.cut(CloseCause::Unsent, &self.metrics) {
                self.trouble.unsent.fetch_add(1, Ordering::Relaxed);
            }
            freed += bytes;
        }
        freed >= needed
    }
}
