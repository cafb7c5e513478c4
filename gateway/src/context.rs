//! What is known of a request besides what it asks for. Made once, at the edge, and seen by every step
//! down to the attempts at upstreams.
//!
//! Cancellation is no field of it: when its client goes away a request's future is dropped, and with it
//! all that is under way for it alone.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{Span, field};

use crate::auth::{ClientCertificate, ConsumerId};
use crate::config::Propagate;
use crate::limit::caller_network;
use crate::solana::Priority;
use crate::trace::{
    CorrelationHeaders, Hops, HttpRequestId, Sampling, SpanId, TraceContext, TraceState, span,
};

/// Identifies a client: its consumer, or its address (of an IPv6 address the /64), hashed.
pub type ClientKey = u64;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
    WebSocket,
    /// It is the gateway's own, and no plan of clients limits it.
    Internal,
}

impl Protocol {
    /// The version of HTTP.
    fn version(self) -> &'static str {
        match self {
            Self::Http2 => "2",
            Self::Http1 | Self::WebSocket | Self::Internal => "1.1",
        }
    }
}

/// One request: who asks, since when and until when, and by which names it is known elsewhere.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub id: HttpRequestId,
    /// Where it stands in a trace; `None` where nobody would hear of it.
    pub trace: Option<Box<TraceContext>>,
    /// The gateways that it came through before this one.
    pub hops: Option<Hops>,
    /// Its span; a disabled one unless it is recorded.
    pub span: Span,
    pub protocol: Protocol,
    /// Where it comes from, behind proxies that are trusted.
    pub address: Option<IpAddr>,
    /// The certificate that its client has shown.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Who asks; `None` is an anonymous caller. Its plan stands in the snapshot.
    pub consumer: Option<ConsumerId>,
    /// Whether it is known who asks, be it an anonymous caller.
    pub is_identified: bool,
    /// Whose session the answers belong to.
    pub client: ClientKey,
    /// The class that the caller asks for.
    pub priority: Option<Priority>,
    /// When the request's head had been read.
    pub started: Instant,
    /// When the answer is no longer of use.
    pub deadline: Instant,
}

impl RequestContext {
    /// That of a request of the gateway's own.
    pub fn internal(client: ClientKey, started: Instant, deadline: Instant) -> Self {
        Self {
            id: HttpRequestId::random(),
            trace: None,
            hops: None,
            span: Span::none(),
            protocol: Protocol::Internal,
            address: None,
            certificate: None,
            consumer: None,
            is_identified: false,
            client,
            priority: None,
            started,
            deadline,
        }
    }

    /// The same for something else that is done in its name, and not recorded with it.
    #[must_use]
    pub fn at(&self, started: Instant, deadline: Instant) -> Self {
        Self {
            started,
            deadline,
            span: Span::none(),
            ..self.clone()
        }
    }

    /// Begins its span, if it is to be recorded, and its trace, if anybody hears of it. Who asks is known.
    pub fn begin(&mut self, verb: &str, sampling: Sampling) {
        let client = self.trace.as_deref();
        if sampling.samples(client) {
            let span = span::request(verb, self.protocol.version(), client);
            let state = client.and_then(|client| client.state.clone());
            self.recorded_as(span, state);
        }
        if self.trace.is_none() && sampling.propagates {
            self.trace = Some(Box::new(TraceContext::begin(false)));
        }
    }

    /// The same for a message on the socket that it began, which is recorded as a request is that comes with
    /// `client`, what the socket's client said of its trace.
    #[must_use]
    pub fn of_message(
        &self,
        client: Option<&TraceContext>,
        sampling: Sampling,
        (started, deadline): (Instant, Instant),
    ) -> Self {
        let mut message = self.at(started, deadline);
        if sampling.samples(client) {
            let state = client.and_then(|client| client.state.clone());
            message.recorded_as(span::message(client), state);
        }
        message
    }

    /// Its span is this one, if anybody hears of it.
    fn recorded_as(&mut self, span: Span, state: Option<TraceState>) {
        self.span = span;
        if let Some(own) = span::context_of(&self.span) {
            self.describe();
            self.trace = Some(Box::new(TraceContext { state, ..own }));
        }
    }

    fn describe(&self) {
        let address = self.address.map(field::display);
        self.span.record("client.address", address);
        self.span.record("perijove.request_id", self.id.as_str());
        self.span
            .record("perijove.consumer", self.consumer.as_deref());
    }

    /// Notes what it was answered with: the HTTP status, and a word for what became of it.
    pub fn answered(&self, status: u16, outcome: &'static str) {
        if self.span.is_disabled() {
            return;
        }
        let fault = (status >= 500).then_some(outcome);
        span::ended(&self.span, Some(status), fault);
        self.span.record("perijove.outcome", outcome);
    }

    /// Notes what became of it where no status of HTTP says so.
    pub fn concluded(&self, outcome: &'static str) {
        if !self.span.is_disabled() {
            self.span.record("perijove.outcome", outcome);
        }
    }

    /// Notes what it asked for, by the label of a method; `cache` is what the cache did.
    pub fn called(&self, method: &'static str, calls: usize, cache: Option<&'static str>) {
        if self.span.is_disabled() {
            return;
        }
        self.span.record("rpc.system.name", "jsonrpc");
        self.span.record("rpc.method", method);
        self.span.record("perijove.calls", calls as u64);
        self.span.record("perijove.cache", cache);
    }

    /// The span of a step of one of its calls, which ends where it is dropped.
    #[inline]
    pub fn step(&self, name: &'static str, method: &'static str) -> Span {
        if self.span.is_disabled() {
            return Span::none();
        }
        span::step(&self.span, name, method)
    }

    /// The same for a call that the gateway makes for it: in the same trace, and limited by no plan.
    #[must_use]
    pub fn internally(&self, client: ClientKey) -> Self {
        Self {
            id: self.id.clone(),
            trace: self.trace.clone(),
            hops: self.hops.clone(),
            span: self.span.clone(),
            ..Self::internal(client, self.started, self.deadline)
        }
    }

    /// Whether it is the gateway's own.
    pub fn is_internal(&self) -> bool {
        self.protocol == Protocol::Internal
    }

    /// Notes who asks.
    pub fn identified(&mut self, consumer: Option<ConsumerId>) {
        let mut hasher = DefaultHasher::new();
        match (&consumer, self.address.map(caller_network)) {
            (Some(consumer), _) => consumer.hash(&mut hasher),
            // In one write instead of the five of a derived hash. Names end with 0xff, and these do not.
            (None, Some(IpAddr::V4(address))) => hasher.write_u64(address.to_bits().into()),
            (None, Some(IpAddr::V6(address))) => {
                hasher.write_u128(address.to_bits());
                hasher.write_u8(0);
            }
            (None, None) => {}
        }
        self.client = hasher.finish();
        self.consumer = consumer;
        self.is_identified = true;
    }

    /// What an upstream is told of it by an attempt that is this span; `None` where it is told nothing.
    pub fn correlation(
        &self,
        propagate: Propagate,
        span: &Span,
    ) -> Option<Box<CorrelationHeaders>> {
        if !propagate.request_id && !propagate.trace && self.hops.is_none() {
            return None;
        }
        let trace = self.trace.as_deref().filter(|_| propagate.trace);
        let id = propagate.request_id.then(|| self.id.clone());
        let span_id = || {
            let own = span::context_of(span);
            own.map_or_else(SpanId::random, |own| own.span_id)
        };
        Some(Box::new(CorrelationHeaders {
            id,
            trace: trace.map(|trace| trace.within(span_id())),
            hops: self.hops.clone(),
        }))
    }
}
