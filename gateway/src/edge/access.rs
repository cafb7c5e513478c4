//! The access log: one line per request, its fields bounded and free of keys.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::telemetry::json;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::head::{Head, RequestId};
use super::reply::{Sent, WriteFault};
use crate::auth::ConsumerId;
use crate::dispatch::Tried;
use crate::error::Rejection;
use crate::pipeline::{ApiResponse, CacheStatus, Response, Summary};
use crate::pubsub::Ended;
use crate::upstream::Upstream;

/// What is known of an answered request.
#[derive(Debug)]
pub(super) struct Entry {
    pub status: u16,
    pub method: &'static str,
    pub outcome: &'static str,
    pub calls: usize,
    pub took: Duration,
    attempts: u32,
    upstreams: Vec<Tried>,
    hedged: bool,
    fault: &'static str,
    upstream: Option<Name>,
    cache: Option<&'static str>,
    consumer: Option<ConsumerId>,
    client: Option<std::net::IpAddr>,
    request_id: RequestId,
}

impl Entry {
    pub(super) fn new(
        response: &Response,
        head: &Head,
        consumer: Option<ConsumerId>,
        started: Instant,
    ) -> Self {
        Self::of(&response.summary, response.status, head, consumer, started)
    }

    pub(super) fn of(
        summary: &Summary,
        status: u16,
        head: &Head,
        consumer: Option<ConsumerId>,
        started: Instant,
    ) -> Self {
        Self {
            status,
            method: summary.method,
            outcome: summary.outcome,
            calls: summary.calls,
            took: started.elapsed(),
            attempts: summary.trace.attempts,
            upstreams: summary.trace.attempts(),
            hedged: summary.trace.hedged,
            fault: summary
                .trace
                .fault
                .map_or("", crate::solana::FaultKind::label),
            upstream: summary.trace.upstream.clone().map(Name::Rpc),
            cache: summary.cache.map(CacheStatus::label),
            consumer,
            client: head.client_ip,
            request_id: head.request_id.clone(),
        }
    }
}

/// An upstream's name. That of RPC is not copied for it.
#[derive(Debug)]
enum Name {
    Rpc(Arc<Upstream>),
    Api(Arc<str>),
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::Rpc(upstream) => upstream.id(),
            Self::Api(name) => name,
        }
    }
}

impl Entry {
    /// A request of Jupiter's API.
    pub(super) fn api(
        response: &ApiResponse,
        head: &Head,
        consumer: Option<ConsumerId>,
        started: Instant,
    ) -> Self {
        Self {
            status: response.status,
            method: response.product.label(),
            outcome: response.outcome,
            calls: 1,
            took: started.elapsed(),
            attempts: response.attempts,
            upstreams: Vec::new(),
            hedged: response.hedged,
            fault: "",
            upstream: response.upstream.clone().map(Name::Api),
            cache: response.cache.map(CacheStatus::label),
            consumer,
            client: head.client_ip,
            request_id: head.request_id.clone(),
        }
    }

    /// A request that was refused before a call was read.
    pub(super) fn refused(rejection: &Rejection, head: &Head, started: Instant) -> Self {
        Self {
            status: rejection.status(),
            method: "-",
            outcome: rejection.label(),
            calls: 0,
            took: started.elapsed(),
            attempts: 0,
            upstreams: Vec::new(),
            hedged: false,
            fault: "",
            upstream: None,
            cache: None,
            consumer: None,
            client: head.client_ip,
            request_id: head.request_id.clone(),
        }
    }
}

/// Every upstream that was tried, in order, with what it did.
struct Upstreams<'a>(&'a [Tried]);

impl Serialize for Upstreams<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|tried| Attempt {
            upstream: tried.upstream.id(),
            outcome: tried.outcome,
            micros: u64::try_from(tried.took.as_micros()).unwrap_or(u64::MAX),
            times: Some(tried.times).filter(|times| *times > 1),
        }))
    }
}

/// One of them.
#[derive(Serialize)]
struct Attempt<'a> {
    upstream: &'a str,
    outcome: &'static str,
    micros: u64,
    /// Within a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

pub(super) fn log(entry: &Entry, written: Result<Sent, WriteFault>) {
    let micros = u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX);
    let (bytes, end) = match written {
        Ok(sent) => (sent, "sent"),
        Err(WriteFault::Gone) => (0, "client_gone"),
        Err(WriteFault::Broken) => (0, "cut"),
        Err(WriteFault::Stalled | WriteFault::NoRoom) => (0, "client_stalled"),
    };
    tracing::info!(
        target: "access",
        request_id = entry.request_id.as_str(),
        client = entry.client.map(tracing::field::display),
        consumer = entry.consumer.as_deref(),
        method = entry.method,
        calls = entry.calls,
        status = entry.status,
        outcome = entry.outcome,
        upstream = entry.upstream.as_ref().map(Name::as_str),
        cache = entry.cache,
        attempts = entry.attempts,
        upstreams = json(&Upstreams(&entry.upstreams)).as_slice(),
        hedged = entry.hedged,
        fault = entry.fault,
        micros,
        bytes,
        end,
        "request"
    );
}

/// The line of a WebSocket, when it has ended.
pub(super) fn log_socket(
    head: &Head,
    consumer: Option<&ConsumerId>,
    started: Instant,
    ended: &Ended,
) {
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        target: "access",
        request_id = head.request_id.as_str(),
        client = head.client_ip.map(tracing::field::display),
        consumer = consumer.map(|consumer| &**consumer),
        method = "websocket",
        calls = ended.messages,
        status = 101,
        outcome = ended.end.label(),
        notifications = ended.notifications,
        micros,
        bytes = ended.bytes,
        "websocket"
    );
}
