//! What the task of a connection and its users know of it together.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use tokio::time::Instant;

/// State shared by the task of a connection and its users.
#[derive(Debug)]
pub(super) struct Vitals {
    /// Streams in use.
    pub(super) streams: AtomicUsize,
    /// Streams opened so far.
    pub(super) asked: AtomicU64,
    /// Maximum number of streams, as refused ones showed; each answer allows one more.
    pub(super) most: AtomicUsize,
    /// The upstream has announced its limit of streams.
    pub(super) known: AtomicBool,
    /// It has ended, or accepts no more streams.
    pub(super) closed: AtomicBool,
    /// It is silent although calls wait.
    pub(super) doubted: AtomicBool,
    /// Some answer has come over it.
    pub(super) answered: AtomicBool,
    /// When its last stream ended, in milliseconds since `start`.
    pub(super) idle_since: AtomicU64,
    pub(super) start: Instant,
}
