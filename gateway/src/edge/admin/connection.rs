//! The connections to the admin port, which are few: otherwise slow ones could take the descriptors
//! of the clients, or the port itself.

use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::task_local;

use crate::config::Limits;
use crate::edge::connections::{
    AdmittedConnection, ClientConnections, ServingRequest, TrackedConnection,
};
use crate::edge::head::peer_ip;

/// Maximum number of connections. For another one, that which has been idle for longest is closed.
pub(in crate::edge) const MOST: usize = 24;

/// The same for one address.
pub(in crate::edge) const MOST_PER_ADDRESS: usize = 16;

/// How long a client may be idle and then take for the head of its request, together.
pub(super) const IDLE: Duration = Duration::from_mins(1);

/// How long a client may take to accept an answer.
pub(super) const WRITE_LIMIT: Duration = Duration::from_secs(10);

task_local! {
    static CONNECTION: Arc<TrackedConnection>;
}

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

/// Serves requests of one connection until they end, or until the connection has to make room.
pub(super) async fn serve(admitted: AdmittedConnection, requests: impl Future<Output = ()>) {
    let tracked = Arc::clone(&admitted);
    let requests = CONNECTION.scope(Arc::clone(&tracked), requests);
    tracked.until_cut(requests).await;
}

/// Begins a request: until it ends, its connection does not make room for others. Streams of
/// HTTP/2 are tasks of their own and do not count.
///
/// # Errors
/// The connection has just been closed.
pub(super) fn begin_request() -> Result<Option<ServingRequest>, Closed> {
    match CONNECTION.try_with(TrackedConnection::serving) {
        Ok(None) => Err(Closed),
        Ok(serving) => Ok(serving),
        Err(_no_connection) => Ok(None),
    }
}

/// The connection had to make room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed;
