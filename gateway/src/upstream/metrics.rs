//! The metrics of upstreams. Labels are upstream ids, which come from the configuration, and
//! names of our own; handles are resolved once per upstream because looking one up hashes.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use perijove_core::Commitment;

use crate::solana::FaultKind;
use crate::upstream::tracker::Health;

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The metric families, shared by all upstreams.
#[derive(Clone)]
pub struct UpstreamMetrics {
    attempts: IntCounterVec,
    latency: HistogramVec,
    forced: IntCounterVec,
    slot: IntGaugeVec,
    slot_lag: IntGaugeVec,
    state: IntGaugeVec,
    breaker_state: IntGaugeVec,
    hold_offs: IntCounterVec,
    connections: IntGaugeVec,
    connections_opened: IntCounterVec,
    connections_broken: IntCounterVec,
    in_flight: IntGaugeVec,
    probes: IntCounterVec,
}

impl UpstreamMetrics {
    #[expect(clippy::too_many_lines, reason = "one entry per metric")]
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "perijove_upstream_latency_seconds",
                "Time from the start of a good attempt to the end of its answer.",
            )
            .buckets(LATENCIES.to_vec()),
            &["upstream"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        let one = ["upstream"];
        Ok(Self {
            latency,
            attempts: counter(
                "perijove_upstream_attempts_total",
                "Attempts by what became of them: good, or the kind of fault.",
                &["upstream", "outcome"],
            )?,
            forced: counter(
                "perijove_upstream_forced_total",
                "Calls sent to an unfit upstream because no other was fit.",
                &one,
            )?,
            slot: gauge(
                "perijove_upstream_slot",
                "Newest slot seen at each commitment.",
                &["upstream", "commitment"],
            )?,
            slot_lag: gauge(
                "perijove_upstream_slot_lag",
                "Slots behind the newest slot of the other upstreams.",
                &one,
            )?,
            state: gauge(
                "perijove_upstream_state",
                "1 for the state of health the upstream is in, 0 for the others.",
                &["upstream", "state"],
            )?,
            breaker_state: gauge(
                "perijove_upstream_breaker_state",
                "Circuit breaker: 0 closed, 1 half-open, 2 open.",
                &one,
            )?,
            hold_offs: counter(
                "perijove_upstream_hold_offs_total",
                "Refusals for too many requests, by the part that rests since.",
                &["upstream", "scope"],
            )?,
            connections: gauge(
                "perijove_upstream_connections",
                "Open connections.",
                &["upstream", "state"],
            )?,
            connections_opened: counter(
                "perijove_upstream_connections_opened_total",
                "Connections opened.",
                &one,
            )?,
            connections_broken: counter(
                "perijove_upstream_connections_broken_total",
                "Kept connections that turned out to be dead, replaced without a failure.",
                &one,
            )?,
            in_flight: gauge("perijove_upstream_in_flight", "Calls under way.", &one)?,
            probes: counter(
                "perijove_upstream_probes_total",
                "Calls the gateway made itself to see how an upstream is.",
                &["upstream", "method", "outcome"],
            )?,
        })
    }

    /// The handles of one upstream.
    pub(super) fn of(&self, id: &str) -> Handles {
        Handles {
            id: id.to_owned(),
            good: self.attempts.with_label_values(&[id, "good"]),
            latency: self.latency.with_label_values(&[id]),
            forced: self.forced.with_label_values(&[id]),
            slots: Commitment::ALL
                .map(|commitment| self.slot.with_label_values(&[id, commitment.label()])),
            lag: self.slot_lag.with_label_values(&[id]),
            states: Health::ALL.map(|health| self.state.with_label_values(&[id, health.label()])),
            breaker: self.breaker_state.with_label_values(&[id]),
            method_hold_offs: self.hold_offs.with_label_values(&[id, "method"]),
            hold_offs: self.hold_offs.with_label_values(&[id, "upstream"]),
            busy: self.connections.with_label_values(&[id, "busy"]),
            idle: self.connections.with_label_values(&[id, "idle"]),
            opened: self.connections_opened.with_label_values(&[id]),
            broken: self.connections_broken.with_label_values(&[id]),
            in_flight: self.in_flight.with_label_values(&[id]),
            families: self.clone(),
        }
    }

    /// Ends the series of an upstream that is no longer configured.
    pub(super) fn forget(&self, id: &str) {
        fn one<M>(result: prometheus::Result<M>) {
            // What was never counted has no series to remove.
            drop(result);
        }
        for kind in std::iter::once("good").chain(FaultKind::ALL.iter().map(|kind| kind.label())) {
            one(self.attempts.remove_label_values(&[id, kind]));
        }
        for health in Health::ALL {
            one(self.state.remove_label_values(&[id, health.label()]));
        }
        for commitment in Commitment::ALL {
            one(self.slot.remove_label_values(&[id, commitment.label()]));
        }
        for scope in ["method", "upstream"] {
            one(self.hold_offs.remove_label_values(&[id, scope]));
        }
        for state in ["busy", "idle"] {
            one(self.connections.remove_label_values(&[id, state]));
        }
        for family in [
            &self.forced,
            &self.connections_opened,
            &self.connections_broken,
        ] {
            one(family.remove_label_values(&[id]));
        }
        for family in [&self.slot_lag, &self.breaker_state, &self.in_flight] {
            one(family.remove_label_values(&[id]));
        }
        one(self.latency.remove_label_values(&[id]));
    }
}

/// The metrics of one upstream.
pub(super) struct Handles {
    id: String,
    families: UpstreamMetrics,
    pub(super) good: IntCounter,
    pub(super) latency: Histogram,
    pub(super) forced: IntCounter,
    pub(super) slots: [IntGauge; 3],
    pub(super) lag: IntGauge,
    pub(super) states: [IntGauge; 9],
    pub(super) breaker: IntGauge,
    pub(super) hold_offs: IntCounter,
    pub(super) method_hold_offs: IntCounter,
    pub(super) busy: IntGauge,
    pub(super) idle: IntGauge,
    pub(super) opened: IntCounter,
    pub(super) broken: IntCounter,
    pub(super) in_flight: IntGauge,
}

impl Handles {
    /// A failed attempt. Rare enough to look the counter up.
    pub(super) fn fault(&self, kind: FaultKind) {
        self.families
            .attempts
            .with_label_values(&[&self.id, kind.label()])
            .inc();
    }

    pub(super) fn probe(&self, method: &'static str, outcome: &'static str) {
        self.families
            .probes
            .with_label_values(&[&self.id, method, outcome])
            .inc();
    }

    pub(super) fn health(&self, health: Health) {
        for (gauge, state) in self.states.iter().zip(Health::ALL) {
            gauge.set(i64::from(state == health));
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::MetricFamily;

    use super::*;

    #[test]
    fn the_series_of_an_upstream_end_when_it_is_forgotten() {
        let registry = Registry::new();
        let metrics = UpstreamMetrics::register(&registry).unwrap();
        let (one, other) = (metrics.of("one"), metrics.of("other"));
        one.fault(FaultKind::Reset);
        one.health(Health::Healthy);
        other.health(Health::Stopped);
        let series = |id: &str| -> usize {
            let families = registry.gather();
            let all = families.iter().flat_map(MetricFamily::get_metric);
            all.filter(|metric| metric.get_label().iter().any(|label| label.value() == id))
                .count()
        };
        assert!(series("one") > 10);
        metrics.forget("one");
        assert_eq!(series("one"), 0);
        assert!(series("other") > 10);
    }
}
