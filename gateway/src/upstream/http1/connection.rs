//! The HTTP/1.1 connections of one upstream, each for one call at a time: the idle ones on a stack.
//! The one used last is used next, so that those not needed grow old and are closed.
//!
//! Two numbers limit them. `connections` are kept for the whole idle timeout; those that a burst
//! opened beyond that are closed after [`SURPLUS`]. Only at the ceiling does a call wait for a
//! connection.
//!
//! Pingora's connector opens the connections; the pool is the gateway's own because in Pingora's an
//! idle connection costs a task, and taking one costs a system call. Here taking one polls a read
//! once: pending means alive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Instant;

use crate::jsonrpc::RequestId;
use crate::limit::{Gate, GatePermit, InClass, PermitClaim, PermitRequest};
use crate::solana::Priority;
use crate::upstream::transport::resolve::ResolvedAddresses;

#[cfg(test)]
mod tests;

/// Buffers larger than this are not kept with an idle connection.
const MOST_KEPT: usize = 64 * 1024;
/// How long an idle connection beyond those that are kept waits for another call. Not closed at
/// once: as many as a busy upstream uses on average are repeatedly idle for a moment.
const SURPLUS: Duration = Duration::from_secs(5);
/// Calls that may wait per connection, and at least this many in all.
const WAITING: usize = 8;
const LEAST_WAITING: usize = 256;

fn most_waiting(ceiling: usize) -> usize {
    ceiling.saturating_mul(WAITING).max(LEAST_WAITING)
}

/// Closing this much earlier than the upstream announced avoids a race with it.
const KEEP_MARGIN: Duration = Duration::from_secs(1);

/// One open connection and its buffers.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Connection {
    pub(in crate::upstream) stream: Stream,
    /// Bytes received but not consumed yet.
    pub(in crate::upstream) input: BytesMut,
    /// The request being written.
    pub(in crate::upstream) output: Vec<u8>,
    /// The id of the request written last.
    pub(in crate::upstream) asked: RequestId,
    /// Size of the last response, as a guess at the next.
    pub(in crate::upstream) last_response: usize,
    address: SocketAddr,
    /// The version of the address list when its address was last known to be in it.
    changes: u64,
    /// When it is closed if it is not used, as the upstream announced.
    expires: Option<Instant>,
    idle_since: Instant,
}

impl Http1Connection {
    pub(in crate::upstream) fn new(
        stream: Stream,
        address: SocketAddr,
        addresses: &ResolvedAddresses,
        now: Instant,
    ) -> Box<Self> {
        Box::new(Self {
            stream,
            input: BytesMut::new(),
            output: Vec::new(),
            asked: RequestId::from(0),
            last_response: 0,
            address,
            changes: addresses.changes(),
            expires: None,
            idle_since: now,
        })
    }

    /// The upstream keeps an unused connection for this long.
    pub(in crate::upstream) fn kept_for(&mut self, announced: Option<Duration>, now: Instant) {
        self.expires = announced.map(|time| now + time.saturating_sub(KEEP_MARGIN));
    }

    /// Whether it may be used again after `idle` at most.
    fn is_usable(&self, idle: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.idle_since) < idle
            && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether nothing has arrived since the last response. The end of the stream means closed,
    /// bytes mean that the upstream is out of step; in both cases it must not be used.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let mut buffer = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        matches!(
            std::pin::Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer),
            Poll::Pending
        )
    }

    /// One read into the buffer. 0 is the end of the stream; a TLS peer that ends without
    /// `close_notify` counts as the same.
    pub(in crate::upstream) async fn receive(&mut self) -> io::Result<usize> {
        match self.stream.read_buf(&mut self.input).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }

    /// Whether its address still belongs to the upstream.
    fn is_current(&mut self, addresses: &ResolvedAddresses) -> bool {
        let changes = addresses.changes();
        if self.changes != changes {
            if !addresses.contains(self.address) {
                return false;
            }
            self.changes = changes;
        }
        true
    }
}

/// All connections to one upstream.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Connections {
    /// One permit for each connection that may be in use. Before one is opened, idle ones that
    /// would exceed the ceiling are closed: [`Http1Connections::make_room`].
    slots: Arc<Gate>,
    ceiling: usize,
    /// Number of idle ones that are kept.
    kept: usize,
    #[expect(
        clippy::vec_box,
        reason = "connections move between calls and this stack"
    )]
    idle: Mutex<Vec<Box<Http1Connection>>>,
    idle_timeout: Duration,
}

impl Http1Connections {
    pub(in crate::upstream) fn new(
        kept: usize,
        ceiling: usize,
        idle_timeout: Duration,
    ) -> Arc<Self> {
        let ceiling = ceiling.max(1);
        Arc::new(Self {
            slots: Gate::new(ceiling, most_waiting(ceiling)),
            ceiling,
            kept,
            idle: Mutex::new(Vec::new()),
            idle_timeout,
        })
    }

    /// Waits for the permit for a connection, at most for `patience`; the gate decides the order.
    /// `None` if too many wait.
    pub(in crate::upstream) async fn slot<'a>(
        self: &Arc<Self>,
        claim: impl Into<PermitClaim<'a>>,
        patience: Duration,
    ) -> Option<ConnectionPermit> {
        let place = self.slots.place(claim, patience).await?;
        Some(self.held(place))
    }

    /// Whether a normal call would have to wait for a connection.
    pub(in crate::upstream) fn all_busy(&self) -> bool {
        self.slots.is_full_for(PermitRequest::own(Priority::Medium))
    }

    /// As [`Http1Connections::slot`], but only without waiting.
    pub(in crate::upstream) fn try_slot(
        self: &Arc<Self>,
        ask: PermitRequest,
    ) -> Option<ConnectionPermit> {
        let place = self.slots.try_place(ask)?;
        Some(self.held(place))
    }

    fn held(self: &Arc<Self>, place: GatePermit) -> ConnectionPermit {
        ConnectionPermit {
            connections: Arc::clone(self),
            _place: place,
        }
    }

    /// From now on no more than this many are in use at once, whatever the ceiling.
    pub(in crate::upstream) fn limit(&self, most: usize) {
        let most_waiting = most_waiting(self.ceiling);
        self.slots.resize(self.ceiling.min(most), most_waiting);
    }

    /// Whether calls wait for a connection.
    pub(in crate::upstream) fn is_waited_for(&self) -> bool {
        self.slots.waiting() > 0
    }

    /// Adds a connection that was not used yet.
    pub(in crate::upstream) fn put(
        &self,
        mut connection: Box<Http1Connection>,
        addresses: &ResolvedAddresses,
    ) {
        if connection.is_current(addresses) {
            self.idle.lock().push(connection);
            self.make_room();
        }
    }

    /// Closes the oldest idle connections that exceed the ceiling together with those in use.
    fn make_room(&self) {
        let mut idle = self.idle.lock();
        let surplus = (self.busy() + idle.len()).saturating_sub(self.ceiling);
        let surplus = surplus.min(idle.len());
        let oldest: Vec<_> = idle.drain(..surplus).collect();
        drop(idle);
        // Closing them needs no lock.
        drop(oldest);
    }

    /// Connections in use or being opened.
    pub(in crate::upstream) fn busy(&self) -> usize {
        self.slots.used()
    }

    /// Connections in use and calls that wait for one, by class.
    pub(in crate::upstream) fn by_class(&self) -> [InClass; Priority::ALL.len()] {
        self.slots.by_class()
    }

    pub(in crate::upstream) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// Closes what is too old or was closed by the upstream.
    pub(in crate::upstream) fn prune(&self, addresses: &ResolvedAddresses, now: Instant) {
        // Taken out, so that no call waits while connections are checked.
        let all = std::mem::take(&mut *self.idle.lock());
        let surplus = all.len().saturating_sub(self.kept);
        let kept: Vec<_> = all
            .into_iter()
            .enumerate()
            .filter_map(|(index, mut connection)| {
                let timeout = if index < surplus {
                    self.idle_timeout.min(SURPLUS)
                } else {
                    self.idle_timeout
                };
                let usable = connection.is_usable(timeout, now)
                    && connection.is_current(addresses)
                    && connection.is_quiet();
                usable.then_some(connection)
            })
            .collect();
        if kept.is_empty() {
            return;
        }
        let mut idle = self.idle.lock();
        // Connections returned meanwhile were used later and belong on top.
        let newer = std::mem::replace(&mut *idle, kept);
        idle.extend(newer);
    }
}

/// The permit for one connection. Dropping it makes room for another call.
#[derive(Debug)]
pub(in crate::upstream) struct ConnectionPermit {
    connections: Arc<Http1Connections>,
    _place: GatePermit,
}

impl ConnectionPermit {
    /// The idle connection that was used last and is still alive, if it was used within `idle`.
    pub(in crate::upstream) fn reuse(
        &self,
        addresses: &ResolvedAddresses,
        idle: Duration,
        now: Instant,
    ) -> Option<Box<Http1Connection>> {
        let idle = idle.min(self.connections.idle_timeout);
        loop {
            let mut connection = self.connections.idle.lock().pop()?;
            if !connection.is_usable(idle, now) {
                if connection.is_usable(self.connections.idle_timeout, now) {
                    // Too old for this call only. Those below are older still.
                    self.connections.idle.lock().push(connection);
                    return None;
                }
                continue;
            }
            if connection.is_current(addresses) && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// To be called before a connection is opened: idle ones too old for this call must not make
    /// the connections exceed the ceiling.
    pub(in crate::upstream) fn make_room(&self) {
        self.connections.make_room();
    }

    /// Returns a connection whose last response was read to its end.
    pub(in crate::upstream) fn keep(
        self,
        mut connection: Box<Http1Connection>,
        addresses: &ResolvedAddresses,
        now: Instant,
    ) {
        if !connection.is_current(addresses) {
            return;
        }
        if connection.input.capacity() > MOST_KEPT || connection.last_response > MOST_KEPT {
            connection.input = BytesMut::new();
        }
        if connection.output.capacity() > MOST_KEPT {
            connection.output = Vec::new();
        }
        connection.idle_since = now;
        self.connections.idle.lock().push(connection);
    }
}
