//! Bytes of requests that are still incomplete, in all: of their bodies, and of the heads that wait for
//! them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::ClientConnections;

/// Bytes of one request, counted until it is complete or given up.
#[derive(Debug)]
pub(in crate::edge) struct BodyBytes {
    connections: Arc<ClientConnections>,
    bytes: usize,
    limit: usize,
}

impl BodyBytes {
    /// Counts more bytes; returns whether they fit.
    pub(in crate::edge) fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let before = self.connections.bodies.fetch_add(bytes, Ordering::Relaxed);
        // A single one may always arrive.
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

impl ClientConnections {
    /// Counts bytes of an incomplete request until they are released.
    pub(in crate::edge) fn unfinished_body(self: &Arc<Self>, limit: usize) -> BodyBytes {
        BodyBytes {
            connections: Arc::clone(self),
            bytes: 0,
            limit,
        }
    }
}
