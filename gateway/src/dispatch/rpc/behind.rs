//! Which nodes trail the others.

use crate::upstream::{Health, Upstream};

/// A node this many slots behind the others may know less than they do about a transaction.
pub(super) const FRESH_LAG: u64 = 2;

/// Whether a node trails the others.
pub(super) fn is_behind(upstream: &Upstream) -> bool {
    let live = upstream.state();
    live.health() != Health::Healthy || live.lag() > FRESH_LAG
}
