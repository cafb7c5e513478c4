//! The metrics of the shared cache. All label values are fixed and exist from the start, so that
//! rates are correct from the first event.

use std::time::Duration;

use perijove_core::BreakerState;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::failure::{RedisFailure, RedisOperation};
use super::write_queue::WriteQueue;

/// Upper bounds of the latency histogram, in seconds.
const LATENCIES: [f64; 11] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
];

/// Outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Written,
    /// Redis has a newer one.
    Older,
    Failed,
    /// It expired in the queue.
    Expired,
    /// The queue was full and newer ones took its place.
    CrowdedOut,
    /// It does not fit the layout.
    Unfit,
}

impl WriteOutcome {
    const ALL: [Self; 6] = [
        Self::Written,
        Self::Older,
        Self::Failed,
        Self::Expired,
        Self::CrowdedOut,
        Self::Unfit,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Older => "older",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::CrowdedOut => "crowded_out",
            Self::Unfit => "unfit",
        }
    }
}

/// Outcome of claiming a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claiming {
    /// This gateway fetches the answer.
    Mine,
    /// Another gateway fetched it, and its answer arrived.
    Found,
    /// Another gateway was to fetch it, but did not, or not in time.
    InVain,
    /// Redis did not answer.
    Failed,
}

impl Claiming {
    const ALL: [Self; 4] = [Self::Mine, Self::Found, Self::InVain, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Found => "found",
            Self::InVain => "in_vain",
            Self::Failed => "failed",
        }
    }
}

/// Counters and gauges of the shared cache.
#[derive(Clone, Debug)]
pub struct RedisMetrics {
    lookups: Histogram,
    failures: IntCounterVec,
    writes: IntCounterVec,
    claims: IntCounterVec,
    queue: IntGauge,
    queue_bytes: IntGauge,
    breaker: IntGauge,
    connections: IntGauge,
}

impl RedisMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let lookups = Histogram::with_opts(
            HistogramOpts::new(
                "perijove_redis_lookup_duration_seconds",
                "Duration of a lookup in Redis, successful or not.",
            )
            .buckets(LATENCIES.to_vec()),
        )?;
        registry.register(Box::new(lookups.clone()))?;
        let metrics = Self {
            lookups,
            failures: counter(
                "perijove_redis_errors_total",
                "Failed lookups, writes and claims, by reason.",
                &["operation", "kind"],
            )?,
            writes: counter(
                "perijove_redis_writes_total",
                "Answers to be written to Redis, by outcome.",
                &["outcome"],
            )?,
            claims: counter(
                "perijove_redis_claims_total",
                "Calls that asked whether another gateway was making the same call, by result.",
                &["outcome"],
            )?,
            queue: gauge(
                "perijove_redis_queue_writes",
                "Answers waiting to be written.",
            )?,
            queue_bytes: gauge(
                "perijove_redis_queue_bytes",
                "Bytes of the answers waiting to be written.",
            )?,
            breaker: gauge(
                "perijove_redis_breaker_state",
                "Circuit breaker: 0 closed, 1 half-open, 2 open.",
            )?,
            connections: gauge("perijove_redis_connections", "Open connections to Redis.")?,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// Creates every series at zero.
    fn begin(&self) {
        for operation in RedisOperation::ALL {
            for failure in RedisFailure::ALL {
                self.failed(operation, failure);
            }
        }
        for outcome in WriteOutcome::ALL {
            self.outcome(outcome);
        }
        for outcome in Claiming::ALL {
            self.claims.with_label_values(&[outcome.label()]);
        }
    }

    pub(super) fn took(&self, time: Duration) {
        self.lookups.observe(time.as_secs_f64());
    }

    pub(super) fn failure(&self, operation: RedisOperation, failure: RedisFailure) {
        self.failed(operation, failure).inc();
    }

    pub(super) fn write(&self, outcome: WriteOutcome) {
        self.outcome(outcome).inc();
    }

    pub(super) fn claim(&self, outcome: Claiming) {
        self.claims.with_label_values(&[outcome.label()]).inc();
    }

    pub(super) fn crowded_out(&self, count: usize) {
        if count > 0 {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            self.outcome(WriteOutcome::CrowdedOut).inc_by(count);
        }
    }

    pub(super) fn queued(&self, queue: &WriteQueue) {
        let (count, bytes) = queue.waiting();
        self.queue.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.queue_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn breaker(&self, state: BreakerState) {
        self.breaker.set(state.number());
    }

    /// One connection more, or one less.
    pub(super) fn connected(&self, more: bool) {
        if more {
            self.connections.inc();
        } else {
            self.connections.dec();
        }
    }

    fn failed(&self, operation: RedisOperation, failure: RedisFailure) -> IntCounter {
        self.failures
            .with_label_values(&[operation.label(), failure.label()])
    }

    fn outcome(&self, outcome: WriteOutcome) -> IntCounter {
        self.writes.with_label_values(&[outcome.label()])
    }
}
