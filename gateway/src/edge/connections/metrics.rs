//! Metrics of clients' connections.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::close_cause::CloseCause;

/// Counts and levels.
#[derive(Clone, Debug)]
pub(super) struct ConnectionMetrics {
    open: IntGauge,
    limit: IntGauge,
    refused: IntCounterVec,
    cut: IntCounterVec,
    unsent: IntGauge,
    bodies: IntGauge,
}

impl ConnectionMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, text| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, text)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counter = |name, text, label| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, text), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let metrics = Self {
            open: gauge("perijove_connections_open", "Client connections")?,
            limit: gauge("perijove_connections_limit", "Limit of client connections")?,
            refused: counter(
                "perijove_connections_refused_total",
                "New connections closed immediately, by the limit that was reached",
                "bound",
            )?,
            cut: counter(
                "perijove_connections_cut_total",
                "Client connections closed by the gateway, by cause",
                "cause",
            )?,
            unsent: gauge(
                "perijove_http_unsent_bytes",
                "Answer bytes not yet accepted by their clients",
            )?,
            bodies: gauge(
                "perijove_http_unfinished_body_bytes",
                "Bytes of requests that are still incomplete: of their bodies, and of the heads that wait for them",
            )?,
        };
        for bound in ["all", "address"] {
            metrics.refused.with_label_values(&[bound]);
        }
        for cause in [
            CloseCause::Crowded,
            CloseCause::Stalled,
            CloseCause::Unsent,
            CloseCause::Stopping,
        ] {
            metrics.cut.with_label_values(&[cause.label()]);
        }
        Ok(metrics)
    }

    pub(super) fn open(&self, connections: usize) {
        set(&self.open, connections);
    }

    pub(super) fn limit(&self, connections: usize) {
        set(&self.limit, connections);
    }

    pub(super) fn refused(&self, bound: &'static str) {
        self.refused.with_label_values(&[bound]).inc();
    }

    pub(super) fn cut(&self, cause: CloseCause) {
        self.cut.with_label_values(&[cause.label()]).inc();
    }

    pub(super) fn unsent(&self, bytes: usize) {
        set(&self.unsent, bytes);
    }

    pub(super) fn bodies(&self, bytes: usize) {
        set(&self.bodies, bytes);
    }
}

fn set(gauge: &IntGauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
