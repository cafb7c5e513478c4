//! What distinguishes events that leave no state behind, and the last few of them.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use perijove_core::Slot;

use super::content::{hash, meaning};
use crate::pubsub::feed_message::with_context;
use crate::pubsub::subscription_kind::SubscriptionKind;

/// Slots, signatures and the like that are remembered, to recognise repetitions.
const REMEMBERED: usize = 4096;

/// Hashes of the last few that were delivered.
#[derive(Debug, Default)]
pub(in crate::pubsub) struct RecentHashes {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentHashes {
    pub(super) fn has(&self, hash: u64) -> bool {
        self.known.contains(&hash)
    }

    /// Returns whether it is new.
    pub(super) fn add(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// What distinguishes one event from another, with its slot.
pub(super) fn mark(kind: SubscriptionKind, result: &Bytes) -> Option<(Slot, u64)> {
    match kind {
        SubscriptionKind::Logs => {
            let (slot, value) = with_context(result)?;
            let value = meaning(&value)?;
            Some((slot, hash(&value.get("signature")?.as_str()?)))
        }
        SubscriptionKind::Block => {
            let (slot, _) = with_context(result)?;
            Some((slot, slot.0))
        }
        SubscriptionKind::SlotsUpdates => {
            let update = meaning(result)?;
            let slot = update.get("slot")?.as_u64()?;
            Some((Slot(slot), hash(&(slot, update.get("type")?.as_str()?))))
        }
        _ => Some((Slot(0), hash(&result))),
    }
}
