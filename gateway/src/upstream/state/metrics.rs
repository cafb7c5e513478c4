//! The metrics of upstreams. Labels are upstream ids, which come from the configuration, and fixed
//! words. One upstream counts on its series ([`super::upstream_series`]).

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The metric families, shared by all upstreams.
#[derive(Clone)]
pub struct UpstreamMetrics {
    pub(super) attempts: IntCounterVec,
    pub(super) latency: HistogramVec,
    pub(super) forced: IntCounterVec,
    pub(super) slot: IntGaugeVec,
    pub(super) slot_lag: IntGaugeVec,
    pub(super) state: IntGaugeVec,
    pub(super) breaker_state: IntGaugeVec,
    pub(super) hold_offs: IntCounterVec,
    pub(super) holds: IntGaugeVec,
    pub(super) exclusions: IntCounterVec,
    pub(super) key_refusals: IntCounterVec,
    pub(super) connections: IntGaugeVec,
    pub(super) connections_opened: IntCounterVec,
    pub(super) connections_broken: IntCounterVec,
    pub(super) saturated: IntCounterVec,
    pub(super) connection_wait: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) probes: IntCounterVec,
    pub(super) probe_time: HistogramVec,
    pub(super) connect_time: HistogramVec,
    pub(super) hedges: IntCounterVec,
    pub(super) budget_left: IntGaugeVec,
    pub(super) waiting: IntGaugeVec,
    pub(super) budget_ends: GaugeVec,
    pub(super) oldest: IntGaugeVec,
    pub(super) concurrency: IntGaugeVec,
    pub(super) concurrency_moves: IntCounterVec,
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
}
