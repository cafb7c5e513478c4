//! Calls answered, by method and outcome. Handles are resolved once: a good call costs one histogram
//! observation and one counter.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use serde::Serialize;

use super::cache_use::CacheStatus;
use super::call_gate::CallGate;
use super::jupiter::JupiterMetrics;
use super::on_cancel::CLIENT_GONE;
use super::price::PriceMetrics;
use crate::config::DEFAULT_PLAN;
use crate::limit::PlanRefusal;
use crate::solana::{Method, Priority};

/// From a hit on the same host to a heavy scan.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// The outcome of nearly every call.
const OK: &str = "ok";

#[derive(Debug)]
pub struct PipelineMetrics {
    durations: HistogramVec,
    calls: IntCounterVec,
    cached: IntCounterVec,
    asked_again: IntCounter,
    delivered_older: IntCounter,
    refused_by_plan: IntCounterVec,
    /// In the order of [`Priority::ALL`].
    classes: [OfClass; Priority::ALL.len()],
    pub(super) prices: PriceMetrics,
    pub(super) jupiter: JupiterMetrics,
    pub(super) turns: CallGate,
    /// By method; made when first needed, so that only methods in use have series.
    usual: Vec<OnceLock<PreparedMethods>>,
}

#[derive(Debug)]
struct PreparedMethods {
    duration: Histogram,
    ok: IntCounter,
    /// In the order of [`CacheStatus::ALL`].
    cached: [IntCounter; CacheStatus::ALL.len()],
}

/// Calls of one class that were sent to upstreams.
#[derive(Debug)]
struct OfClass {
    class: &'static str,
    answered: IntCounter,
    refused: IntCounter,
    /// Their clients have gone before.
    left: IntCounter,
    duration: Histogram,
}

/// The same for the status page, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassStatus {
    pub class: &'static str,
    /// By an upstream.
    pub answered: u64,
    /// By the gateway, because no upstream could.
    pub refused: u64,
}

impl PipelineMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "perijove_rpc_call_duration_seconds",
                "Time from the request's head to the answer of the call, batches counted call by \
                 call",
            )
            .buckets(SECONDS.to_vec()),
            &["method"],
        )?;
        let calls = IntCounterVec::new(
            Opts::new(
                "perijove_rpc_calls_total",
                "Calls answered, by method (unknown ones are `other`) and outcome",
            ),
            &["method", "outcome"],
        )?;
        let cached = IntCounterVec::new(
            Opts::new(
                "perijove_cache_results_total",
                "Calls by method and cache result",
            ),
            &["method", "result"],
        )?;
        registry.register(Box::new(cached.clone()))?;
        let [asked_again, delivered] = out_of_order(registry)?;
        let refused_by_plan = refused_by_plan(registry)?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(calls.clone()))?;
        let usual = Method::ALL
            .iter()
            .chain([&Method::Other, &Method::Extension, &Method::NamedAsRead])
            .map(|_| OnceLock::new())
            .collect();
        let jupiter = JupiterMetrics::register(registry)?;
        let metrics = Self {
            durations,
            calls,
            cached,
            asked_again,
            delivered_older: delivered,
            refused_by_plan,
            classes: by_class(registry)?,
            prices: PriceMetrics::register(registry, &jupiter)?,
            jupiter,
            turns: CallGate::register(registry)?,
            usual,
        };
        // The families exist from the start; a method gets series of its own once it is called.
        metrics.usual(Method::Other);
        Ok(metrics)
    }

    /// Counts a body without a valid call. It takes no time worth measuring.
    pub fn no_call(&self, outcome: &'static str) {
        self.calls
            .with_label_values(&[Method::Other.label(), outcome])
            .inc();
    }

    /// Counts a request refused by the caller's plan.
    pub(super) fn refused_by_plan(&self, plan: &str, reason: &'static str) {
        self.refused_by_plan
            .with_label_values(&[plan, reason])
            .inc();
    }

    /// Counts a call of this class that was sent to an upstream: whether it was answered, and how
    /// long after the request's head.
    pub(super) fn asked(&self, class: Priority, answered: bool, took: Duration) {
        if let Some(of_class) = self.classes.get(class as usize) {
            of_class.duration.observe(took.as_secs_f64());
            let counter = if answered {
                &of_class.answered
            } else {
                &of_class.refused
            };
            counter.inc();
        }
    }

    /// Counts a call of this class that was sent to an upstream, and whose client has gone.
    pub(super) fn asked_in_vain(&self, class: Priority) {
        if let Some(of_class) = self.classes.get(class as usize) {
            of_class.left.inc();
        }
    }

    /// Counts a call whose answer nobody waits for any more. How long it would have taken is not
    /// known.
    pub(super) fn cancelled(&self, method: Method, outcome: &'static str) {
        let labels = [method.label(), outcome];
        self.calls.with_label_values(&labels).inc();
    }

    /// Calls sent to upstreams, by class, from the lowest.
    pub fn classes(&self) -> [ClassStatus; Priority::ALL.len()] {
        self.classes.each_ref().map(|of_class| ClassStatus {
            class: of_class.class,
            answered: of_class.answered.get(),
            refused: of_class.refused.get(),
        })
    }

    /// Counts an answer of a batch that is older than one before it.
    pub(super) fn out_of_order(&self, asked_again: bool) {
        if asked_again {
            self.asked_again.inc();
        } else {
            self.delivered_older.inc();
        }
    }

    fn usual(&self, method: Method) -> Option<&PreparedMethods> {
        let label = method.label();
        Some(self.usual.get(method as usize)?.get_or_init(|| {
            PreparedMethods {
                duration: self.durations.with_label_values(&[label]),
                ok: self.calls.with_label_values(&[label, OK]),
                cached: CacheStatus::ALL
                    .map(|status| self.cached.with_label_values(&[label, status.label()])),
            }
        }))
    }

    pub(super) fn answered(
        &self,
        method: Method,
        outcome: &'static str,
        cache: Option<CacheStatus>,
        took: Duration,
    ) {
        let Some(usual) = self.usual(method) else {
            return;
        };
        let cached = cache.and_then(|status| usual.cached.get(status as usize));
        if let Some(cached) = cached {
            cached.inc();
        }
        usual.duration.observe(took.as_secs_f64());
        if outcome == OK {
            usual.ok.inc();
        } else {
            self.calls
                .with_label_values(&[method.label(), outcome])
                .inc();
        }
    }
}

fn by_class(registry: &Registry) -> prometheus::Result<[OfClass; Priority::ALL.len()]> {
    let calls = IntCounterVec::new(
        Opts::new(
            "perijove_rpc_class_calls_total",
            "Calls sent to upstreams, by class: answered by one, refused, or client_gone",
        ),
        &["class", "outcome"],
    )?;
    let durations = HistogramVec::new(
        HistogramOpts::new(
            "perijove_rpc_class_call_duration_seconds",
            "Time from the request's head to the end of a call sent to upstreams, by class",
        )
        .buckets(SECONDS.to_vec()),
        &["class"],
    )?;
    let counters = Priority::ALL.map(|class| {
        let class = class.label();
        OfClass {
            class,
            answered: calls.with_label_values(&[class, "answered"]),
            refused: calls.with_label_values(&[class, "refused"]),
            left: calls.with_label_values(&[class, CLIENT_GONE]),
            duration: durations.with_label_values(&[class]),
        }
    });
    registry.register(Box::new(calls))?;
    registry.register(Box::new(durations))?;
    Ok(counters)
}

/// What can happen with an answer of a batch that is out of order.
fn out_of_order(registry: &Registry) -> prometheus::Result<[IntCounter; 2]> {
    let out_of_order = IntCounterVec::new(
        Opts::new(
            "perijove_rpc_batch_out_of_order_total",
            "Answers in a batch that were older than an earlier one: asked_again, or delivered",
        ),
        &["result"],
    )?;
    let counters =
        ["asked_again", "delivered"].map(|result| out_of_order.with_label_values(&[result]));
    registry.register(Box::new(out_of_order))?;
    Ok(counters)
}

/// The series exists before the first refusal, so that an alert sees it.
fn refused_by_plan(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let refused = IntCounterVec::new(
        Opts::new(
            "perijove_plan_refused_requests_total",
            "Requests refused by the caller's plan, by reason: rate, concurrency, batch or bytes",
        ),
        &["plan", "reason"],
    )?;
    for reason in PlanRefusal::REASONS {
        drop(refused.with_label_values(&[DEFAULT_PLAN, reason]));
    }
    registry.register(Box::new(refused.clone()))?;
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_place_of_its_own() {
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        let others = [Method::Other, Method::Extension, Method::NamedAsRead];
        for method in Method::ALL.iter().chain(&others) {
            metrics.answered(
                *method,
                OK,
                Some(CacheStatus::Hit),
                Duration::from_millis(1),
            );
        }
        let counted = registry
            .gather()
            .iter()
            .filter(|family| family.name() == "perijove_rpc_calls_total")
            .map(|family| family.get_metric().len())
            .sum::<usize>();
        assert_eq!(
            counted,
            Method::ALL.len() + 2,
            "a name that is made up is no label"
        );
    }

    #[test]
    fn what_was_sent_is_timed_by_class_answered_or_not() {
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).unwrap();
        metrics.asked(Priority::High, true, Duration::from_millis(20));
        metrics.asked(Priority::High, false, Duration::from_millis(30));
        metrics.asked_in_vain(Priority::High);
        let counts = metrics
            .classes
            .each_ref()
            .map(|of_class| of_class.duration.get_sample_count());
        assert_eq!(
            counts[Priority::High as usize],
            2,
            "who has gone is not timed"
        );
        assert_eq!(counts.iter().sum::<u64>(), 2);
    }
}
