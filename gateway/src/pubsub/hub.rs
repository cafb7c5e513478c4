//! What all sockets of clients share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::metrics::PubSubMetrics;
use crate::config::WebSocket;
use crate::pipeline::Pipeline;
use crate::snapshot::Published;

/// Everything that is known of sockets.
#[derive(Debug)]
pub struct Hub {
    pub(super) published: Arc<Published>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) metrics: PubSubMetrics,
    clients: AtomicUsize,
    leaving: AtomicBool,
    left: Notify,
}

/// A socket that is counted while this is alive.
#[derive(Debug)]
pub struct Place(Arc<Hub>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hub {
    pub fn new(
        published: Arc<Published>,
        pipeline: Arc<Pipeline>,
        metrics: PubSubMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            published,
            pipeline,
            metrics,
            clients: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// Takes a socket in, if there may be one more.
    pub fn admit(self: &Arc<Self>, limits: &WebSocket) -> Option<Place> {
        let before = self.clients.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(self));
        (before < limits.clients).then_some(place)
    }

    /// Sockets of clients.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Acquire)
    }

    /// From here on the sockets of clients are closed, one after the other.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.left.notify_waiters();
    }

    /// Resolves when the gateway stops.
    pub(super) async fn leaves(&self) {
        let left = self.left.notified();
        if !self.leaving.load(Ordering::Acquire) {
            left.await;
        }
    }

    /// For `/status`.
    pub fn status(&self) -> serde_json::Value {
        serde_json::json!({ "clients": self.clients() })
    }
}
