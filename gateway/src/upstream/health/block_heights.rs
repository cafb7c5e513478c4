//! The block heights that upstreams have shown to probes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::upstream::health::Health;
use crate::upstream::state::endpoint_state::EndpointState;

/// The last of each upstream, by its id.
#[derive(Debug, Default)]
pub(in crate::upstream) struct BlockHeights(Mutex<HashMap<String, u64>>);

impl BlockHeights {
    /// An upstream has shown this one, which is plausible.
    pub(super) fn told(&self, id: &str, height: u64) {
        let mut known = self.0.lock();
        match known.get_mut(id) {
            Some(known) => *known = height,
            None => drop(known.insert(id.to_owned(), height)),
        }
    }

    /// A block height that their cluster has passed: the lowest of those that healthy ones of these have
    /// shown; `None` before any has.
    pub(in crate::upstream) fn passed(&self, members: &[Arc<EndpointState>]) -> Option<u64> {
        let known = self.0.lock();
        let healthy = members
            .iter()
            .filter(|live| live.health() == Health::Healthy);
        healthy
            .filter_map(|live| known.get(live.id()).copied())
            .min()
    }
}
