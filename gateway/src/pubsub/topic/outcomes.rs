//! What comes of joining a topic, and of its notifications.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::jsonrpc::RpcError;
use crate::pubsub::delivered::NotificationVerdict;

/// Whether an upstream has accepted a subscription.
pub(in crate::pubsub) type SubscribeResult = Result<(), RpcError>;

/// Whether a client has joined.
pub(in crate::pubsub) enum JoinOutcome {
    Live,
    /// Resolves when an upstream has accepted it.
    Soon(oneshot::Receiver<SubscribeResult>),
    /// It has ended: a new one is needed.
    Ended,
}

/// What may have been missed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pubsub) struct MissedRange {
    pub(in crate::pubsub) after: u64,
    pub(in crate::pubsub) until: u64,
    /// The notification before which the missed ones belong.
    pub(in crate::pubsub) next: Bytes,
}

/// Result of a notification.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pubsub) struct NotificationOutcome {
    pub(in crate::pubsub) verdict: NotificationVerdict,
    /// Number of clients notified, or told later by themselves.
    pub(in crate::pubsub) told: usize,
    pub(in crate::pubsub) ended: bool,
    /// Number of clients subscribed until it ended.
    pub(in crate::pubsub) left: usize,
}

impl NotificationOutcome {
    pub(in crate::pubsub) fn nothing(verdict: NotificationVerdict) -> Self {
        Self {
            verdict,
            told: 0,
            ended: false,
            left: 0,
        }
    }
}
