//! Bytes of requests that are still incomplete: of their bodies, and of the heads that wait for them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::held_bytes;
use super::tracked::TrackedConnection;

/// Bytes of one request, counted until it is complete or given up.
#[derive(Debug)]
pub(in crate::edge) struct BodyBytes {
    tracked: Arc<TrackedConnection>,
    bytes: usize,
    limit: usize,
}

impl BodyBytes {
    /// Counts more bytes; returns whether they fit.
    pub(in crate::edge) fn add(&mut self, bytes: usize) -> bool {
        let connections = &self.tracked.connections;
        let (own, all) = (&self.tracked.state.held.unfinished, &connections.bodies);
        self.bytes += bytes;
        let fits = held_bytes::add(own, all, bytes, self.limit) == 0
            // A single one may always arrive.
            || all.load(Ordering::Acquire) == self.bytes;
        if !fits {
            connections.trouble.bodies.fetch_add(1, Ordering::Relaxed);
        }
        fits
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        let own = &self.tracked.state.held.unfinished;
        held_bytes::remove(own, &self.tracked.connections.bodies, self.bytes);
    }
}

impl TrackedConnection {
    /// Counts bytes of an incomplete request until they are released.
    pub(in crate::edge) fn unfinished_body(self: &Arc<Self>, limit: usize) -> BodyBytes {
        BodyBytes {
            tracked: Arc::clone(self),
            bytes: 0,
            limit,
        }
    }
}
