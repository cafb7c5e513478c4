//! The metrics of upstreams. Labels are upstream ids, which come from the configuration, and fixed
//! words; handles are resolved once per upstream because looking one up hashes.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricFamily;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use perijove_core::{Commitment, Slot};

use crate::limit::{InClass, LimitMove};
use crate::solana::{FaultKind, Priority};
use crate::upstream::health::tracker::Health;
use crate::upstream::state::hold_off::{Hold, HoldCause};

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
    holds: IntGaugeVec,
    exclusions: IntCounterVec,
    key_refusals: IntCounterVec,
    connections: IntGaugeVec,
    connections_opened: IntCounterVec,
    connections_broken: IntCounterVec,
    saturated: IntCounterVec,
    connection_wait: HistogramVec,
    in_flight: IntGaugeVec,
    probes: IntCounterVec,
    probe_time: HistogramVec,
    connect_time: HistogramVec,
    hedges: IntCounterVec,
    budget_left: IntGaugeVec,
    waiting: IntGaugeVec,
    budget_ends: GaugeVec,
    oldest: IntGaugeVec,
    concurrency: IntGaugeVec,
    concurrency_moves: IntCounterVec,
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
                "Time from the start of a successful attempt to the end of its answer.",
            )
            .buckets(LATENCIES.to_vec()),
            &["upstream"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        let connection_wait = HistogramVec::new(
            HistogramOpts::new(
                "perijove_upstream_connection_wait_seconds",
                "How long calls waited for a connection because all were in use.",
            )
            .buckets(LATENCIES.to_vec()),
            &["upstream"],
        )?;
        registry.register(Box::new(connection_wait.clone()))?;
        let budget_ends = GaugeVec::new(
            Opts::new(
                "perijove_upstream_budget_ends_seconds",
                "Seconds until the budget is used up at the rate of the last minute; +Inf if it \
                 lasts.",
            ),
            &["upstream"],
        )?;
        registry.register(Box::new(budget_ends.clone()))?;
        let timed = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(LATENCIES.to_vec());
            let family = HistogramVec::new(options, &["upstream"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let one = ["upstream"];
        Ok(Self {
            latency,
            attempts: counter(
                "perijove_upstream_attempts_total",
                "Attempts by outcome: good, or the kind of fault.",
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
                "Rate limits by the upstream, by what backs off: method or upstream.",
                &["upstream", "scope"],
            )?,
            holds: gauge(
                "perijove_upstream_holds",
                "Current hold-offs by cause: 1 for the whole upstream, and 1 for each method.",
                &["upstream", "cause"],
            )?,
            exclusions: counter(
                "perijove_upstream_exclusions_total",
                "Hold-offs because the upstream refused calls that others served.",
                &one,
            )?,
            key_refusals: counter(
                "perijove_upstream_key_refusals_total",
                "Calls and probes refused because of the gateway's key.",
                &one,
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
                "Idle connections found dead and replaced without a failed call.",
                &one,
            )?,
            saturated: counter(
                "perijove_upstream_saturated_total",
                "Calls that waited because all connections were in use.",
                &one,
            )?,
            connection_wait,
            in_flight: gauge("perijove_upstream_in_flight", "Calls in progress.", &one)?,
            probes: counter(
                "perijove_upstream_probes_total",
                "Health probes, by method and outcome.",
                &["upstream", "method", "outcome"],
            )?,
            probe_time: timed(
                "perijove_upstream_probe_seconds",
                "Time from the start of a probe to the end of its answer.",
            )?,
            connect_time: timed(
                "perijove_upstream_connect_seconds",
                "Time to open a connection, TLS included.",
            )?,
            hedges: counter(
                "perijove_upstream_hedges_total",
                "Hedges sent here while another upstream had not answered: started, won.",
                &["upstream", "result"],
            )?,
            waiting: gauge(
                "perijove_upstream_waiting_calls",
                "Calls waiting for an HTTP/1.1 connection, by class.",
                &["upstream", "class"],
            )?,
            budget_left: gauge(
                "perijove_upstream_budget_left_requests",
                "Requests that the budget allows right now.",
                &one,
            )?,
            budget_ends,
            concurrency: gauge(
                "perijove_upstream_concurrency_limit",
                "Calls in flight that `adaptive_concurrency` allows.",
                &one,
            )?,
            concurrency_moves: counter(
                "perijove_upstream_concurrency_moves_total",
                "Moves of that limit, by reason: grown, slower, overloaded, measuring, measured.",
                &["upstream", "reason"],
            )?,
            oldest: gauge(
                "perijove_upstream_oldest_slot",
                "First slot of its history, as reported by the upstream.",
                &one,
            )?,
        })
    }

    /// The handles of one upstream.
    pub(in crate::upstream) fn of(&self, id: &str) -> Handles {
        Handles {
            id: id.to_owned(),
            good: self.attempts.with_label_values(&[id, "good"]),
            latency: self.latency.with_label_values(&[id]),
            forced: self.forced.with_label_values(&[id]),
            slots: Default::default(),
            lag: OnceLock::new(),
            probe_time: self.probe_time.with_label_values(&[id]),
            connect_time: self.connect_time.with_label_values(&[id]),
            hedged: self.hedges.with_label_values(&[id, "started"]),
            hedge_won: self.hedges.with_label_values(&[id, "won"]),
            probed: self.probes.with_label_values(&[id, "getSlot", "good"]),
            states: Health::ALL.map(|health| self.state.with_label_values(&[id, health.label()])),
            breaker: self.breaker_state.with_label_values(&[id]),
            method_hold_offs: self.hold_offs.with_label_values(&[id, "method"]),
            hold_offs: self.hold_offs.with_label_values(&[id, "upstream"]),
            holds: HoldCause::ALL.map(|cause| self.holds.with_label_values(&[id, cause.label()])),
            exclusions: self.exclusions.with_label_values(&[id]),
            key_refusals: self.key_refusals.with_label_values(&[id]),
            busy: self.connections.with_label_values(&[id, "busy"]),
            idle: self.connections.with_label_values(&[id, "idle"]),
            opened: self.connections_opened.with_label_values(&[id]),
            broken: self.connections_broken.with_label_values(&[id]),
            saturated: self.saturated.with_label_values(&[id]),
            connection_wait: self.connection_wait.with_label_values(&[id]),
            in_flight: self.in_flight.with_label_values(&[id]),
            concurrency_moves: LimitMove::ALL.map(|reason| {
                self.concurrency_moves
                    .with_label_values(&[id, reason.label()])
            }),
            waiting: Priority::ALL
                .map(|class| self.waiting.with_label_values(&[id, class.label()])),
            families: self.clone(),
            ended: AtomicBool::new(false),
        }
    }
}

/// Removes the series of one upstream from a family, whatever their other labels.
fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, id: &str) {
    for metric in family.collect().iter().flat_map(MetricFamily::get_metric) {
        let labels: HashMap<&str, &str> = metric
            .get_label()
            .iter()
            .map(|label| (label.name(), label.value()))
            .collect();
        if labels.get("upstream") == Some(&id) {
            // It existed a moment ago; if it is gone since, so much the better.
            drop(family.remove(&labels));
        }
    }
}

/// The metrics of one upstream.
pub(in crate::upstream) struct Handles {
    id: String,
    families: UpstreamMetrics,
    /// The upstream is no longer configured: calls in progress create no new series.
    ended: AtomicBool,
    pub(in crate::upstream) good: IntCounter,
    pub(in crate::upstream) latency: Histogram,
    pub(in crate::upstream) forced: IntCounter,
    /// Unknown values have no series.
    slots: [OnceLock<IntGauge>; 3],
    lag: OnceLock<IntGauge>,
    pub(in crate::upstream) probe_time: Histogram,
    pub(in crate::upstream) connect_time: Histogram,
    pub(in crate::upstream) hedged: IntCounter,
    pub(in crate::upstream) hedge_won: IntCounter,
    /// There from the start; counted by [`Handles::probe`].
    #[expect(dead_code, reason = "keeps the series")]
    probed: IntCounter,
    pub(in crate::upstream) states: [IntGauge; Health::ALL.len()],
    pub(in crate::upstream) breaker: IntGauge,
    pub(in crate::upstream) hold_offs: IntCounter,
    pub(in crate::upstream) method_hold_offs: IntCounter,
    holds: [IntGauge; HoldCause::ALL.len()],
    pub(in crate::upstream) exclusions: IntCounter,
    pub(in crate::upstream) key_refusals: IntCounter,
    pub(in crate::upstream) busy: IntGauge,
    pub(in crate::upstream) idle: IntGauge,
    pub(in crate::upstream) opened: IntCounter,
    pub(in crate::upstream) broken: IntCounter,
    pub(in crate::upstream) saturated: IntCounter,
    pub(in crate::upstream) connection_wait: Histogram,
    pub(in crate::upstream) in_flight: IntGauge,
    /// In the order of [`LimitMove::ALL`].
    concurrency_moves: [IntCounter; LimitMove::ALL.len()],
    /// In the order of [`Priority::ALL`].
    waiting: [IntGauge; Priority::ALL.len()],
}

impl Handles {
    /// What is left of the budget, if there is one, and when it will be used up, if it will.
    pub(in crate::upstream) fn budget(&self, left: Option<u64>, ends: Option<Duration>) {
        if let Some(left) = left.filter(|_| !self.ended.load(Ordering::Relaxed)) {
            let gauge = self.families.budget_left.with_label_values(&[&self.id]);
            gauge.set(i64::try_from(left).unwrap_or(i64::MAX));
            let gauge = self.families.budget_ends.with_label_values(&[&self.id]);
            gauge.set(ends.map_or(f64::INFINITY, |ends| ends.as_secs_f64()));
        }
    }

    /// The limit of calls in flight; without a series if there is none.
    pub(in crate::upstream) fn concurrency_limit(&self, limit: Option<usize>) {
        let (family, labels) = (&self.families.concurrency, [self.id.as_str()]);
        match limit.filter(|_| !self.ended.load(Ordering::Relaxed)) {
            Some(limit) => family
                .with_label_values(&labels)
                .set(i64::try_from(limit).unwrap_or(i64::MAX)),
            // It need not have been there.
            None => drop(family.remove_label_values(&labels)),
        }
    }

    /// It was moved.
    pub(in crate::upstream) fn concurrency_moved(&self, limit: usize, cause: LimitMove) {
        self.concurrency_limit(Some(limit));
        if let Some(moves) = self.concurrency_moves.get(cause as usize) {
            moves.inc();
        }
    }

    /// Calls that wait for a connection.
    pub(in crate::upstream) fn waiting(&self, classes: &[InClass]) {
        for (gauge, class) in self.waiting.iter().zip(classes) {
            gauge.set(i64::try_from(class.waiting).unwrap_or(i64::MAX));
        }
    }

    /// A failed attempt. Rare enough to look the counter up.
    pub(in crate::upstream) fn fault(&self, kind: FaultKind) {
        self.count(&self.families.attempts, &[&self.id, kind.label()]);
    }

    pub(in crate::upstream) fn probe(&self, method: &'static str, outcome: &'static str) {
        self.count(&self.families.probes, &[&self.id, method, outcome]);
    }

    /// The newest slot it has reported.
    pub(in crate::upstream) fn slot(&self, commitment: Commitment, slot: Slot) {
        let Some(gauge) = self.slots.get(commitment.index()) else {
            return;
        };
        if !self.ended.load(Ordering::Relaxed) {
            let labels = [self.id.as_str(), commitment.label()];
            let gauge = gauge.get_or_init(|| self.families.slot.with_label_values(&labels));
            gauge.set(i64::try_from(slot.0).unwrap_or(i64::MAX));
        }
    }

    /// How far it is behind; set once it has reported a slot.
    pub(in crate::upstream) fn lag(&self, slots: u64) {
        if !self.ended.load(Ordering::Relaxed) {
            let find = || self.families.slot_lag.with_label_values(&[&self.id]);
            let gauge = self.lag.get_or_init(find);
            gauge.set(i64::try_from(slots).unwrap_or(i64::MAX));
        }
    }

    /// Where its history begins; without a series until it has reported it.
    pub(in crate::upstream) fn oldest(&self, slot: i64) {
        if !self.ended.load(Ordering::Relaxed) {
            self.families
                .oldest
                .with_label_values(&[&self.id])
                .set(slot);
        }
    }

    /// Its hold-offs.
    pub(in crate::upstream) fn holds(&self, holds: &[Hold<'_>]) {
        for (gauge, cause) in self.holds.iter().zip(HoldCause::ALL) {
            let held = holds.iter().filter(|hold| hold.cause == cause).count();
            gauge.set(i64::try_from(held).unwrap_or(i64::MAX));
        }
    }

    fn count(&self, family: &IntCounterVec, labels: &[&str]) {
        if !self.ended.load(Ordering::Relaxed) {
            family.with_label_values(labels).inc();
        }
    }

    /// Ends the series of this upstream, which is no longer configured.
    pub(in crate::upstream) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let (families, id) = (&self.families, &self.id);
        for family in [
            &families.attempts,
            &families.forced,
            &families.hold_offs,
            &families.exclusions,
            &families.key_refusals,
            &families.connections_opened,
            &families.connections_broken,
            &families.saturated,
            &families.probes,
            &families.hedges,
            &families.concurrency_moves,
        ] {
            remove(family, id);
        }
        for family in [
            &families.slot,
            &families.slot_lag,
            &families.state,
            &families.breaker_state,
            &families.holds,
            &families.connections,
            &families.in_flight,
            &families.oldest,
            &families.budget_left,
            &families.waiting,
            &families.concurrency,
        ] {
            remove(family, id);
        }
        remove(&families.latency, id);
        remove(&families.budget_ends, id);
        remove(&families.connection_wait, id);
        remove(&families.probe_time, id);
        remove(&families.connect_time, id);
    }

    pub(in crate::upstream) fn health(&self, health: Health) {
        for (gauge, state) in self.states.iter().zip(Health::ALL) {
            gauge.set(i64::from(state == health));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_are_told_by_cause_and_gone_when_they_are_over() {
        let metrics = UpstreamMetrics::register(&Registry::new()).unwrap();
        let handles = metrics.of("one");
        let told = || {
            HoldCause::ALL.map(|cause| {
                let gauge = metrics.holds.with_label_values(&["one", cause.label()]);
                gauge.get()
            })
        };
        let hold = |method, cause| Hold {
            method,
            cause,
            left: None,
        };
        handles.holds(&[
            hold(None, HoldCause::Credits),
            hold(Some("getBlock"), HoldCause::RateLimited),
            hold(Some("getSlot"), HoldCause::RateLimited),
        ]);
        assert_eq!(told(), [0, 2, 1, 0, 0, 0]);
        handles.holds(&[]);
        assert_eq!(told(), [0; 6]);
    }

    #[test]
    fn the_series_of_an_upstream_end_with_it_and_do_not_come_back() {
        let registry = Registry::new();
        let metrics = UpstreamMetrics::register(&registry).unwrap();
        let (one, other) = (metrics.of("one"), metrics.of("other"));
        let count_all = |handles: &Handles| {
            handles.fault(FaultKind::Reset);
            handles.probe("getSlot", "good");
            handles.health(Health::Healthy);
            handles.slot(Commitment::Processed, Slot(5));
            handles.lag(0);
            handles.holds(&[]);
        };
        count_all(&one);
        count_all(&other);
        let series = |id: &str| -> usize {
            let families = registry.gather();
            let all = families.iter().flat_map(MetricFamily::get_metric);
            all.filter(|metric| metric.get_label().iter().any(|label| label.value() == id))
                .count()
        };
        let before = series("other");
        assert!(before > 10);
        assert_eq!(series("one"), before);
        one.end();
        assert_eq!(series("one"), 0);
        // A call that was under way ends late.
        count_all(&one);
        assert_eq!(series("one"), 0);
        assert_eq!(series("other"), before);
    }
}
