//! `limits.calls`: limits the calls in progress of the whole gateway, and decides which wait and
//! which are refused, by class.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{Opts, Registry};
use tokio::time::{Duration, Instant, timeout_at};

use crate::config::Limits;
use crate::error::Rejection;
use crate::limit::{Gate, GatePermit, PermitClaim};
use crate::solana::Priority;

/// Wait time reported to a refused caller.
const MOMENT: Duration = Duration::from_secs(1);

const SECONDS: [f64; 9] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// All calls in progress towards upstreams.
#[derive(Debug)]
pub(super) struct CallGate {
    gate: Arc<Gate>,
    /// In the order of [`Priority::ALL`].
    classes: [ClassMetrics; Priority::ALL.len()],
    in_progress: IntGauge,
    waiting: IntGauge,
}

#[derive(Debug)]
struct ClassMetrics {
    at_once: IntCounter,
    queued: IntCounter,
    /// Too many were waiting.
    shed: IntCounter,
    /// It waited too long.
    late: IntCounter,
    waited: Histogram,
}

impl CallGate {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let calls = IntCounterVec::new(
            Opts::new(
                "perijove_admission_calls_total",
                "Calls by class and outcome at limits.calls: at_once, queued (then admitted), shed \
                 or late",
            ),
            &["class", "outcome"],
        )?;
        let waited = HistogramVec::new(
            HistogramOpts::new(
                "perijove_admission_wait_seconds",
                "How long calls waited at limits.calls, including those that were turned away",
            )
            .buckets(SECONDS.to_vec()),
            &["class"],
        )?;
        let gauge = |name, text| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, text)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        registry.register(Box::new(calls.clone()))?;
        registry.register(Box::new(waited.clone()))?;
        Ok(Self {
            gate: Gate::new(usize::MAX, 0),
            classes: Priority::ALL.map(|class| {
                let label = class.label();
                let counter = |outcome: &str| calls.with_label_values(&[label, outcome]);
                ClassMetrics {
                    at_once: counter("at_once"),
                    queued: counter("queued"),
                    shed: counter("shed"),
                    late: counter("late"),
                    waited: waited.with_label_values(&[label]),
                }
            }),
            in_progress: gauge(
                "perijove_admission_in_progress",
                "Calls admitted by limits.calls and in progress",
            )?,
            waiting: gauge(
                "perijove_admission_waiting",
                "Calls waiting to be admitted by limits.calls",
            )?,
        })
    }

    fn of(&self, priority: Priority) -> Option<&ClassMetrics> {
        self.classes.get(priority as usize)
    }
    /// Waits until a call may be sent to an upstream. `None` without a limit.
    ///
    /// # Errors
    /// It is refused.
    pub(super) async fn turn(
        &self,
        limits: &Limits,
        claim: PermitClaim<'_>,
        deadline: Instant,
    ) -> Result<Option<GatePermit>, Rejection> {
        let Some(calls) = limits.calls else {
            return Ok(None);
        };
        let gate = &self.gate;
        gate.resize(calls, limits.calls_waiting);
        // By the class that it has by then.
        let metrics = || self.of(claim.ask().priority);
        let count = |which: fn(&ClassMetrics) -> &IntCounter| {
            if let Some(metrics) = metrics() {
                which(metrics).inc();
            }
        };
        if let Some(place) = gate.try_place(claim.ask()) {
            count(|metrics| &metrics.at_once);
            return Ok(Some(place));
        }
        let begun = Instant::now();
        let until = deadline.min(begun + limits.calls_queue);
        let waited = Box::pin(timeout_at(until, gate.place(claim, until - begun))).await;
        if let Some(metrics) = metrics() {
            metrics.waited.observe(begun.elapsed().as_secs_f64());
        }
        match waited {
            Ok(Some(place)) => {
                count(|metrics| &metrics.queued);
                return Ok(Some(place));
            }
            Ok(None) => count(|metrics| &metrics.shed),
            Err(_elapsed) => count(|metrics| &metrics.late),
        }
        Err(Rejection::OverLimit {
            reason: "the gateway is busy with calls of higher priority",
            retry_after: MOMENT,
            remaining: None,
        })
    }

    /// Updates the gauges when metrics are scraped.
    pub(super) fn tell_metrics(&self) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.in_progress.set(number(self.gate.used()));
        self.waiting.set(number(self.gate.waiting()));
    }

    /// For `/status`; null without a limit.
    pub(super) fn status(&self, limits: &Limits) -> serde_json::Value {
        match limits.calls {
            None => serde_json::Value::Null,
            Some(limit) => serde_json::json!({
                "limit": limit,
                "in_progress": self.gate.used(),
                "waiting": self.gate.waiting(),
                "classes": self.gate.by_class(),
            }),
        }
    }
}
