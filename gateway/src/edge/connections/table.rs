//! The table of connections, and which of them is closed to make room for another.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::close_cause::CloseCause;
use super::held_bytes::HeldBytes;
use super::metrics::ConnectionMetrics;
use super::state::{ClientOrigin, ConnectionState};

/// Maximum number of connections compared when one has to make room.
const COMPARED: usize = 256;

/// Connections by their memory address, in no order.
type ConnectionSet = IndexMap<usize, Arc<ConnectionState>>;

/// Limits of client connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConnectionBounds {
    pub all: usize,
    pub per_address: usize,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BoundReached {
    All,
    Address,
}

impl BoundReached {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Address => "address",
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    all: ConnectionSet,
    by_origin: HashMap<ClientOrigin, OriginConnections>,
}

/// The connections of one origin.
#[derive(Debug)]
struct OriginConnections {
    set: ConnectionSet,
    held: Arc<HeldBytes>,
}

fn key(state: &Arc<ConnectionState>) -> usize {
    Arc::as_ptr(state).addr()
}

impl ConnectionTable {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<ConnectionState>> {
        self.all.values()
    }

    pub(super) fn insert(&mut self, state: Arc<ConnectionState>) {
        let key = key(&state);
        if let Some(origin) = state.origin {
            let own = self.by_origin.entry(origin);
            let own = own.or_insert_with(|| OriginConnections {
                set: ConnectionSet::default(),
                held: Arc::clone(&state.held),
            });
            own.set.insert(key, Arc::clone(&state));
        }
        self.all.insert(key, state);
    }

    pub(super) fn remove(&mut self, state: &Arc<ConnectionState>) {
        let key = key(state);
        self.all.swap_remove(&key);
        if let Some(origin) = state.origin
            && let Some(own) = self.by_origin.get_mut(&origin)
        {
            own.set.swap_remove(&key);
            if own.set.is_empty() {
                self.by_origin.remove(&origin);
            }
        }
    }

    /// What is held for an origin: shared by its connections.
    pub(super) fn held_for(&self, origin: Option<ClientOrigin>) -> Arc<HeldBytes> {
        let own = origin.and_then(|origin| self.by_origin.get(&origin));
        own.map(|own| Arc::clone(&own.held)).unwrap_or_default()
    }

    /// Which bound one more connection of this origin would break.
    pub(super) fn full(
        &self,
        origin: Option<ClientOrigin>,
        bounds: ClientConnectionBounds,
    ) -> Option<BoundReached> {
        let own = origin.and_then(|origin| self.by_origin.get(&origin));
        if own.is_some_and(|own| own.set.len() >= bounds.per_address) {
            Some(BoundReached::Address)
        } else {
            (self.all.len() >= bounds.all).then_some(BoundReached::All)
        }
    }

    /// Gives up the connection that has been idle for longest, of one origin or of all; where none is
    /// idle, the one that only its client has kept busy for longest, if that is since before `held`.
    /// `false` if there is none of these.
    pub(super) fn make_room(
        &mut self,
        origin: Option<ClientOrigin>,
        held: u64,
        metrics: &ConnectionMetrics,
    ) -> bool {
        // A connection on which a request begins meanwhile is kept: then another one is tried.
        for _ in 0..3 {
            let idle = |state: &ConnectionState| state.waits_since();
            let Some(longest) = self.longest(origin, idle) else {
                break;
            };
            if longest.cut_waiting(CloseCause::Crowded, metrics) {
                self.remove(&longest);
                return true;
            }
        }
        let is_held = |state: &ConnectionState| state.held_since().filter(|since| *since < held);
        let Some(longest) = self.longest(origin, is_held) else {
            return false;
        };
        let first = longest.cut(CloseCause::Crowded, metrics);
        self.remove(&longest);
        first
    }

    /// Of some connections that this is known of, the one since the earliest time.
    fn longest(
        &self,
        origin: Option<ClientOrigin>,
        since: impl Fn(&ConnectionState) -> Option<u64>,
    ) -> Option<Arc<ConnectionState>> {
        let among = match origin {
            Some(origin) => &self.by_origin.get(&origin)?.set,
            None => &self.all,
        };
        let start = fastrand::usize(..among.len().max(1));
        let compared = (0..among.len().min(COMPARED)).filter_map(|step| {
            let at = (start + step) % among.len();
            let (_, state) = among.get_index(at)?;
            Some((since(state)?, state))
        });
        let longest = compared.min_by_key(|(since, _)| *since)?;
        Some(Arc::clone(longest.1))
    }
}
