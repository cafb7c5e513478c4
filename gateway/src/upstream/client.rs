//! One attempt: a request to one upstream and its answer. Any verb, target and body is sent by one
//! function, over either version of HTTP; what differs between kinds of requests is
//! [`WireRequest`]'s.
//!
//! Over HTTP/1.1 head and body go out with one write. An answer up to the buffer limit is read
//! whole, into one piece of memory; a larger one is passed on as a stream that is read only as fast
//! as it is consumed. Dropping an attempt closes its connection; over HTTP/2, only its stream.
//!
//! **Dead connections.** An upstream may close an idle connection at the moment a request is
//! written to it. If a *reused* connection breaks before any byte of an answer, the request is sent
//! once more on a fresh one, without reporting a fault: a read may be repeated anyway, and a signed
//! transaction lands only once however often it is sent. For any other call the end of the
//! connection does not prove that the request was not executed. It is repeated only if not a single
//! byte was written; to make the race unlikely it uses only connections that were in use a moment
//! ago. In all other cases the fault is reported with `bytes_sent`, and the caller decides.
//!
//! Over HTTP/2 the same applies to a shared connection, and more can be known: a stream that the
//! upstream reports as not processed is sent again, whatever the call.
//!
//! **Matching answers.** Every request has a unique id. A complete answer is parsed before its
//! connection is used again: if it has another id, the connection is out of step and closed.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, Sleep};

use crate::limit::{BudgetCharge, PermitClaim};
use crate::solana::FaultKind;
use crate::upstream::client::reply::{AttemptLimits, ReplyBody, UpstreamReply};
use crate::upstream::client::stream::{Http1Rest, StreamSource, UpstreamBodyStream};
use crate::upstream::http1::connection::{ConnectionPermit, Http1Connection, Http1Connections};
use crate::upstream::http2::Http2Pool;
use crate::upstream::transport::balance::Balancer;
use crate::upstream::transport::coding::DecodedBody;
use crate::upstream::transport::connect_settings::{ConnectSettings, NewConnection};
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::pending_connection::ConnectTarget;
use crate::upstream::transport::saturation::Saturation;
use crate::upstream::transport::timer::within;

mod ids;
mod multiplexed;
mod progress;
mod redirect;
pub(super) mod reply;
pub(in crate::upstream) mod request;
mod steps;
pub(super) mod stream;
mod stream_pace;
#[cfg(test)]
mod tests;
mod wire_request;

pub use wire_request::{ReplyTo, RpcReply, RpcRequest, WireRequest};

use steps::{
    BufferedBody, ConnectionFault, HeadOf, Http1Exchange, gather, gather_known, read_head, send,
};

/// A call that must not be executed twice uses only connections used within this time.
const RECENT: Duration = Duration::from_secs(1);
/// Space for the head of the next response besides its body.
const USUAL_HEAD: usize = 512;

/// A smaller answer is copied rather than its buffer reallocated.
const WORTH_OWNING: usize = 16 * 1024;

/// Where a new connection goes.
#[derive(Clone, Copy)]
pub(super) enum ConnectionRoute<'a> {
    /// To the next address, or to another if that one does not answer.
    Balanced(&'a Balancer),
    /// To the first of its addresses that answers.
    Any,
    Only(SocketAddr),
}

impl ConnectionRoute<'_> {
    fn target(self) -> ConnectTarget {
        match self {
            Self::Balanced(balancer) => ConnectTarget::First(balancer.pick()),
            Self::Any => ConnectTarget::First(None),
            Self::Only(address) => ConnectTarget::Only(address),
        }
    }
}

/// What a request takes from the upstream's budget.
#[derive(Clone, Copy)]
pub(super) enum RequestCost<'a> {
    Of(&'a BudgetCharge),
    /// Whoever sends it keeps the account.
    Charged,
}

/// One upstream's connections, and what is needed to open more.
pub(super) struct UpstreamLine<'a> {
    pub(super) wire: &'a Arc<ConnectSettings>,
    pub(super) connections: &'a Arc<Http1Connections>,
    /// Present if HTTP/2 may be used.
    pub(super) http2: Option<&'a Arc<Http2Pool>>,
    /// Notified of calls that have to wait; a probe's connections have none.
    pub(super) saturation: Option<&'a Saturation>,
    pub(super) opened: &'a prometheus::IntCounter,
    /// Duration of opening one.
    pub(super) connect_time: &'a prometheus::Histogram,
    pub(super) broken: &'a prometheus::IntCounter,
    /// Set once a call has a connection and is being written.
    pub(super) written: Option<&'a AtomicBool>,
    /// The cost of each sending.
    pub(super) cost: RequestCost<'a>,
}

impl UpstreamLine<'_> {
    /// The whole exchange. What was sent once counts as sent, however the rest ends.
    pub(super) async fn call<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
        route: ConnectionRoute<'_>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let mut sent_before = false;
        let carried = self.carry_out(request, limits, route, &mut sent_before, timer);
        carried.await.map_err(|fault| TransportFault {
            bytes_sent: fault.bytes_sent || sent_before,
            ..fault
        })
    }

    /// The same; notes in `sent_before` that a connection broke after something was written to it.
    async fn carry_out<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
        route: ConnectionRoute<'_>,
        sent_before: &mut bool,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let start = Instant::now();
        let total = limits.deadline.min(start + self.wire.timeouts.total);
        let mut exchange = Http1Exchange {
            request,
            limits,
            start,
            total,
        };
        let endpoint = &self.wire.endpoint;
        let spoken = |http2: &&Arc<Http2Pool>| http2.is_spoken() && endpoint.may_be_http2();
        if let Some(http2) = self.http2.filter(spoken) {
            let call = self.call_http2(http2, &exchange, route, sent_before, timer);
            if let Some(reply) = Box::pin(call).await {
                return reply;
            }
        }
        if let Some(slot) = self.connections.try_slot(limits.claim().ask()) {
            return self
                .over_http1(slot, &exchange, route, sent_before, timer)
                .await;
        }
        let until = total.min(limits.queue);
        let slot = self.slot(limits.claim(), until, timer).await?;
        // From here on the upstream's time counts; the wait was not its own.
        exchange.start = Instant::now();
        let waited = exchange.start.saturating_duration_since(start);
        let late = waited > total.saturating_duration_since(exchange.start);
        let carried = self.over_http1(slot, &exchange, route, sent_before, timer);
        Box::pin(carried).await.map_err(|fault| match fault.kind {
            FaultKind::TotalTimeout if late => TransportFault {
                kind: FaultKind::NoTime,
                ..fault
            },
            _ => fault,
        })
    }

    /// The exchange on one of the HTTP/1.1 connections, or on a new one of whichever version it
    /// has.
    async fn over_http1<R: WireRequest>(
        &self,
        slot: ConnectionPermit,
        exchange: &Http1Exchange<'_, R>,
        route: ConnectionRoute<'_>,
        sent_before: &mut bool,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let (limits, total, timeouts) = (exchange.limits, exchange.total, &self.wire.timeouts);
        let idle = if limits.replayable {
            Duration::MAX
        } else {
            RECENT
        };
        if let Some(mut connection) = slot.reuse(&self.wire.addresses, idle, exchange.start) {
            match self.exchange(&mut connection, exchange, timer).await {
                Ok(head) => return self.body(slot, connection, head, exchange, timer).await,
                Err(broken) if broken.silent && (limits.replayable || !broken.fault.bytes_sent) => {
                    *sent_before |= broken.fault.bytes_sent;
                    self.broken.inc();
                }
                Err(broken) => return Err(broken.fault),
            }
        }
        slot.make_room();
        let begun = Instant::now();
        let connect = begun + timeouts.connect;
        let opened = Box::pin(self.open(route, total.min(connect), timer))
            .await
            .map_err(|kind| TransportFault::before(exchange.cut(kind, connect)))?;
        self.opened.inc();
        self.connect_time.observe(begun.elapsed().as_secs_f64());
        let mut connection = match opened {
            NewConnection::Http1(connection) => connection,
            NewConnection::Http2(stream, address) => {
                // It spoke HTTP/1.1 before.
                drop(slot);
                let call =
                    self.call_adopted((stream, address), exchange, route, sent_before, timer);
                return Box::pin(call).await;
            }
        };
        match self.exchange(&mut connection, exchange, timer).await {
            Ok(head) => self.body(slot, connection, head, exchange, timer).await,
            Err(broken) => Err(broken.fault),
        }
    }

    fn note_written(&self) {
        let before = self
            .written
            .is_some_and(|written| written.swap(true, Ordering::Relaxed));
        match self.cost {
            // Paid for when the upstream was chosen.
            RequestCost::Charged => {}
            RequestCost::Of(_) if !before => {}
            RequestCost::Of(charge) => charge.again(Instant::now()),
        }
    }

    /// The permit for a connection, once one is free.
    async fn slot(
        &self,
        claim: PermitClaim<'_>,
        until: Instant,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ConnectionPermit, TransportFault> {
        let _wait = self.saturation.map(Saturation::meet);
        let patience = until.saturating_duration_since(Instant::now());
        within(timer, until, self.connections.slot(claim, patience))
            .await
            .flatten()
            .ok_or(TransportFault::before(FaultKind::Saturated))
    }

    async fn open(
        &self,
        route: ConnectionRoute<'_>,
        until: Instant,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<NewConnection, FaultKind> {
        match route.target() {
            ConnectTarget::First(first) => self.wire.open(first, until, timer).await,
            ConnectTarget::Only(address) => self.wire.connect(address, until, timer).await,
        }
    }

    /// Sends the request and reads the head of the answer.
    async fn exchange<R: WireRequest>(
        &self,
        connection: &mut Http1Connection,
        exchange: &Http1Exchange<'_, R>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<HeadOf<R>, ConnectionFault> {
        self.note_written();
        connection.output.clear();
        connection.asked = ids::next();
        let (asked, output) = (connection.asked, &mut connection.output);
        let headers = exchange.limits.headers.as_deref();
        exchange
            .request
            .write(&self.wire.endpoint, (asked, headers), output);
        let mut written = 0;
        let until = exchange
            .total
            .min(exchange.start + self.wire.timeouts.write);
        let write = within(timer, until, send(connection, &mut written)).await;
        let fault = |kind| TransportFault {
            kind,
            bytes_sent: written > 0,
        };
        match write {
            Some(Ok(())) => read_head(connection, exchange, timer).await,
            Some(Err(_)) => Err(ConnectionFault {
                fault: fault(FaultKind::WriteFailed),
                silent: true,
            }),
            None => Err(ConnectionFault {
                fault: fault(FaultKind::WriteTimeout),
                silent: false,
            }),
        }
    }

    /// Reads the body, or as much as fits into the buffer.
    async fn body<R: WireRequest>(
        &self,
        slot: ConnectionPermit,
        mut connection: Box<Http1Connection>,
        (head, fields): HeadOf<R>,
        exchange: &Http1Exchange<'_, R>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let mut body = DecodedBody::new(head.framing, head.coding);
        let length = head.length();
        let gathered = match length {
            Some(length) => {
                gather_known(&mut connection, &mut body, length, exchange, timer).await?
            }
            None => gather(&mut connection, &mut body, exchange, timer).await?,
        };
        let latency = exchange.start.elapsed();
        let (asked, addresses) = (connection.asked, &self.wire.addresses);
        connection.kept_for(head.keep_for, exchange.start + latency);
        let body = match gathered {
            BufferedBody::Whole(bytes) => {
                connection.last_response = bytes.len() + USUAL_HEAD;
                if bytes.len() > WORTH_OWNING && connection.input.is_empty() {
                    // The answer then owns its memory and is completed in place, not copied.
                    connection.input = BytesMut::new();
                }
                let answer = R::read(bytes, connection.asked);
                if head.keep_alive && connection.input.is_empty() && R::is_in_step(&answer) {
                    slot.keep(connection, addresses, exchange.start + latency);
                }
                ReplyBody::Complete(answer)
            }
            BufferedBody::Beginning(bytes) => ReplyBody::Streaming {
                head: bytes,
                length,
                rest: UpstreamBodyStream::new(
                    StreamSource::Http1(Box::new(Http1Rest {
                        slot,
                        connection,
                        body,
                        keep_alive: head.keep_alive,
                        addresses: Arc::clone(addresses),
                    })),
                    asked,
                    exchange.limits.first_byte,
                ),
            },
        };
        Ok(UpstreamReply {
            status: head.status,
            hints: head.hints,
            fields,
            body,
            latency,
        })
    }
}
