//! The ids of requests, unique in this process, so that even an answer meant for another
//! connection's request is recognised.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::jsonrpc::RequestId;

/// Begins at a random number of ten digits, so that it does not match by chance a server that
/// always sends the same id, or answers to another gateway. From there it does not reach the
/// numbers that servers which read them as floating point cannot represent.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
    let random = RandomState::new().hash_one(0);
    AtomicU64::new(1_000_000_000 + random % 8_000_000_000)
});

/// The id of the next request.
pub(super) fn next() -> RequestId {
    NEXT.fetch_add(1, Ordering::Relaxed).into()
}
