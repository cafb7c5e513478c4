//! HTTP requests at the public listener.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::reply::{Sent, WriteFault};

#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    answered: IntCounter,
    refused: IntCounterVec,
    gone: IntCounter,
    cut: IntCounter,
    stalled: IntCounter,
    handshakes_failed: IntCounter,
    bytes: IntCounter,
    in_flight: IntGauge,
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
        let refused = IntCounterVec::new(
            Opts::new(
                "perijove_http_refused_total",
                "Requests refused before a call was read, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        let in_flight = IntGauge::new("perijove_http_in_flight", "Requests in progress")?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            answered: counter("perijove_http_answered_total", "Requests answered")?,
            gone: counter(
                "perijove_http_client_gone_total",
                "Requests whose client left before its answer was written",
            )?,
            cut: counter(
                "perijove_http_cut_total",
                "Streamed answers cut because the upstream failed midway",
            )?,
            handshakes_failed: counter(
                "perijove_tls_handshakes_failed_total",
                "TLS handshakes with clients that came to nothing",
            )?,
            stalled: counter(
                "perijove_http_client_stalled_total",
                "Requests whose client did not take its answer in time",
            )?,
            bytes: counter(
                "perijove_http_answer_bytes_total",
                "Bytes of answer bodies, before compression",
            )?,
            refused,
            in_flight,
        })
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

    pub(super) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(super) fn client_gone(&self) {
        self.gone.inc();
    }

    /// Set when the metrics are read, from the drain's own count.
    pub(super) fn set_in_flight(&self, requests: usize) {
        self.in_flight
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
    }
}
