//! One socket to an upstream: subscriptions are made on it at a limited rate, its notifications go
//! to its topics, and the gateway's own `slotSubscribe` (the beacon) shows that it is alive.

mod cluster_reach;
pub(super) mod dial;
pub(super) mod dial_error;
mod early;
mod horizon;
pub(super) mod messages;
mod open_socket;
mod orders;
mod pulse;
mod socket_terms;
mod subscription_table;

use std::time::Duration;

use tokio::time::timeout;

use self::dial_error::DialError;
use self::messages::{CloseReason, SocketReport};
use self::open_socket::OpenSocket;
pub(super) use self::socket_terms::SocketTerms;
use crate::solana::FaultKind;

/// How long opening a socket may take, its handshake included.
const OPENING: Duration = Duration::from_secs(5);

/// Opens a socket, and runs it to its end.
pub(super) async fn run(terms: SocketTerms) {
    let (id, reports) = (terms.id, terms.reports.clone());
    let closed = live(terms).await;
    // Only the end of the process drops the other end.
    drop(reports.send((id, SocketReport::Closed(closed))));
}

async fn live(terms: SocketTerms) -> CloseReason {
    let opening = terms.hub.dial.dial(&terms.upstream, terms.attempt);
    let socket = match timeout(OPENING, opening).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return unreachable(&terms, error),
        Err(_elapsed) => {
            let silent = DialError::connection(FaultKind::ConnectTimeout);
            return unreachable(&terms, silent);
        }
    };
    let mut open = OpenSocket::new(terms, socket);
    open.report(SocketReport::Opened);
    let closed = open.serve().await;
    open.close(&closed).await;
    closed
}

fn unreachable(terms: &SocketTerms, error: DialError) -> CloseReason {
    let urls = terms.upstream.ws_urls();
    let url = urls.get(terms.attempt % urls.len().max(1));
    let error = error.at(url.map(ToString::to_string).unwrap_or_default());
    tracing::debug!(
        upstream = terms.upstream.id(),
        address = error.address,
        cause = error.cause,
        "subscription socket not opened"
    );
    CloseReason::Unreachable(error)
}
