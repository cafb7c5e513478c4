//! What the notifications of one socket show its client of the chain: no answer to it, over whatever
//! connection, is from before that.

use std::sync::Arc;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::context::ClientKey;
use crate::pubsub::hub::Hub;
use crate::pubsub::shown_slot::ShownSlot;

/// Raises the floors of a client.
pub(super) struct ShownSlots {
    hub: Arc<Hub>,
    client: ClientKey,
    /// The last slot at each commitment: many notifications are of one slot, and the floors are
    /// looked up for the first.
    last: [Slot; 3],
}

impl ShownSlots {
    pub(super) fn new(hub: Arc<Hub>, client: ClientKey) -> Self {
        Self {
            hub,
            client,
            last: [Slot(0); 3],
        }
    }

    /// The client is about to be told this.
    pub(super) fn tell(&mut self, ShownSlot { slot, commitment }: ShownSlot) {
        let Some(last) = self.last.get_mut(commitment.index()) else {
            return;
        };
        if std::mem::replace(last, slot) == slot {
            return;
        }
        let ttl = self.hub.published.load().config.selection.floor_ttl;
        let floors = &self.hub.pipeline.dispatch_state.rpc.floors;
        floors.notified(self.client, commitment, slot, (Instant::now(), ttl));
    }
}
