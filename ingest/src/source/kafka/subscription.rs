//! What is read.

use std::sync::Arc;
use std::time::Duration;

use crate::record::UnixMillis;
use crate::source::BufferBudget;

/// What is read, and within which limits.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Each once.
    pub topics: Vec<String>,
    pub budget: Arc<BufferBudget>,
    /// How long what was handed out may take to be settled when a partition is revoked or the
    /// source is stopped.
    pub grace: Duration,
    /// For what begins so long ago.
    pub clock: fn() -> UnixMillis,
}
