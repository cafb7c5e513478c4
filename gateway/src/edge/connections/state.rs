//! What a connection does, as far as the others depend on it: whether it is serving a request or idle,
//! what it holds, and whether it is to be closed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use futures::task::AtomicWaker;

use super::close_cause::CloseCause;
use super::held_bytes::HeldBytes;
use super::metrics::ConnectionMetrics;
use crate::limit::caller_network;

/// Value of `serving` for a connection that was given up while it was idle.
const GIVEN_UP: u32 = u32::MAX;

/// Value of `unused_since` for a connection that is used, or is no WebSocket.
const IN_USE: u64 = u64::MAX;

/// Origin of a connection, for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientOrigin(IpAddr);

impl ClientOrigin {
    /// A client with an IPv6 address has all of its /64.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(caller_network(address))
    }
}

/// One connection. Times are milliseconds on the clock of [`super::ClientConnections`].
#[derive(Debug)]
pub(super) struct ConnectionState {
    pub(super) origin: Option<ClientOrigin>,
    /// What is held for all connections of the origin.
    pub(super) held: Arc<HeldBytes>,
    /// Requests in progress, or [`GIVEN_UP`].
    serving: AtomicU32,
    /// When it last became idle.
    waits_since: AtomicU64,
    /// Answer bytes not yet accepted by the client.
    pub(super) unsent: AtomicUsize,
    /// When the client last accepted some of them.
    pub(super) taken_at: AtomicU64,
    /// Since when it is a WebSocket that nothing is done for; [`IN_USE`] for all others.
    unused_since: AtomicU64,
    cut: AtomicU8,
    /// It is to be closed as soon as it is idle.
    dismissed: AtomicBool,
    waker: AtomicWaker,
}

impl ConnectionState {
    /// That of a connection which is idle since `now`.
    pub(super) fn new(origin: Option<ClientOrigin>, held: Arc<HeldBytes>, now: u64) -> Self {
        Self {
            origin,
            held,
            serving: AtomicU32::new(0),
            waits_since: AtomicU64::new(now),
            unsent: AtomicUsize::new(0),
            taken_at: AtomicU64::new(0),
            unused_since: AtomicU64::new(IN_USE),
            cut: AtomicU8::new(0),
            dismissed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Begins a request; `false` if the connection has just been given up.
    pub(super) fn begin(&self) -> bool {
        let count = |serving: u32| (serving != GIVEN_UP).then(|| serving + 1);
        let counted = self
            .serving
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, count);
        counted.is_ok()
    }

    /// Ends a request; the connection is idle if there is no other.
    pub(super) fn end(&self, at: u64) {
        // Before the count, so that a connection never looks idle since long ago.
        self.waits_since.store(at, Ordering::Release);
        self.serving.fetch_sub(1, Ordering::AcqRel);
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

    /// It is a WebSocket that nothing is done for since `since`, or is used again.
    pub(super) fn unused(&self, since: Option<u64>) {
        self.unused_since
            .store(since.unwrap_or(IN_USE), Ordering::Release);
    }

    /// Since when nothing but its client keeps it busy: the client accepts nothing of its answers, or
    /// keeps a socket without calls and subscriptions.
    pub(super) fn held_since(&self) -> Option<u64> {
        let unused = self.unused_since.load(Ordering::Acquire);
        let unused = (unused != IN_USE).then_some(unused);
        self.stalled_since().into_iter().chain(unused).min()
    }

    /// Closes it, whatever it does. Returns whether nothing else has closed it before.
    pub(super) fn cut(&self, cause: CloseCause, metrics: &ConnectionMetrics) -> bool {
        let none = 0;
        let first =
            self.cut
                .compare_exchange(none, cause as u8, Ordering::AcqRel, Ordering::Relaxed);
        if first.is_ok() {
            metrics.cut(cause);
            self.waker.wake();
        }
        first.is_ok()
    }

    /// Closes it unless a request is in progress.
    pub(super) fn cut_waiting(&self, cause: CloseCause, metrics: &ConnectionMetrics) -> bool {
        let waiting =
            self.serving
                .compare_exchange(0, GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed);
        waiting.is_ok() && self.cut(cause, metrics)
    }

    /// Closes it once no request is in progress. A request that has arrived but was not read yet is
    /// served before.
    pub(super) fn dismiss(&self) {
        if !self.dismissed.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire) && self.serving.load(Ordering::Acquire) == 0
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire) != 0
    }

    pub(super) fn was_crowded_out(&self) -> bool {
        self.cut.load(Ordering::Acquire) == CloseCause::Crowded as u8
    }

    /// Wakes this task when the connection is to be closed.
    pub(super) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}
