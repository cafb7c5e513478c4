//! One connection of a client: whether it is being served or waits for its client, what it holds,
//! and its end if somebody else decides on that.

use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use futures::task::AtomicWaker;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::ClientConnections;

/// In place of a count of requests: the connection was given up while it waited for its client.
const GIVEN_UP: u32 = u32::MAX;

/// Where a connection comes from, as far as bounds are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientOrigin(IpAddr);

impl ClientOrigin {
    /// Whoever has an address of IPv6 has all of its /64.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(six) => {
                let prefix = u128::from(six) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(prefix)))
            }
            four @ IpAddr::V4(_) => Self(four),
        }
    }
}

/// Why a connection was closed that its client would have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::edge) enum CloseCause {
    /// Another one needed its place.
    Crowded = 1,
    /// Its client took nothing of what waited for it.
    Stalled = 2,
    /// Too much waited for slow clients in all, and most of it, for longest, here.
    Unsent = 3,
    /// The gateway stops and does not wait for it.
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
    /// The other end, or whom a load balancer names in its place.
    pub(in crate::edge) address: Option<IpAddr>,
    /// Requests that are being served, or [`GIVEN_UP`].
    serving: AtomicU32,
    /// When it last began to wait for its client.
    waits_since: AtomicU64,
    /// Bytes of answers that wait for the client.
    pub(super) unsent: AtomicUsize,
    /// When the client last took some of them.
    pub(super) taken_at: AtomicU64,
    cut: AtomicU8,
    /// It is to end as soon as nothing is to be done on it.
    dismissed: AtomicBool,
    waker: AtomicWaker,
}

impl TrackedConnection {
    pub(super) fn new(connections: Arc<ClientConnections>, address: Option<IpAddr>) -> Self {
        Self {
            origin: address.map(ClientOrigin::of),
            address,
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

    /// From now on a request is served; `false` if the connection has just been given up.
    pub(in crate::edge) fn begin(&self) -> bool {
        let count = |serving: u32| (serving != GIVEN_UP).then(|| serving + 1);
        let counted = self
            .serving
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, count);
        counted.is_ok()
    }

    /// It is served, and the connection waits for its client if there is no other.
    pub(in crate::edge) fn end(&self, at: Instant) {
        // Before the count, so that nobody sees a connection waiting since long ago.
        self.waits_since
            .store(self.connections.millis(at), Ordering::Release);
        self.serving.fetch_sub(1, Ordering::AcqRel);
    }

    /// As [`Self::begin`], with an end of its own.
    pub(in crate::edge) fn serving(self: &Arc<Self>) -> Option<ServingRequest> {
        self.begin().then(|| ServingRequest(Arc::clone(self)))
    }

    /// Since when it has waited for its client; `None` while it does not.
    pub(super) fn waits_since(&self) -> Option<u64> {
        (self.serving.load(Ordering::Acquire) == 0)
            .then(|| self.waits_since.load(Ordering::Acquire))
    }

    /// Since when its client has taken nothing of what waits for it; `None` if nothing does.
    pub(super) fn stalled_since(&self) -> Option<u64> {
        let waiting = self.unsent.load(Ordering::Acquire) > 0;
        waiting.then(|| self.taken_at.load(Ordering::Acquire))
    }

    /// Ends it, whatever it does.
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

    /// Ends it unless a request is being served.
    pub(super) fn cut_waiting(&self, cause: CloseCause) -> bool {
        let waiting =
            self.serving
                .compare_exchange(0, GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed);
        waiting.is_ok() && self.cut(cause)
    }

    /// Ends it once no request is being served on it. One that has arrived, and that nobody has had
    /// the time to read, is served before.
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

    /// Runs what a connection does until that ends, or the connection is to.
    pub(in crate::edge) async fn until_cut(&self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        let mut known: Option<Waker> = None;
        let mut last_look = pin!(yield_now());
        std::future::poll_fn(|context| {
            // First, so that a write that is in the way of the end can still be told of in the log.
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
            // The runtime looks at its sockets before a task that has yielded goes on. What the work
            // had by then was not enough for a request.
            if self.is_dismissed() && last_look.as_mut().poll(context).is_ready() {
                self.cut(CloseCause::Stopping);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(in crate::edge) struct ServingRequest(Arc<TrackedConnection>);

impl Drop for ServingRequest {
    fn drop(&mut self) {
        self.0.end(Instant::now());
    }
}
