//! Which connections are admitted, and for how long they count.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::state::{ClientOrigin, ConnectionState};
use super::table::BoundReached;
use super::tracked::TrackedConnection;
use super::{ClientConnections, HELD};
use crate::config::Limits;

/// An admitted connection; it counts until this is dropped.
#[derive(Debug)]
pub(in crate::edge) struct AdmittedConnection(Arc<TrackedConnection>);

impl std::ops::Deref for AdmittedConnection {
    type Target = Arc<TrackedConnection>;

    fn deref(&self) -> &Arc<TrackedConnection> {
        &self.0
    }
}

impl Drop for AdmittedConnection {
    fn drop(&mut self) {
        let TrackedConnection {
            connections, state, ..
        } = &*self.0;
        let mut table = connections.table.lock();
        table.remove(state);
        connections.metrics.open(table.len());
        drop(table);
        if state.was_crowded_out() {
            connections.backlog.left();
        }
    }
}

impl ClientConnections {
    /// Admits a new connection. If there are too many, the one that has been idle for longest is
    /// closed: of the same address if that has too many, otherwise of all. If none is idle, one of which
    /// the client accepts no answers, or uses no socket, makes room after a while. `None` if there is none.
    pub(in crate::edge) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        limits: &Limits,
    ) -> Option<AdmittedConnection> {
        self.backlog.arrived();
        let bounds = self.bounds(limits);
        let origin = address.map(ClientOrigin::of);
        let mut table = self.table.lock();
        self.metrics.limit(bounds.all);
        if let Some(full) = table.full(origin, bounds) {
            let (counter, among) = match full {
                BoundReached::Address => (&self.trouble.crowded_address, origin),
                BoundReached::All => (&self.trouble.crowded, None),
            };
            counter.fetch_add(1, Ordering::Relaxed);
            let held = self.millis_before(HELD);
            if !table.make_room(among, held, &self.metrics) {
                self.metrics.refused(full.label());
                return None;
            }
            self.backlog.leaves();
        }
        let state = ConnectionState::new(origin, table.held_for(origin), self.now());
        let state = Arc::new(state);
        table.insert(Arc::clone(&state));
        self.metrics.open(table.len());
        let tracked = TrackedConnection::new(self, state, address);
        Some(AdmittedConnection(Arc::new(tracked)))
    }
}
