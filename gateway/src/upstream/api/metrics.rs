//! Metrics of the upstreams of Jupiter's API.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// The families.
#[derive(Clone, Debug)]
pub struct ApiMetrics {
    fit: IntGaugeVec,
    age: IntGaugeVec,
    breaker: IntGaugeVec,
    opened: IntCounterVec,
    broken: IntCounterVec,
    connect_time: HistogramVec,
    canaries: IntCounterVec,
    attempts: IntCounterVec,
    saturated: IntCounterVec,
    waited: HistogramVec,
    budget_left: IntGaugeVec,
}

/// The series of one upstream.
#[derive(Debug)]
pub(super) struct ApiSeries {
    /// 1 while it is healthy.
    pub(super) fit: IntGauge,
    /// Slots that its last quote was behind.
    pub(super) age: IntGauge,
    pub(super) breaker: IntGauge,
    pub(super) opened: IntCounter,
    /// Kept connections that turned out to be dead.
    pub(super) broken: IntCounter,
    /// Duration of opening one.
    pub(super) connect_time: Histogram,
    pub(super) good: IntCounter,
    pub(super) bad: IntCounter,
    /// Requests that waited because all connections were in use, and how long each waited.
    pub(super) saturated: IntCounter,
    pub(super) waited: Histogram,
    attempts: IntCounterVec,
    budget_left: IntGaugeVec,
    id: String,
}

impl ApiMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["upstream"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        Ok(Self {
            fit: gauge(
                "perijove_jupiter_upstream_fit",
                "1 while the canary quotes of a Jupiter upstream are good and recent",
            )?,
            age: gauge(
                "perijove_jupiter_market_cache_age_slots",
                "Slots that the markets of a Jupiter upstream's last quote were behind the cluster",
            )?,
            breaker: gauge(
                "perijove_jupiter_breaker_state",
                "Circuit breaker of a Jupiter upstream: 0 closed, 1 half-open, 2 open",
            )?,
            opened: counter(
                "perijove_jupiter_connections_opened_total",
                "Connections opened to a Jupiter upstream",
                &["upstream"],
            )?,
            broken: counter(
                "perijove_jupiter_connections_broken_total",
                "Idle connections to a Jupiter upstream that turned out to be dead",
                &["upstream"],
            )?,
            connect_time: connect_time(registry)?,
            canaries: counter(
                "perijove_jupiter_canaries_total",
                "Canary quotes asked for, by result: good, failed",
                &["upstream", "result"],
            )?,
            attempts: counter(
                "perijove_jupiter_attempts_total",
                "Requests sent to a Jupiter upstream, by product and result: ok, or the fault",
                &["upstream", "product", "result"],
            )?,
            saturated: counter(
                "perijove_jupiter_saturated_total",
                "Requests that waited because all connections to a Jupiter upstream were in use",
                &["upstream"],
            )?,
            waited: waited(registry)?,
            budget_left: gauge(
                "perijove_jupiter_budget_left_requests",
                "Requests that the budget of a Jupiter upstream allows right now",
            )?,
        })
    }

    pub(super) fn of(&self, id: &str) -> ApiSeries {
        let one = [id];
        self.attempts.with_label_values(&[id, "quote", "ok"]);
        ApiSeries {
            fit: self.fit.with_label_values(&one),
            age: self.age.with_label_values(&one),
            breaker: self.breaker.with_label_values(&one),
            opened: self.opened.with_label_values(&one),
            broken: self.broken.with_label_values(&one),
            connect_time: self.connect_time.with_label_values(&one),
            good: self.canaries.with_label_values(&[id, "good"]),
            bad: self.canaries.with_label_values(&[id, "failed"]),
            saturated: self.saturated.with_label_values(&one),
            waited: self.waited.with_label_values(&one),
            attempts: self.attempts.clone(),
            budget_left: self.budget_left.clone(),
            id: id.to_owned(),
        }
    }

    /// The upstream was removed: its gauges would show the past for ever.
    pub(super) fn forget(&self, id: &str) {
        for family in [&self.fit, &self.age, &self.breaker, &self.budget_left] {
            // It may have been forgotten already.
            drop(family.remove_label_values(&[id]));
        }
    }
}

impl ApiSeries {
    pub(super) fn attempt(&self, product: &str, result: &str) {
        let labels = [self.id.as_str(), product, result];
        self.attempts.with_label_values(&labels).inc();
    }

    /// What is left of the budget, where there is one.
    pub(super) fn budget(&self, left: Option<u64>) {
        if let Some(left) = left {
            let gauge = self.budget_left.with_label_values(&[&self.id]);
            gauge.set(i64::try_from(left).unwrap_or(i64::MAX));
        }
    }
}

fn waited(registry: &Registry) -> prometheus::Result<HistogramVec> {
    timed(
        registry,
        "perijove_jupiter_connection_wait_seconds",
        "How long requests waited for a connection to a Jupiter upstream",
    )
}

fn connect_time(registry: &Registry) -> prometheus::Result<HistogramVec> {
    timed(
        registry,
        "perijove_jupiter_connect_seconds",
        "Time to open a connection to a Jupiter upstream",
    )
}

fn timed(registry: &Registry, name: &str, help: &str) -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(name, help);
    let family = HistogramVec::new(options, &["upstream"])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
