//! One client connection as the edge serves it: its client, and what becomes of it.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use tokio::task::yield_now;
use tokio::time::Instant;

use super::ClientConnections;
use super::close_cause::CloseCause;
use super::state::ConnectionState;
use crate::auth::ClientCertificate;

/// One connection.
#[derive(Debug)]
pub(in crate::edge) struct TrackedConnection {
    pub(in crate::edge) connections: Arc<ClientConnections>,
    pub(super) state: Arc<ConnectionState>,
    /// The peer, or the address a load balancer names in its place.
    pub(in crate::edge) address: Option<IpAddr>,
    /// What its client has shown in the handshake.
    certificate: OnceLock<Arc<ClientCertificate>>,
}

impl TrackedConnection {
    pub(super) fn new(
        connections: &Arc<ClientConnections>,
        state: Arc<ConnectionState>,
        address: Option<IpAddr>,
    ) -> Self {
        Self {
            connections: Arc::clone(connections),
            state,
            address,
            certificate: OnceLock::new(),
        }
    }

    /// Its client has shown a valid certificate.
    pub(in crate::edge) fn showed(&self, certificate: ClientCertificate) {
        self.certificate.get_or_init(|| Arc::new(certificate));
    }

    /// The certificate of its client.
    pub(in crate::edge) fn certificate(&self) -> Option<Arc<ClientCertificate>> {
        self.certificate.get().cloned()
    }

    /// Begins a request; `false` if the connection has just been given up.
    pub(in crate::edge) fn begin(&self) -> bool {
        self.state.begin()
    }

    /// Ends a request; the connection is idle if there is no other.
    pub(in crate::edge) fn end(&self, at: Instant) {
        self.state.end(self.connections.millis(at));
    }

    /// Like [`Self::begin`], with a guard that ends the request.
    pub(in crate::edge) fn serving(self: &Arc<Self>) -> Option<ServingRequest> {
        self.begin().then(|| ServingRequest(Arc::clone(self)))
    }

    /// It is a WebSocket, for which something is done or nothing.
    pub(in crate::edge) fn is_used(&self, used: bool) {
        let since = (!used).then(|| self.connections.now());
        self.state.unused(since);
    }

    pub(in crate::edge) fn is_cut(&self) -> bool {
        self.state.is_cut()
    }

    /// Runs the work of a connection until it ends, or until the connection is to be closed; then
    /// there is no result.
    pub(in crate::edge) async fn until_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut known: Option<Waker> = None;
        let mut last_look = pin!(yield_now());
        std::future::poll_fn(|context| {
            // Polled first, so that a blocking write can still be logged.
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            // A task is woken by the same waker all its life.
            if !known
                .as_ref()
                .is_some_and(|known| known.will_wake(context.waker()))
            {
                known = Some(context.waker().clone());
                self.state.wakes(context.waker());
            }
            if self.is_cut() {
                return Poll::Ready(None);
            }
            // The runtime checks its sockets before a task that has yielded continues. What had
            // arrived by then was not a complete request.
            if self.state.is_dismissed() && last_look.as_mut().poll(context).is_ready() {
                let metrics = &self.connections.metrics;
                self.state.cut(CloseCause::Stopping, metrics);
                return Poll::Ready(None);
            }
            Poll::Pending
        })
        .await
    }
}

/// A request in progress.
#[derive(Debug)]
pub(in crate::edge) struct ServingRequest(Arc<TrackedConnection>);

impl Drop for ServingRequest {
    fn drop(&mut self) {
        self.0.end(Instant::now());
    }
}
