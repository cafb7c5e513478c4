//! One attempt at a request of an HTTP API: any verb, target and body, over HTTP/1.1. The answer is
//! passed on unchanged; its meaning is judged elsewhere.
//!
//! Connections, limits and reading of bodies are those of calls ([`super`]). A request that may
//! have been executed is not sent again here: only if not a byte of it was sent, or if the caller
//! says that it may be executed twice.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::Method;
use prometheus::IntCounter;
use tokio::time::{Instant, Sleep};

use super::steps::{BufferedBody, Http1Exchange, gather, gather_known, send};
use super::{ConnectionFault, RECENT, USUAL_HEAD};
use crate::jsonrpc::RequestId;
use crate::limit::PermitRequest;
use crate::solana::{FaultKind, ReplyHints};
use crate::upstream::client::reply::AttemptLimits;
use crate::upstream::client::stream::{Http1Rest, StreamSource, UpstreamBodyStream};
use crate::upstream::http1::connection::{ConnectionPermit, Http1Connection, Http1Connections};
use crate::upstream::http1::response::{Parsed, ResponseHead, parse_head};
use crate::upstream::transport::coding::DecodedBody;
use crate::upstream::transport::connect_settings::{ConnectSettings, NewConnection};
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::saturation::Saturation;
use crate::upstream::transport::timer::within;

/// Most fields of an answer's head.
const MOST_FIELDS: usize = 100;

/// Fields of an answer that are passed on. The others are about the connection, or about the limits
/// of the gateway's own account.
const HANDED_ON: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "etag",
    "last-modified",
    "location",
    "x-api-gateway-request-id",
];

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Fields besides those that every request to the upstream has.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: Bytes,
}

/// The limits of one attempt. The upstream's own connect, write and total limits apply as well.
#[derive(Clone, Copy, Debug)]
pub struct ApiLimits {
    pub deadline: Instant,
    /// Until when it may wait for a connection that another request uses.
    pub queue: Instant,
    /// Time from the request sent to the first byte of the answer.
    pub first_byte: Duration,
    /// Larger answers are streamed.
    pub answer_buffer: usize,
    /// Whether the request may be executed twice.
    pub replayable: bool,
    /// Class and consumer, if a connection has to be waited for.
    pub ask: PermitRequest,
}

impl ApiLimits {
    fn of_attempt(&self, total: Instant, progress: Duration) -> AttemptLimits {
        AttemptLimits {
            deadline: self.deadline,
            queue: self.queue.min(total),
            first_byte: self.first_byte,
            progress: progress.max(self.first_byte),
            answer_buffer: self.answer_buffer,
            ledger_only: false,
            replayable: self.replayable,
            ask: self.ask,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct ApiReply {
    pub status: u16,
    pub hints: ReplyHints,
    /// Fields to be passed on, their names in lower case.
    pub fields: Vec<(&'static str, Bytes)>,
    pub body: ApiBody,
    pub latency: Duration,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ApiBody {
    Whole(Bytes),
    /// The beginning of a large one.
    Streaming {
        first: Bytes,
        rest: UpstreamBodyStream,
    },
}

/// One upstream's connections, and what is needed to open more.
pub(in crate::upstream) struct ApiLine<'a> {
    pub(in crate::upstream) wire: &'a ConnectSettings,
    /// The fields that every request has, each with the end of its line.
    pub(in crate::upstream) head: &'a [u8],
    pub(in crate::upstream) connections: &'a Arc<Http1Connections>,
    pub(in crate::upstream) saturation: &'a Saturation,
    /// Counts connections.
    pub(in crate::upstream) opened: &'a IntCounter,
}

/// A head, and its fields that are passed on.
type ApiHead = (ResponseHead, Vec<(&'static str, Bytes)>);

impl ApiLine<'_> {
    /// The whole exchange. Cancel-safe: dropping the future closes the connection in use.
    pub(in crate::upstream) async fn call(
        &self,
        request: &ApiRequest,
        limits: &ApiLimits,
    ) -> Result<ApiReply, TransportFault> {
        let start = Instant::now();
        let timeouts = &self.wire.timeouts;
        let total = limits
            .deadline
            .min(start + timeouts.total.max(limits.first_byte));
        let attempt = limits.of_attempt(total, timeouts.progress);
        let exchange = Http1Exchange {
            request: &[],
            limits: &attempt,
            start,
            total,
        };
        let mut timer = pin!(None);
        let slot = self.slot(limits.ask, attempt.queue, &mut timer).await?;
        let idle = if limits.replayable {
            Duration::MAX
        } else {
            RECENT
        };
        if let Some(mut connection) = slot.reuse(&self.wire.addresses, idle, start) {
            match self
                .exchange(&mut connection, request, &exchange, &mut timer)
                .await
            {
                Ok(heard) => {
                    return self
                        .body(slot, connection, heard, &exchange, &mut timer)
                        .await;
                }
                Err(broken) if broken.silent && (limits.replayable || !broken.fault.bytes_sent) => {
                }
                Err(broken) => return Err(broken.fault),
            }
        }
        slot.make_room();
        let connect = Instant::now() + timeouts.connect;
        let opened = Box::pin(self.wire.open(None, total.min(connect), &mut timer)).await;
        let opened = opened.map_err(|kind| TransportFault::before(exchange.cut(kind, connect)))?;
        let NewConnection::Http1(mut connection) = opened else {
            // It was not offered.
            return Err(TransportFault::before(FaultKind::Tls));
        };
        self.opened.inc();
        match self
            .exchange(&mut connection, request, &exchange, &mut timer)
            .await
        {
            Ok(heard) => {
                self.body(slot, connection, heard, &exchange, &mut timer)
                    .await
            }
            Err(broken) => Err(broken.fault),
        }
    }

    async fn slot(
        &self,
        ask: PermitRequest,
        until: Instant,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ConnectionPermit, TransportFault> {
        if let Some(slot) = self.connections.try_slot(ask) {
            return Ok(slot);
        }
        let _wait = self.saturation.meet();
        within(timer, until, self.connections.slot(ask))
            .await
            .flatten()
            .ok_or(TransportFault::before(FaultKind::Saturated))
    }

    async fn exchange(
        &self,
        connection: &mut Http1Connection,
        request: &ApiRequest,
        exchange: &Http1Exchange<'_>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ApiHead, ConnectionFault> {
        write_request(request, self.head, &mut connection.output);
        let mut written = 0;
        let until = exchange
            .total
            .min(exchange.start + self.wire.timeouts.write);
        let write = within(timer, until, send(connection, &mut written)).await;
        let broken = |kind, silent| ConnectionFault {
            fault: TransportFault {
                kind,
                bytes_sent: written > 0,
            },
            silent,
        };
        match write {
            Some(Ok(())) => read_head(connection, exchange, timer).await,
            Some(Err(_)) => Err(broken(FaultKind::WriteFailed, true)),
            None => Err(broken(FaultKind::WriteTimeout, false)),
        }
    }

    async fn body(
        &self,
        slot: ConnectionPermit,
        mut connection: Box<Http1Connection>,
        (head, fields): ApiHead,
        exchange: &Http1Exchange<'_>,
        timer: &mut Pin<&mut Option<Sleep>>,
    ) -> Result<ApiReply, TransportFault> {
        let mut body = DecodedBody::new(head.framing, head.coding);
        let gathered = match head.length() {
            Some(length) => {
                gather_known(&mut connection, &mut body, length, exchange, timer).await?
            }
            None => gather(&mut connection, &mut body, exchange, timer).await?,
        };
        let latency = exchange.start.elapsed();
        let addresses = &self.wire.addresses;
        connection.kept_for(head.keep_for, exchange.start + latency);
        let body = match gathered {
            BufferedBody::Whole(bytes) => {
                connection.last_response = bytes.len() + USUAL_HEAD;
                if head.keep_alive && connection.input.is_empty() {
                    slot.keep(connection, addresses, exchange.start + latency);
                }
                ApiBody::Whole(bytes)
            }
            BufferedBody::Beginning(first) => ApiBody::Streaming {
                first,
                rest: UpstreamBodyStream::new(
                    StreamSource::Http1(Box::new(Http1Rest {
                        slot,
                        connection,
                        body,
                        keep_alive: head.keep_alive,
                        addresses: Arc::clone(addresses),
                    })),
                    RequestId::from(0),
                    exchange.limits.first_byte,
                ),
            },
        };
        Ok(ApiReply {
            status: head.status,
            hints: head.hints,
            fields,
            body,
            latency,
        })
    }
}

/// Head and body, for one write.
fn write_request(request: &ApiRequest, head: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.reserve(request.target.len() + head.len() + request.body.len() + 128);
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(head);
    for (name, value) in &request.fields {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    // Some servers require it if there could be a body.
    if !request.body.is_empty() || request.method != Method::GET {
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(request.body.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&request.body);
}

async fn read_head(
    connection: &mut Http1Connection,
    exchange: &Http1Exchange<'_>,
    timer: &mut Pin<&mut Option<Sleep>>,
) -> Result<ApiHead, ConnectionFault> {
    let broken = |kind, silent| ConnectionFault {
        fault: TransportFault::after(kind),
        silent,
    };
    let first_byte = exchange
        .total
        .min(Instant::now() + exchange.limits.first_byte);
    let mut begun = false;
    loop {
        connection.input.reserve(2 * 1024);
        match within(timer, first_byte, connection.receive()).await {
            None if first_byte == exchange.total => {
                return Err(broken(FaultKind::TotalTimeout, false));
            }
            None => return Err(broken(FaultKind::FirstByteTimeout, false)),
            Some(Ok(0)) if begun => return Err(broken(FaultKind::Truncated, false)),
            Some(Ok(0) | Err(_)) => return Err(broken(FaultKind::Reset, !begun)),
            Some(Ok(_)) => begun = true,
        }
        loop {
            match parse_head(&connection.input) {
                Ok(Parsed::Partial) => break,
                Ok(Parsed::Interim { length }) => connection.input.advance(length),
                Ok(Parsed::Final { head, length }) => {
                    let fields = handed_on(connection.input.get(..length).unwrap_or_default());
                    connection.input.advance(length);
                    return Ok((head, fields));
                }
                Err(bad) => {
                    return Err(ConnectionFault {
                        fault: bad.into(),
                        silent: false,
                    });
                }
            }
        }
    }
}

/// The fields of a head that are passed on.
fn handed_on(head: &[u8]) -> Vec<(&'static str, Bytes)> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    // It was read once already.
    if response.parse(head).is_err() {
        return Vec::new();
    }
    let known = |field: &httparse::Header<'_>| {
        let mut names = HANDED_ON.into_iter();
        let name = names.find(|name| field.name.eq_ignore_ascii_case(name))?;
        Some((name, Bytes::copy_from_slice(field.value)))
    };
    response.headers.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_as_it_is() {
        let request = ApiRequest {
            method: Method::GET,
            target: "/quote?a=1&b=%20".to_owned(),
            fields: vec![("accept", Bytes::from_static(b"*/*"))],
            body: Bytes::new(),
        };
        let mut out = b"old".to_vec();
        write_request(&request, b"host: a\r\n", &mut out);
        assert_eq!(
            out,
            b"GET /quote?a=1&b=%20 HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n"
        );
        let request = ApiRequest {
            method: Method::POST,
            body: Bytes::from_static(b"{}"),
            fields: Vec::new(),
            ..request
        };
        write_request(&request, b"", &mut out);
        assert!(out.ends_with(b"content-length: 2\r\n\r\n{}"));
    }

    #[test]
    fn only_what_is_the_clients_business_is_handed_on() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nX-RateLimit-Remaining: 3\r\n\
                     connection: close\r\nX-Api-Gateway-Request-Id: abc\r\n\r\n";
        assert_eq!(
            handed_on(head),
            [
                ("content-type", Bytes::from_static(b"text/x")),
                ("x-api-gateway-request-id", Bytes::from_static(b"abc")),
            ]
        );
    }
}
