//! Where one topic is served, and where it is to be.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::move_cause::MoveCause;
use crate::jsonrpc::RpcError;
use crate::pubsub::topic::Topic;

#[derive(Debug)]
pub(super) struct PlacedTopic {
    pub(super) topic: Arc<Topic>,
    added_at: Instant,
    /// The socket that serves it.
    pub(super) on: Option<u64>,
    /// The socket that was asked to serve it.
    pub(super) next: Option<u64>,
    /// When another socket is looked for, if it has none.
    pub(super) again_at: Instant,
    /// Since when no socket serves it, if one has.
    pub(super) lost_at: Option<Instant>,
    pub(super) cause: Option<MoveCause>,
    /// Upstreams that refused it, and the last refusal.
    pub(super) refused_by: Vec<String>,
    pub(super) refusal: Option<RpcError>,
    /// Upstreams that have not answered in time.
    pub(super) overdue_at: Vec<String>,
}

impl PlacedTopic {
    pub(super) fn new(topic: Arc<Topic>) -> Self {
        Self {
            topic,
            added_at: Instant::now(),
            on: None,
            next: None,
            again_at: Instant::now(),
            lost_at: None,
            cause: None,
            refused_by: Vec::new(),
            refusal: None,
            overdue_at: Vec::new(),
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = u64> {
        self.on.into_iter().chain(self.next)
    }

    /// Whether no socket serves it, for so long.
    pub(super) fn is_unserved_for(&self, time: Duration, now: Instant) -> bool {
        let since = self.lost_at.unwrap_or(self.added_at);
        self.on.is_none() && now.saturating_duration_since(since) >= time
    }

    /// A socket was closed.
    pub(super) fn lost(&mut self, line: u64, cause: MoveCause, now: Instant) {
        if self.next == Some(line) {
            self.next = None;
        }
        if self.on == Some(line) {
            self.on = None;
            self.lost_at = Some(now);
            self.cause = Some(cause);
        }
    }
}
