//! The HTTP/2 connections of one upstream, each shared by many calls.
//!
//! A call takes a stream on an open connection that has room. If the streams of all connections are
//! in use it waits, and another connection is opened for the waiting calls: by a task of its own,
//! so that a cancelled call does not take it away from the others. `connections` are kept; more are
//! opened only if the upstream allows too few streams on each, up to the ceiling.
//!
//! Whether the upstream supports HTTP/2 at all shows when a connection is opened. Until then one is
//! opened for all; if it turns out to be HTTP/1.1 it goes to the pool of those.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::time::{Instant, Sleep};

use super::session::Http2Connection;
use super::stream_lease::StreamLease;
use super::stream_signals::StreamSignals;
use crate::limit::{Gate, GatePermit, PermitClaim, PermitRequest};
use crate::solana::{FaultKind, Priority};
use crate::upstream::transport::resolve::ResolvedAddresses;
use crate::upstream::transport::saturation::Saturation;
use crate::upstream::transport::timer::within;

mod sessions;
#[cfg(test)]
mod tests;
mod waiting;

use sessions::{COMFORTABLE, PoolSessions};
pub(in crate::upstream) use waiting::WaitDeadline;
use waiting::{WaitState, WaitTicket};

/// More than any call load needs, if an upstream sets no limit.
const MOST_EACH: usize = 1000;
/// Calls that may wait per place, and at least in all.
const WAITING: usize = 8;
const LEAST_WAITING: usize = 256;

fn most_waiting(places: usize) -> usize {
    places.saturating_mul(WAITING).max(LEAST_WAITING)
}

/// How long a connection beyond those that are kept may be unused.
const SURPLUS: Duration = Duration::from_secs(5);

/// All HTTP/2 connections to one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Pool {
    /// One place per possible stream; it decides the order when they are short.
    streams: Arc<Gate>,
    kept: usize,
    ceiling: usize,
    idle_timeout: Duration,
    state: Mutex<PoolSessions>,
    changed: Arc<StreamSignals>,
    /// Whether the upstream is assumed to support HTTP/2.
    spoken: AtomicBool,
    /// Calls that wait although no connection can be opened for them.
    stuck: AtomicUsize,
    /// Most streams in use at once, whatever the upstream allows.
    most: AtomicUsize,
}

impl Http2Pool {
    pub(in crate::upstream) fn new(
        kept: usize,
        ceiling: usize,
        idle_timeout: Duration,
    ) -> Arc<Self> {
        let places = ceiling.max(1).saturating_mul(COMFORTABLE);
        Arc::new(Self {
            streams: Gate::new(places, most_waiting(places)),
            kept,
            ceiling: ceiling.max(1),
            idle_timeout,
            state: Mutex::default(),
            changed: Arc::default(),
            spoken: AtomicBool::new(true),
            stuck: AtomicUsize::new(0),
            most: AtomicUsize::new(usize::MAX),
        })
    }

    /// Whether calls should be tried over HTTP/2.
    pub(in crate::upstream) fn is_spoken(&self) -> bool {
        self.spoken.load(Ordering::Relaxed)
    }

    /// Whether there is a connection.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        !self.state.lock().sessions.is_empty()
    }

    /// Whether a call would have to wait for a stream.
    pub(in crate::upstream) fn is_full(&self) -> bool {
        self.stuck.load(Ordering::Relaxed) > 0
            || self
                .streams
                .is_full_for(PermitRequest::own(Priority::Medium))
    }

    /// The permit for a stream, waited for only if all are in use. `None` if too many wait, or it
    /// took too long; `wait` is called once it has to be waited for.
    pub(in crate::upstream) async fn place<W>(
        &self,
        claim: PermitClaim<'_>,
        until: Instant,
        wait: impl FnOnce() -> W,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Option<GatePermit> {
        if let Some(place) = self.streams.try_place(claim.ask()) {
            return Some(place);
        }
        let _wait = wait();
        let patience = until.saturating_duration_since(Instant::now());
        within(timer, until, self.streams.place(claim, patience))
            .await
            .flatten()
    }

    /// Sets the number of places to the streams on the most connections allowed.
    fn fit(&self, each: usize) {
        let each = each.clamp(1, MOST_EACH);
        let places = self.ceiling.saturating_mul(each);
        let most = self.most.load(Ordering::Relaxed);
        self.streams.resize(places.min(most), most_waiting(places));
    }

    /// From now on no more than this many streams are in use at once.
    pub(in crate::upstream) fn limit(&self, most: usize) {
        let state = self.state.lock();
        self.most.store(most, Ordering::Relaxed);
        let unknown = state.each == usize::MAX;
        self.fit(if unknown { COMFORTABLE } else { state.each });
    }

    /// Streams in use, and whether calls wait for one.
    pub(in crate::upstream) fn load(&self) -> (usize, bool) {
        (self.streams.used(), self.streams.waiting() > 0)
    }

    /// Streams that its connections have, as long as the upstream says nothing else.
    pub(in crate::upstream) const fn usual_streams(connections: usize) -> usize {
        connections.saturating_mul(COMFORTABLE)
    }

    /// Connections with and without streams.
    pub(in crate::upstream) fn count(&self) -> (usize, usize) {
        let state = self.state.lock();
        let busy = state.sessions.iter().filter(|one| one.streams() > 0);
        let busy = busy.count();
        (busy, state.sessions.len() - busy)
    }

    /// A stream on one of the connections; `None` if the upstream speaks HTTP/1.1. `open` begins to
    /// open a connection and reports to [`Http2Pool::opened`], [`Http2Pool::speaks_other`] or
    /// [`Http2Pool::failed`]. With `fresh`, not on a connection that was unused for longer.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, who has them all at hand"
    )]
    pub(in crate::upstream) async fn stream(
        self: &Arc<Self>,
        addresses: &ResolvedAddresses,
        fresh: Duration,
        open: impl Fn(),
        patience: WaitDeadline,
        saturation: Option<&Saturation>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<Option<StreamLease>, FaultKind> {
        let (standing, grow) = self.look(addresses, fresh, None);
        if grow {
            open();
        }
        let mut ticket = match standing {
            WaitState::Served(lease) => return Ok(Some(lease)),
            WaitState::OtherVersion => return Ok(None),
            _ => WaitTicket::new(&self.state, &self.stuck),
        };
        let mut wait = None;
        loop {
            let mut changed = pin!(self.changed.notified(fresh == Duration::MAX));
            changed.as_mut().enable();
            let (until, cut) = match self.look(addresses, fresh, Some(&ticket)).0 {
                WaitState::Served(lease) => return Ok(Some(lease)),
                WaitState::OtherVersion => return Ok(None),
                WaitState::Failed(kind) => return Err(kind),
                standing @ (WaitState::Open | WaitState::Opening) => {
                    if matches!(standing, WaitState::Open) {
                        open();
                    }
                    (patience.opening, FaultKind::ConnectTimeout)
                }
                WaitState::Stuck => {
                    ticket.be_stuck();
                    if wait.is_none() {
                        wait = saturation.map(Saturation::meet);
                    }
                    (patience.queue, FaultKind::Saturated)
                }
            };
            if within(timer, until, changed).await.is_none() {
                return Err(cut);
            }
        }
    }

    /// The state of a call, and whether another connection is to be opened although it is served.
    fn look(
        self: &Arc<Self>,
        addresses: &ResolvedAddresses,
        fresh: Duration,
        ticket: Option<&WaitTicket<'_>>,
    ) -> (WaitState, bool) {
        let mut state = self.state.lock();
        state.sessions.retain(|one| one.is_usable(addresses));
        if state.learn() {
            self.fit(state.each);
        }
        let open = state.sessions.len() + state.opening;
        if let Some(session) = state.pick(fresh, open < self.ceiling) {
            let crowded = session.streams() >= COMFORTABLE || session.is_doubted();
            let grow = crowded && state.opening == 0 && open < self.kept;
            state.opening += usize::from(grow);
            return (
                WaitState::Served(StreamLease::new(session, &self.changed)),
                grow,
            );
        }
        if !self.is_spoken() {
            return (WaitState::OtherVersion, false);
        }
        let Some(ticket) = ticket else {
            return (WaitState::Opening, false);
        };
        let failed = state.failures > ticket.failures;
        let nothing_left = state.sessions.iter().all(|one| one.is_doubted());
        if failed && nothing_left && state.opening == 0 {
            return (WaitState::Failed(state.fault), false);
        }
        // Calls that wait for the settings of a new connection do not need another one yet.
        let unknown = state.sessions.iter().filter(|one| !one.is_known()).count();
        let coming = state.opening + unknown;
        let each = state.each.clamp(1, COMFORTABLE);
        let held_back = |one: &Arc<Http2Connection>| one.is_held_back() && !one.is_doubted();
        let overloaded = state.sessions.iter().any(held_back);
        // A call that has seen an attempt fail does not begin the next: it might fail at once.
        if !failed && !overloaded && open < self.ceiling && coming < state.waiting.div_ceil(each) {
            state.opening += 1;
            return (WaitState::Open, false);
        }
        if coming == 0 {
            return (WaitState::Stuck, false);
        }
        (WaitState::Opening, false)
    }

    /// A connection was opened, for which [`Http2Pool::stream`] had asked.
    pub(in crate::upstream) fn opened(self: &Arc<Self>) {
        self.ended(|_| {});
    }

    /// The opened connection speaks HTTP/1.1.
    pub(in crate::upstream) fn speaks_other(&self) {
        self.spoken.store(false, Ordering::Relaxed);
        self.ended(|_| {});
    }

    /// The upstream requires HTTP/1.1 after all. Calls in progress go on to their end.
    pub(in crate::upstream) fn abandon(&self) {
        self.spoken.store(false, Ordering::Relaxed);
        self.state.lock().sessions.clear();
        self.changed.tell_all();
    }

    /// A connection could not be opened.
    pub(in crate::upstream) fn failed(&self, fault: FaultKind) {
        self.ended(|state| {
            state.failures += 1;
            state.fault = fault;
        });
    }

    fn ended(&self, change: impl FnOnce(&mut PoolSessions)) {
        {
            let mut state = self.state.lock();
            state.opening = state.opening.saturating_sub(1);
            change(&mut state);
        }
        self.changed.tell_all();
    }

    /// Begins HTTP/2 on an open connection.
    pub(in crate::upstream) async fn adopt(
        self: &Arc<Self>,
        stream: Stream,
        address: SocketAddr,
        addresses: &ResolvedAddresses,
    ) -> Result<(), FaultKind> {
        let (session, driver) = Http2Connection::begin(stream, address, addresses)
            .await
            .map_err(|error| {
                tracing::debug!(%address, %error, "upstream HTTP/2 handshake failed");
                FaultKind::ConnectFailed
            })?;
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            let changed = || {
                if let Some(pool) = pool.upgrade() {
                    pool.changed.tell_all();
                }
            };
            driver.run(changed).await;
            // Calls that wait for a stream of this connection need another one.
            changed();
        });
        self.state.lock().sessions.push(session);
        self.spoken.store(true, Ordering::Relaxed);
        self.changed.tell_all();
        Ok(())
    }

    /// Closes what is not needed any more. Open streams go on to their end.
    pub(in crate::upstream) fn prune(&self, addresses: &ResolvedAddresses, now: Instant) {
        let mut state = self.state.lock();
        let usable = |one: &Arc<Http2Connection>| one.is_usable(addresses) && one.is_open();
        state.sessions.retain(usable);
        let mut surplus = state.sessions.len().saturating_sub(self.kept);
        state.sessions.retain(|session| {
            let Some(idle) = session.idle(now) else {
                return true;
            };
            if surplus > 0 && idle >= SURPLUS.min(self.idle_timeout) {
                surplus -= 1;
                return false;
            }
            idle < self.idle_timeout
        });
    }
}
