//! An attempt over HTTP/2: a stream on a shared connection, and when it is sent again.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::time::{Instant, Sleep};

use super::progress::AttemptProgress;
use super::steps::{HeadOf, Http1Exchange};
use super::{ConnectionRoute, RECENT, ReplyTo, UpstreamLine, WireRequest, ids};
use crate::jsonrpc::RequestId;
use crate::solana::FaultKind;
use crate::upstream::client::reply::{ReplyBody, UpstreamReply};
use crate::upstream::client::stream::{StreamSource, UpstreamBodyStream};
use crate::upstream::http2::{
    Http2Pool, IncomingBody, JoinedPieces, LostCall, Repeat, StreamLease, WaitDeadline, exchange,
};
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::pending_connection::PendingConnection;
use crate::upstream::transport::saturation::Saturation;
use crate::upstream::transport::timer::within;

#[cfg(test)]
mod tests;

/// How often a call is sent again because the upstream had not processed it.
const MOST_UNSEEN: u32 = 3;
/// How many closing connections are met before that counts as a fault.
const MOST_UNSENT: u32 = 10;

impl UpstreamLine<'_> {
    /// The whole exchange; `None` if the upstream speaks HTTP/1.1. Notes in `sent_before` that a
    /// connection broke during the call.
    pub(super) async fn call_http2<R: WireRequest>(
        &self,
        http2: &Arc<Http2Pool>,
        exchange: &Http1Exchange<'_, R>,
        route: ConnectionRoute<'_>,
        sent_before: &mut bool,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Option<Result<ReplyTo<R>, TransportFault>> {
        let replayable = exchange.limits.replayable;
        let (mut unseen, mut unsent) = (0, 0);
        let mut begun = None;
        loop {
            let lease = match self.lease(http2, exchange, route, timer).await {
                Ok(Some(lease)) => lease,
                Ok(None) => return None,
                Err(kind) => return Some(Err(TransportFault::before(kind))),
            };
            // The wait for the first stream was not the upstream's.
            let begun = *begun.get_or_insert_with(Instant::now);
            let asked = ids::next();
            let lost = match self.exchange_http2(&lease, asked, exchange, timer).await {
                Ok(((head, fields), body)) => {
                    let incoming = IncomingBody::new(body, head.framing, head.coding, lease);
                    let incoming = Box::new(incoming);
                    let head = (head, fields);
                    return Some(receive(incoming, (asked, begun), head, exchange, timer).await);
                }
                Err(lost) => lost,
            };
            match lost.repeat {
                Repeat::Unsent if unsent < MOST_UNSENT => unsent += 1,
                Repeat::Unseen if unseen < MOST_UNSEEN => unseen += 1,
                Repeat::Broken if replayable && !*sent_before => *sent_before = true,
                Repeat::Older if self.wire.endpoint.falls_back() => {
                    http2.abandon();
                    self.broken.inc();
                    return None;
                }
                _ => return Some(Err(lost.fault)),
            }
            self.broken.inc();
        }
    }

    /// The whole exchange, on a connection that turned out to speak HTTP/2.
    pub(super) async fn call_adopted<R: WireRequest>(
        &self,
        (stream, address): (Stream, SocketAddr),
        exchange: &Http1Exchange<'_, R>,
        route: ConnectionRoute<'_>,
        sent_before: &mut bool,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let otherwise = || TransportFault::before(FaultKind::ConnectFailed);
        let http2 = self.http2.ok_or_else(otherwise)?;
        http2
            .adopt(stream, address, &self.wire.addresses)
            .await
            .map_err(TransportFault::before)?;
        let reply = self
            .call_http2(http2, exchange, route, sent_before, timer)
            .await;
        reply.unwrap_or_else(|| Err(otherwise()))
    }

    async fn lease<R>(
        &self,
        http2: &Arc<Http2Pool>,
        exchange: &Http1Exchange<'_, R>,
        route: ConnectionRoute<'_>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<Option<StreamLease>, FaultKind> {
        let fresh = if exchange.limits.replayable {
            Duration::MAX
        } else {
            RECENT
        };
        let open = || {
            let opening = PendingConnection {
                wire: Arc::clone(self.wire),
                target: route.target(),
                connections: Arc::clone(self.connections),
                http2: Arc::clone(http2),
                opened: self.opened.clone(),
                connect_time: self.connect_time.clone(),
            };
            opening.begin();
        };
        let queue = exchange.total.min(exchange.limits.queue);
        let wait = || self.saturation.map(Saturation::meet);
        let place = http2.place(exchange.limits.claim(), queue, wait, timer);
        let place = place.await.ok_or(FaultKind::Saturated)?;
        let connect = Instant::now() + self.wire.timeouts.connect;
        let patience = WaitDeadline {
            opening: exchange.total.min(connect),
            queue,
        };
        let addresses = &self.wire.addresses;
        let lease = http2
            .stream(addresses, fresh, open, patience, self.saturation, timer)
            .await
            .map_err(|kind| exchange.cut(kind, connect))?;
        Ok(lease.map(|lease| lease.with(place)))
    }

    async fn exchange_http2<R: WireRequest>(
        &self,
        lease: &StreamLease,
        asked: RequestId,
        call: &Http1Exchange<'_, R>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<(HeadOf<R>, h2::RecvStream), LostCall> {
        let Some(request) = call
            .request
            .frames(&self.wire.endpoint, (asked, call.limits.headers.as_deref()))
        else {
            return Err(LostCall {
                fault: TransportFault::before(FaultKind::WriteFailed),
                repeat: Repeat::No,
            });
        };
        self.note_written();
        let first_byte = Instant::now() + call.limits.first_byte;
        let fields = R::fields_of;
        exchange(lease, request, fields, first_byte, call.total, timer).await
    }
}

/// Reads the body, or as much as fits into the buffer.
async fn receive<R: WireRequest>(
    mut incoming: Box<IncomingBody>,
    (asked, begun): (RequestId, Instant),
    (head, fields): HeadOf<R>,
    exchange: &Http1Exchange<'_, R>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<ReplyTo<R>, TransportFault> {
    let buffer = exchange.limits.answer_buffer;
    let length = head.length();
    let known = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    // As long as the caller has seen nothing another upstream can be asked.
    let enough = buffer.saturating_add(1);
    let mut pieces = JoinedPieces::default();
    let mut progress = AttemptProgress::begin(exchange.limits.progress, Instant::now());
    let whole = loop {
        let until = progress.until().min(exchange.total);
        let Some(next) = within(timer, until, incoming.next()).await else {
            let missing = known.map(|known| known.min(enough).saturating_sub(pieces.len()) as u64);
            let looked = progress.look(missing, exchange.total);
            looked.map_err(TransportFault::after)?;
            continue;
        };
        match next? {
            None => break true,
            Some(piece) => {
                progress.came(piece.len());
                pieces.push(piece, known.unwrap_or(0).min(buffer));
            }
        }
        if pieces.len() >= enough {
            break false;
        }
    };
    let bytes = pieces.into_bytes();
    let body = if whole {
        let answer = R::read(bytes, asked);
        if !R::is_in_step(&answer) {
            incoming.retire();
        }
        ReplyBody::Complete(answer)
    } else {
        let source = StreamSource::Http2(incoming);
        ReplyBody::Streaming {
            head: bytes,
            length,
            rest: UpstreamBodyStream::new(source, asked, exchange.limits.first_byte),
        }
    };
    Ok(UpstreamReply {
        status: head.status,
        hints: head.hints,
        fields,
        body,
        latency: begun.elapsed(),
    })
}
