//! The connections to the admin port, which are few: otherwise slow ones could take the descriptors
//! of the clients, or the port itself.

use std::sync::Arc;

use pingora::protocols::Stream;

use crate::config::Limits;
use crate::edge::connections::{AdmittedConnection, ClientConnections};
use crate::edge::head::peer_ip;

/// Maximum number of connections. For another one, that which has been idle for longest is closed.
pub(in crate::edge) const MOST: usize = 24;

/// The same for one address.
pub(in crate::edge) const MOST_PER_ADDRESS: usize = 16;

/// Admits a new connection; `None` if there are too many and none of them is idle.
pub(super) fn admit(
    connections: &Arc<ClientConnections>,
    stream: &Stream,
) -> Option<AdmittedConnection> {
    let limits = Limits {
        connections: Some(MOST),
        connections_per_address: Some(MOST_PER_ADDRESS),
        ..Limits::default()
    };
    connections.admit(peer_ip(stream), &limits)
}
