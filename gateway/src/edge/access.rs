//! The access log: one line per request, with bounded fields and without keys.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::telemetry::json;
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::request_head::RequestHead;
use super::response_writer::Sent;
use super::write_pace::WriteFault;
use crate::auth::{ClientCertificate, ConsumerId};
use crate::context::RequestContext;
use crate::dispatch::{AttemptRecord, OUTCOMES};
use crate::error::Rejection;
use crate::jsonrpc::{self, RequestEntry, RequestPayload};
use crate::pipeline::{ApiResponse, CLIENT_GONE, CacheStatus, RequestSummary, Response};
use crate::pubsub::EndedSocket;
use crate::solana;
use crate::trace::{HttpRequestId, TraceId};
use crate::upstream::Upstream;

/// The facts of an answered request.
#[derive(Debug)]
pub(super) struct AccessEntry {
    pub status: u16,
    pub method: &'static str,
    pub outcome: &'static str,
    pub calls: usize,
    pub took: Duration,
    attempts: u32,
    upstreams: Vec<AttemptRecord>,
    hedged: bool,
    fault: Option<&'static str>,
    upstream: Option<UpstreamName>,
    cache: Option<&'static str>,
    consumer: Option<ConsumerId>,
    certificate: Option<Arc<ClientCertificate>>,
    client: Option<std::net::IpAddr>,
    request_id: HttpRequestId,
    trace_id: Option<TraceId>,
}

impl AccessEntry {
    pub(super) fn new(response: &Response, head: &RequestHead) -> Self {
        let context = &head.context;
        Self::of(&response.summary, response.status, context, context.started)
    }

    /// What began at another time than its context, as calls on a socket do.
    pub(super) fn of(
        summary: &RequestSummary,
        status: u16,
        context: &RequestContext,
        started: Instant,
    ) -> Self {
        Self {
            status,
            method: summary.method,
            outcome: summary.outcome,
            calls: summary.calls,
            attempts: summary.attempt_summary.attempts,
            upstreams: summary.attempt_summary.attempts(),
            hedged: summary.attempt_summary.hedged,
            fault: summary.attempt_summary.fault.map(solana::FaultKind::label),
            upstream: summary
                .attempt_summary
                .upstream
                .clone()
                .map(UpstreamName::Rpc),
            cache: summary.cache.map(CacheStatus::label),
            ..Self::unanswered(context, started)
        }
    }
}

/// An upstream's name. Not copied for RPC calls.
#[derive(Debug)]
enum UpstreamName {
    Rpc(Arc<Upstream>),
    Api(Arc<str>),
}

impl UpstreamName {
    fn as_str(&self) -> &str {
        match self {
            Self::Rpc(upstream) => upstream.id(),
            Self::Api(name) => name,
        }
    }
}

impl AccessEntry {
    /// A request of Jupiter's API.
    pub(super) fn api(response: &ApiResponse, head: &RequestHead) -> Self {
        let context = &head.context;
        Self {
            status: response.status,
            method: response.product.label(),
            outcome: response.outcome,
            calls: 1,
            attempts: response.attempts,
            upstreams: response.tried.clone(),
            hedged: response.hedged,
            fault: last_fault(&response.tried),
            upstream: response.upstream.clone().map(UpstreamName::Api),
            cache: response.cache.map(CacheStatus::label),
            ..Self::unanswered(context, context.started)
        }
    }

    /// A request that was refused before a call was parsed, or after these attempts at upstreams of
    /// Jupiter's API.
    pub(super) fn refused(
        rejection: &Rejection,
        tried: &[AttemptRecord],
        head: &RequestHead,
    ) -> Self {
        let context = &head.context;
        Self {
            status: rejection.status(),
            outcome: rejection.label(),
            attempts: tried.iter().map(|tried| tried.times).sum(),
            upstreams: tried.to_vec(),
            fault: last_fault(tried),
            ..Self::unanswered(context, context.started)
        }
    }

    /// A request to the admin port that could not be read.
    pub(super) fn refused_by_admin(rejection: &Rejection, head: &RequestHead) -> Self {
        Self {
            method: "admin",
            ..Self::refused(rejection, &[], head)
        }
    }

    /// A request of Jupiter's API whose client has gone before there was an answer.
    pub(super) fn gone_from_api(product: &'static str, head: &RequestHead) -> Self {
        let context = &head.context;
        Self {
            method: product,
            calls: 1,
            outcome: CLIENT_GONE,
            ..Self::unanswered(context, context.started)
        }
    }

    /// Calls whose client has gone before there was an answer, by their text: they may have been
    /// carried out.
    pub(super) fn gone(body: &Bytes, context: &RequestContext, started: Instant) -> Self {
        let (method, calls) = match jsonrpc::parse(body, usize::MAX) {
            Ok(RequestPayload::Single(RequestEntry::Call(call))) => {
                (solana::classify(call.method(), None).method.label(), 1)
            }
            Ok(RequestPayload::Batch(batch)) => ("batch", batch.len()),
            Ok(RequestPayload::Single(RequestEntry::Invalid(_))) | Err(_) => ("-", 0),
        };
        Self {
            method,
            calls,
            outcome: CLIENT_GONE,
            ..Self::unanswered(context, started)
        }
    }

    /// What is known before there is an answer.
    fn unanswered(context: &RequestContext, started: Instant) -> Self {
        Self {
            status: 0,
            method: "-",
            outcome: "",
            calls: 0,
            took: started.elapsed(),
            attempts: 0,
            upstreams: Vec::new(),
            hedged: false,
            fault: None,
            upstream: None,
            cache: None,
            consumer: context.consumer.clone(),
            certificate: context.certificate.clone(),
            client: context.address,
            request_id: context.id.clone(),
            trace_id: context.trace.as_ref().map(|trace| trace.trace_id),
        }
    }
}

/// The fault of the last attempt that failed.
fn last_fault(tried: &[AttemptRecord]) -> Option<&'static str> {
    let outcomes = tried.iter().rev().map(|tried| tried.outcome);
    let mut faults = outcomes.filter(|outcome| !OUTCOMES.contains(outcome));
    faults.next()
}

/// All attempts, in order, with their outcomes.
struct TriedUpstreams<'a>(&'a [AttemptRecord]);

impl Serialize for TriedUpstreams<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|tried| TriedUpstream {
            upstream: &tried.upstream,
            outcome: tried.outcome,
            micros: u64::try_from(tried.took.as_micros()).unwrap_or(u64::MAX),
            times: Some(tried.times).filter(|times| *times > 1),
        }))
    }
}

/// One of them.
#[derive(Serialize)]
struct TriedUpstream<'a> {
    upstream: &'a str,
    outcome: &'static str,
    micros: u64,
    /// Within a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
}

pub(super) fn log(entry: &AccessEntry, written: Result<Sent, WriteFault>) {
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
        trace_id = entry.trace_id.map(tracing::field::display),
        client = entry.client.map(tracing::field::display),
        consumer = entry.consumer.as_deref(),
        certificate = entry.certificate.as_deref().map(ClientCertificate::subject),
        method = entry.method,
        calls = entry.calls,
        status = entry.status,
        outcome = entry.outcome,
        upstream = entry.upstream.as_ref().map(UpstreamName::as_str),
        cache = entry.cache,
        attempts = entry.attempts,
        upstreams = json(&TriedUpstreams(&entry.upstreams)).as_slice(),
        hedged = entry.hedged,
        fault = entry.fault,
        micros,
        bytes,
        end,
        "request"
    );
}

/// The line of a WebSocket, when it has ended.
pub(super) fn log_socket(context: &RequestContext, ended: &EndedSocket) {
    let micros = u64::try_from(context.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        target: "access",
        request_id = context.id.as_str(),
        trace_id = context.trace.as_ref().map(|trace| tracing::field::display(trace.trace_id)),
        client = context.address.map(tracing::field::display),
        consumer = context.consumer.as_deref(),
        certificate = context.certificate.as_deref().map(ClientCertificate::subject),
        method = "websocket",
        calls = ended.messages,
        status = 101,
        outcome = ended.end.label(),
        notifications = ended.notifications,
        micros,
        bytes = ended.bytes,
        compressed = ended.compressed,
        "websocket"
    );
}
