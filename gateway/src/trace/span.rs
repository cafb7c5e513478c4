//! Spans of what the gateway does for a request: the request, the steps of a call, attempts, probes. Their
//! names and attributes are those of OpenTelemetry's semantic conventions; paths, queries and parameters
//! never stand in them.
//!
//! A span exists only in a request that is sampled, which is decided once, at the edge. All others carry a
//! disabled one, so that each step costs them a comparison.

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId as OtelSpanId, TraceContextExt, TraceFlags, TraceId as OtelTraceId,
    TraceState as OtelTraceState,
};
use tracing::{Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::context::TraceContext;
use super::ids::{SpanId, TraceId};

/// The target of all spans, by which filters tell them from what is logged.
pub const TARGET: &str = perijove_core::telemetry::SPAN_TARGET;

/// Where an attempt or a probe goes.
#[derive(Clone, Copy, Debug)]
pub struct SpanPeer<'a> {
    /// The name of the upstream.
    pub upstream: &'a str,
    pub host: &'a str,
    pub port: u16,
}

/// What an attempt is, among those of its call.
#[derive(Clone, Copy, Debug)]
pub struct SpanAttempt<'a> {
    pub peer: SpanPeer<'a>,
    /// The verb of HTTP.
    pub verb: &'a str,
    /// From 1.
    pub number: u32,
    pub hedge: bool,
}

/// The span of a request that came from outside, within the span of its client if that is known.
pub fn request(verb: &str, version: &'static str, parent: Option<&TraceContext>) -> Span {
    let span = within(serving(verb, "http"), parent);
    span.record("http.request.method", verb);
    span.record("network.protocol.version", version);
    span
}

/// The same of a message on a socket.
pub fn message(parent: Option<&TraceContext>) -> Span {
    within(serving("message", "websocket"), parent)
}

fn serving(name: &str, protocol: &'static str) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = field::Empty,
        http.response.status_code = field::Empty,
        network.protocol.name = protocol,
        network.protocol.version = field::Empty,
        client.address = field::Empty,
        rpc.system.name = field::Empty,
        rpc.method = field::Empty,
        error.type = field::Empty,
        perijove.request_id = field::Empty,
        perijove.consumer = field::Empty,
        perijove.calls = field::Empty,
        perijove.cache = field::Empty,
        perijove.outcome = field::Empty,
    )
}

fn within(span: Span, parent: Option<&TraceContext>) -> Span {
    if let Some(parent) = parent {
        // Without anybody to export spans there is nothing to be told.
        span.set_parent(remote(parent)).ok();
    }
    span
}

/// A step of a call.
pub fn step(parent: &Span, name: &'static str, method: &'static str) -> Span {
    if parent.is_disabled() {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        parent: parent,
        "step",
        otel.name = name,
        rpc.method = method,
    )
}

/// An attempt at an upstream: a call of JSON-RPC where there is a `method`.
pub fn attempt(parent: &Span, attempt: SpanAttempt<'_>, method: Option<&'static str>) -> Span {
    if parent.is_disabled() {
        return Span::none();
    }
    let resent = attempt.number.saturating_sub(1);
    info_span!(
        target: TARGET,
        parent: parent,
        "attempt",
        otel.name = method.unwrap_or(attempt.verb),
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system.name = method.map(|_| "jsonrpc"),
        rpc.method = method,
        server.address = attempt.peer.host,
        server.port = u64::from(attempt.peer.port),
        http.request.method = attempt.verb,
        http.request.resend_count = (resent > 0).then_some(u64::from(resent)),
        http.response.status_code = field::Empty,
        error.type = field::Empty,
        perijove.upstream = attempt.peer.upstream,
        perijove.attempt = u64::from(attempt.number),
        perijove.hedge = attempt.hedge,
    )
}

/// A question of the gateway's own to an upstream. It begins a trace, which the exporter samples.
pub fn probe(peer: SpanPeer<'_>, method: &'static str) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "probe",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = field::Empty,
        rpc.system.name = "jsonrpc",
        rpc.method = method,
        server.address = peer.host,
        server.port = u64::from(peer.port),
        http.request.method = "POST",
        http.response.status_code = field::Empty,
        error.type = field::Empty,
        perijove.upstream = peer.upstream,
        perijove.probe = true,
    )
}

/// Notes how an exchange with an upstream ended.
pub fn ended(span: &Span, status: Option<u16>, fault: Option<&'static str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status));
    }
    if let Some(fault) = fault {
        span.record("error.type", fault);
        span.record("otel.status_code", "ERROR");
    }
}

/// Where a span stands in its trace; `None` for one that nobody hears of.
pub fn context_of(span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let ids = span.span_context();
    Some(TraceContext {
        trace_id: TraceId::new(u128::from_be_bytes(ids.trace_id().to_bytes()))?,
        span_id: SpanId::new(u64::from_be_bytes(ids.span_id().to_bytes()))?,
        sampled: ids.is_sampled(),
        state: None,
    })
}

fn remote(parent: &TraceContext) -> Context {
    let state = parent.state.as_ref();
    let state = state.and_then(|state| state.as_str().parse::<OtelTraceState>().ok());
    Context::new().with_remote_span_context(SpanContext::new(
        OtelTraceId::from_bytes(parent.trace_id.get().to_be_bytes()),
        OtelSpanId::from_bytes(parent.span_id.get().to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        state.unwrap_or_default(),
    ))
}
