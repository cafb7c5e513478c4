//! Where one topic is served, and where it is to be.

use std::sync::Arc;

use tokio::time::Instant;

use crate::jsonrpc::RpcError;
use crate::pubsub::topic::Topic;
use crate::pubsub::upstream_socket::CloseReason;

/// Why a topic moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum MoveCause {
    /// Its socket was closed.
    Lost,
    /// Its socket fell silent.
    Silent,
    /// Its upstream is unhealthy, or too far behind.
    Unfit,
    /// A better upstream has recovered.
    Better,
    /// Its upstream is not in the configuration any more, or has another URL.
    Reloaded,
}

impl MoveCause {
    pub(in crate::pubsub) const ALL: [Self; 5] = [
        Self::Lost,
        Self::Silent,
        Self::Unfit,
        Self::Better,
        Self::Reloaded,
    ];

    pub(in crate::pubsub) fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Unfit => "unfit",
            Self::Better => "better",
            Self::Reloaded => "reloaded",
        }
    }

    pub(super) fn of(closed: &CloseReason) -> Self {
        match closed {
            CloseReason::Silent => Self::Silent,
            _ => Self::Lost,
        }
    }
}

#[derive(Debug)]
pub(super) struct PlacedTopic {
    pub(super) topic: Arc<Topic>,
    /// The socket that serves it.
    pub(super) on: Option<u64>,
    /// The socket that was asked to serve it.
    pub(super) next: Option<u64>,
    /// When another socket is looked for, if it has none.
    pub(super) again_at: Instant,
    /// Since when no socket serves it.
    pub(super) lost_at: Option<Instant>,
    pub(super) cause: Option<MoveCause>,
    /// Upstreams that refused it, and the last refusal.
    pub(super) refused_by: Vec<String>,
    pub(super) refusal: Option<RpcError>,
}

impl PlacedTopic {
    pub(super) fn new(topic: Arc<Topic>) -> Self {
        Self {
            topic,
            on: None,
            next: None,
            again_at: Instant::now(),
            lost_at: None,
            cause: None,
            refused_by: Vec::new(),
            refusal: None,
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = u64> {
        self.on.into_iter().chain(self.next)
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
