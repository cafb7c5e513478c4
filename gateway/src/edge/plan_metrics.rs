//! Requests by the plan of their callers: how many there are, how they end and how long they take.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::config::DEFAULT_PLAN;

/// From a hit on the same host to a heavy scan.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Kinds of HTTP statuses. Requests over a limit are no failures, and stand apart.
const STATUSES: [&str; 5] = ["2xx", "4xx", "429", "5xx", LEFT];

/// In place of the status, where the client has gone before there was an answer.
const LEFT: &str = "client_gone";

/// In place of the plan, where a key or token was refused.
pub(super) const UNIDENTIFIED: &str = "unidentified";

#[derive(Clone, Debug)]
pub(super) struct PlanMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl PlanMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new(
            "perijove_plan_requests_total",
            "Requests of callers with a plan, by plan and kind of HTTP status",
        );
        let requests = IntCounterVec::new(requests, &["plan", "status"])?;
        registry.register(Box::new(requests.clone()))?;
        let seconds = HistogramOpts::new(
            "perijove_plan_request_duration_seconds",
            "Time from a request's head to its answer, by the caller's plan",
        );
        let seconds = HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["plan"])?;
        registry.register(Box::new(seconds.clone()))?;
        // The families are there from the start.
        drop(STATUSES.map(|status| requests.with_label_values(&[DEFAULT_PLAN, status])));
        drop(seconds.with_label_values(&[DEFAULT_PLAN]));
        Ok(Self { requests, seconds })
    }

    /// A request of a caller with this plan is answered.
    pub(super) fn answered(&self, plan: &str, status: u16, took: Duration) {
        let status = match status {
            429 => "429",
            400..500 => "4xx",
            500.. => "5xx",
            _ => "2xx",
        };
        self.requests.with_label_values(&[plan, status]).inc();
        self.seconds
            .with_label_values(&[plan])
            .observe(took.as_secs_f64());
    }

    /// The client has gone before there was an answer. How long it would have taken is not known.
    pub(super) fn left(&self, plan: &str) {
        self.requests.with_label_values(&[plan, LEFT]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_over_a_limit_stand_apart_from_those_that_failed() {
        let metrics = PlanMetrics::register(&Registry::new()).unwrap();
        for status in [200, 204, 400, 404, 429, 500, 503, 504] {
            metrics.answered("small", status, Duration::from_millis(3));
        }
        metrics.left("small");
        let counted = STATUSES.map(|status| {
            let requests = metrics.requests.with_label_values(&["small", status]);
            (status, requests.get())
        });
        let expected = [("2xx", 2), ("4xx", 2), ("429", 1), ("5xx", 3), (LEFT, 1)];
        assert_eq!(counted, expected);
        let seconds = metrics.seconds.with_label_values(&["small"]);
        assert_eq!(seconds.get_sample_count(), 8);
    }
}
