//! What the clients of one origin make the gateway hold, so that none of them takes the room of all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes held for one origin, on all its connections.
#[derive(Debug, Default)]
pub(super) struct HeldBytes {
    /// Of answers not yet accepted.
    pub(super) unsent: AtomicUsize,
    /// Of requests that are still incomplete.
    pub(super) unfinished: AtomicUsize,
}

/// Adds bytes to what is held for one origin and in all; returns by how much that is too much.
///
/// An origin may hold as much as is free: alone half of the limit, one of two a third, and as much
/// again is always left for a further one (dynamic thresholds, as in the buffers of switches: Choudhury
/// and Hahne, 1998).
pub(super) fn add(own: &AtomicUsize, all: &AtomicUsize, bytes: usize, limit: usize) -> usize {
    let own = own.fetch_add(bytes, Ordering::AcqRel) + bytes;
    let before = all.fetch_add(bytes, Ordering::AcqRel);
    (own + before).saturating_sub(limit)
}

/// Removes bytes that were added.
pub(super) fn remove(own: &AtomicUsize, all: &AtomicUsize, bytes: usize) {
    all.fetch_sub(bytes, Ordering::AcqRel);
    own.fetch_sub(bytes, Ordering::AcqRel);
}
