//! Where the cluster is, as far as is known to one socket.

use std::sync::Arc;

use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::horizon::Horizon;
use crate::pubsub::feed_message;
use crate::pubsub::hub::Hub;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::subscription_kind::SubscriptionKind;

/// What a socket may tell of.
pub(super) struct ClusterReach {
    hub: Arc<Hub>,
    horizon: Horizon,
}

impl ClusterReach {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            horizon: Horizon::default(),
        }
    }

    /// Whether the cluster can have reached the slot of a notification.
    pub(super) fn includes(&mut self, result: &[u8], now: Instant) -> bool {
        let Some(slot) = feed_message::slot(result) else {
            return true;
        };
        let snapshot = self.hub.published.load();
        let furthest = snapshot.pool.furthest(self.horizon.seen());
        self.horizon.includes(slot, furthest, now)
    }

    /// The newest slot that a notification of this subscription should have by now; `None`: nobody
    /// knows.
    pub(super) fn of(&self, spec: &SubscriptionSpec) -> Option<Slot> {
        let snapshot = self.hub.published.load();
        let commitment = match spec.kind {
            SubscriptionKind::Root => Commitment::Finalized,
            _ => spec.commitment,
        };
        match commitment {
            Commitment::Processed => snapshot.pool.furthest(self.horizon.seen()),
            _ => snapshot.pool.tip(commitment),
        }
    }
}
