//! What connections are told when the gateway stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// State of stopping.
#[derive(Debug, Default)]
pub(in crate::edge) struct Stopping {
    pub(super) begun: AtomicBool,
    /// When, on the clock of [`super::ClientConnections`].
    pub(super) at: AtomicU64,
    pub(super) told: Arc<Notify>,
}

impl Stopping {
    /// Resolves when stopping has begun.
    pub(in crate::edge) async fn begins(self: Arc<Self>) {
        let told = Arc::clone(&self.told).notified_owned();
        if !self.begun.load(Ordering::Acquire) {
            told.await;
        }
    }
}
