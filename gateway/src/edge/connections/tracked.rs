//! One client connection: whether it is serving a request or idle, what it holds, and how it is
//! closed from outside.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use futures::task::AtomicWaker;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::ClientConnections;
use crate::auth::ClientCertificate;
use crate::limit::caller_network;

/// Value of `serving` for a connection that was given up while it was idle.
const GIVEN_UP: u32 = u32::MAX;

/// Origin of a connection, for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientOrigin(IpAddr);

impl ClientOrigin {
    /// A client with an IPv6 address has all of its /64.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(caller_network(address))
    }
}

/// Why the gateway closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::edge) enum CloseCause {
    /// To make room for another one.
    Crowded = 1,
    /// Its client accepted nothing of what waited for it.
    Stalled = 2,
    /// Too many bytes waited for slow clients in all, and the most, for longest, here.
    Unsent = 3,
    /// The gateway stopped.
    Stopping = 4,
}

impl CloseCause {
    pub(in crate::edge) fn label(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Stalled => "stalled",
            Self::Unsent => "unsent",
            Self::Stopping => "stopping",
        }
    }
}

/// One connection. Times are milliseconds on the clock of [`ClientConnections`].
#[derive(Debug)]
pub(in crate::edge) struct TrackedConnection {
    pub(in crate::edge) connections: Arc<ClientConnections>,
    pub(super) origin: Option<ClientOrigin>,
    /// The peer, or the address a load balancer names in its place.
    pub(in crate::edge) address: Option<IpAddr>,
    /// What its client has shown in the handshake.
    certificate: OnceLock<Arc<ClientCertificate>>,
    /// Requests in progress, or [`GIVEN_UP`].
    serving: AtomicU32,
    /// When it last became idle.
    waits_since: AtomicU64,
    /// Answer bytes not yet accepted by the client.
    pub(super) unsent: AtomicUsize,
    /// When the client last accepted some of them.
    pub(super) taken_at: AtomicU64,
    cut: AtomicU8,
    /// It is to be closed as soon as it is idle.
    dismissed: AtomicBool,
    waker: AtomicWaker,
}

impl TrackedConnection {
    pub(super) fn new(connections: Arc<ClientConnections>, address: Option<IpAddr>) -> Self {
        Self {
            origin: address.map(ClientOrigin::of),
            address,
            certificate: OnceLock::new(),
            serving: AtomicU32::new(0),
            waits_since: AtomicU64::new(connections.now()),
            unsent: AtomicUsize::new(0),
            taken_at: AtomicU64::new(0),
            cut: AtomicU8::new(0),
            dismissed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            connections,
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
        let count = |serving: u32| (serving != GIVEN_UP).then(|| serving + 1);
        let counted = self
            .serving
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, count);
        counted.is_ok()
    }

    /// Ends a request; the connection is idle if there is no other.
    pub(in crate::edge) fn end(&self, at: Instant) {
        // Before the count, so that a connection never looks idle since long ago.
        self.waits_since
            .store(self.connections.millis(at), Ordering::Release);
        self.serving.fetch_sub(1, Ordering::AcqRel);
    }

    /// Like [`Self::begin`], with a guard that ends the request.
    pub(in crate::edge) fn serving(self: &Arc<Self>) -> Option<ServingRequest> {
        self.begin().then(|| ServingRequest(Arc::clone(self)))
    }

    /// Since when it has been idle; `None` while it is not.
    pub(super) fn waits_since(&self) -> Option<u64> {
        (self.serving.load(Ordering::Acquire) == 0)
            .then(|| self.waits_since.load(Ordering::Acquire))
    }

    /// Since when its client has accepted nothing of what waits for it; `None` if nothing waits.
    pub(super) fn stalled_since(&self) -> Option<u64> {
        let waiting = self.unsent.load(Ordering::Acquire) > 0;
        waiting.then(|| self.taken_at.load(Ordering::Acquire))
    }

    /// Closes it, whatever it does.
    pub(super) fn cut(&self, cause: CloseCause) -> bool {
        let none = 0;
        let first =
            self.cut
                .compare_exchange(none, cause as u8, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_ok() {
            self.connections.metrics.cut(cause);
            self.waker.wake();
        }
        first.is_ok()
    }

    /// Closes it unless a request is in progress.
    pub(super) fn cut_waiting(&self, cause: CloseCause) -> bool {
        let waiting =
            self.serving
                .compare_exchange(0, GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed);
        waiting.is_ok() && self.cut(cause)
    }

    /// Closes it once no request is in progress. A request that has arrived but was not read yet is
    /// served before.
    pub(super) fn dismiss(&self) {
        if !self.dismissed.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire) && self.serving.load(Ordering::Acquire) == 0
    }

    pub(in crate::edge) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) != 0
    }

    pub(super) fn was_crowded_out(&self) -> bool {
        self.cut.load(Ordering::Acquire) == CloseCause::Crowded as u8
    }

    /// Runs the work of a connection until it ends, or until the connection is to be closed.
    pub(in crate::edge) async fn until_cut(&self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        let mut known: Option<Waker> = None;
        let mut last_look = pin!(yield_now());
        std::future::poll_fn(|context| {
            // Polled first, so that a blocking write can still be logged.
            if work.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            // A task is woken by the same waker all its life.
            if !known
                .as_ref()
                .is_some_and(|known| known.will_wake(context.waker()))
            {
                known = Some(context.waker().clone());
                self.waker.register(context.waker());
            }
            if self.is_cut() {
                return Poll::Ready(());
            }
            // The runtime checks its sockets before a task that has yielded continues. What had
            // arrived by then was not a complete request.
            if self.is_dismissed() && last_look.as_mut().poll(context).is_ready() {
                self.cut(CloseCause::Stopping);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
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
