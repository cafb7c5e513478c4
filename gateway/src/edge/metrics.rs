//! Metrics of HTTP requests at the public listener.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::time::Instant;

use super::plan_metrics::{PlanMetrics, UNIDENTIFIED};
use super::response_writer::Sent;
use super::tls::HandshakeFault;
use super::write_pace::WriteFault;
use crate::auth::{ConsumerId, plan_of_token};
use crate::config::Config;
use crate::context::RequestContext;
use crate::snapshot::Snapshot;

/// The statuses that have a series of their own, the most frequent first. All others of upstreams
/// count as `other`.
const STATUSES: [u16; 19] = [
    200, 101, 429, 400, 401, 403, 404, 405, 408, 410, 413, 415, 426, 431, 500, 501, 502, 503, 504,
];

/// Reasons for which a request is refused before a call is parsed.
const REASONS: [&str; 19] = [
    "http_method",
    "content_type",
    "body_too_large",
    "head_timeout",
    "body_timeout",
    "expectation",
    "too_many_bodies",
    "too_much_unsent",
    "bad_http",
    "upgrade",
    "handshake",
    "only_websocket",
    "too_many_sockets",
    "unauthorised",
    "token_expired",
    "not_from_here",
    "proxy_protocol",
    "bad_ids",
    "not_served",
];

/// Label of callers without a key.
const ANONYMOUS: &str = "-";
/// Label of all callers with a token.
const TOKEN: &str = "token:";

#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    answered: IntCounter,
    refused: IntCounterVec,
    /// In the order of [`STATUSES`], and one for all others.
    responses: [IntCounter; STATUSES.len() + 1],
    consumers: IntCounterVec,
    plans: PlanMetrics,
    gone: IntCounter,
    cut: IntCounter,
    stalled: IntCounter,
    handshakes: HandshakeMetrics,
    bytes: IntCounter,
    in_flight: IntGauge,
}

/// TLS handshakes that failed.
#[derive(Clone, Debug)]
struct HandshakeMetrics {
    failed: IntCounter,
    certificate_missing: IntCounter,
    certificate_invalid: IntCounter,
}

impl HandshakeMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let failed = IntCounter::new(
            "perijove_tls_handshakes_failed_total",
            "Failed TLS handshakes with clients",
        )?;
        registry.register(Box::new(failed.clone()))?;
        let refused = Opts::new(
            "perijove_tls_client_certificates_refused_total",
            "TLS handshakes refused because of the client's certificate, by reason",
        );
        let refused = IntCounterVec::new(refused, &["reason"])?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self {
            failed,
            certificate_missing: refused.with_label_values(&["missing"]),
            certificate_invalid: refused.with_label_values(&["invalid"]),
        })
    }
}

impl EdgeMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, text| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, text)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let family = |name, text, label| -> prometheus::Result<IntCounterVec> {
            let family = IntCounterVec::new(Opts::new(name, text), &[label])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let refused = family(
            "perijove_http_refused_total",
            "Requests refused before a call was parsed, by reason",
            "reason",
        )?;
        drop(REASONS.map(|reason| refused.with_label_values(&[reason])));
        let responses = family(
            "perijove_http_responses_total",
            "Responses by HTTP status",
            "status",
        )?;
        let consumers = family(
            "perijove_consumer_requests_total",
            "Requests by consumer, counted if `consumer_metrics` is true",
            "consumer",
        )?;
        consumers.with_label_values(&[ANONYMOUS]);
        let in_flight = IntGauge::new("perijove_http_in_flight", "Requests in progress")?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            answered: counter("perijove_http_answered_total", "Requests answered")?,
            gone: counter(
                "perijove_http_client_gone_total",
                "Requests whose client disconnected before the answer was written",
            )?,
            cut: counter(
                "perijove_http_cut_total",
                "Streamed answers cut because the upstream failed midway",
            )?,
            handshakes: HandshakeMetrics::register(registry)?,
            stalled: counter(
                "perijove_http_client_stalled_total",
                "Requests whose client did not accept the answer in time",
            )?,
            bytes: counter(
                "perijove_http_answer_bytes_total",
                "Bytes of response bodies, before compression",
            )?,
            refused,
            responses: std::array::from_fn(|place| match STATUSES.get(place) {
                Some(status) => responses.with_label_values(&[&status.to_string()]),
                None => responses.with_label_values(&["other"]),
            }),
            consumers,
            plans: PlanMetrics::register(registry)?,
            in_flight,
        })
    }

    /// A request is answered with this status.
    pub(super) fn replied_to(&self, context: &RequestContext, status: u16, snapshot: &Snapshot) {
        self.replied(status);
        self.answered_call(context, status, snapshot, context.started);
    }

    /// The same with the refusal of a key or token: the caller is not an anonymous one.
    pub(super) fn refused_stranger(&self, context: &RequestContext, status: u16) {
        self.replied(status);
        self.plans
            .answered(UNIDENTIFIED, status, context.started.elapsed());
    }

    /// The same for what came over a socket, where the request that opened it is long over.
    pub(super) fn answered_call(
        &self,
        context: &RequestContext,
        status: u16,
        snapshot: &Snapshot,
        started: Instant,
    ) {
        if let Some(plan) = snapshot.plan(context.consumer.as_ref()) {
            self.plans.answered(&plan.id, status, started.elapsed());
        }
    }

    /// The client of a request has gone before there was an answer.
    pub(super) fn left(&self, context: &RequestContext, snapshot: &Snapshot) {
        if let Some(plan) = snapshot.plan(context.consumer.as_ref()) {
            self.plans.left(&plan.id);
        }
    }

    /// A response with this status is written.
    pub(super) fn replied(&self, status: u16) {
        let place = STATUSES.iter().position(|known| *known == status);
        let place = place.unwrap_or(STATUSES.len());
        if let Some(counter) = self.responses.get(place) {
            counter.inc();
        }
    }

    /// A request of this consumer was read; counted if configured.
    pub(super) fn called_by(&self, consumer: Option<&ConsumerId>, config: &Config) {
        if config.consumer_metrics {
            let consumer = match consumer {
                None => ANONYMOUS,
                // Their names are chosen by the issuer, so their number is not bounded.
                Some(consumer) if plan_of_token(consumer).is_some() => TOKEN,
                Some(consumer) => consumer,
            };
            self.consumers.with_label_values(&[consumer]).inc();
        }
    }

    pub(super) fn answered(&self, written: Result<Sent, WriteFault>) {
        self.answered.inc();
        match written {
            Ok(sent) => self.bytes.inc_by(u64::try_from(sent).unwrap_or(u64::MAX)),
            Err(WriteFault::Gone) => self.gone.inc(),
            Err(WriteFault::Broken) => self.cut.inc(),
            Err(WriteFault::Stalled) => self.stalled.inc(),
            // It is refused, and counted as such.
            Err(WriteFault::NoRoom) => {}
        }
    }

    pub(super) fn handshake_failed(&self, fault: HandshakeFault) {
        self.handshakes.failed.inc();
        match fault {
            HandshakeFault::NoCertificate => self.handshakes.certificate_missing.inc(),
            HandshakeFault::BadCertificate => self.handshakes.certificate_invalid.inc(),
            HandshakeFault::Other => {}
        }
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(super) fn client_gone(&self) {
        self.gone.inc();
    }

    /// Set when metrics are scraped, from the drain's own count.
    pub(super) fn set_in_flight(&self, requests: usize) {
        self.in_flight
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
    }
}
