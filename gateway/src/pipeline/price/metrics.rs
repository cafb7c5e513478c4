//! What is counted of prices.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::{OK, PRICE, UNAVAILABLE};
use crate::error::Rejection;
use crate::jupiter::IdsFault;

/// Upper bounds, in seconds: from one turn of a Redis near by to the longest deadline.
const SECONDS: [f64; 12] = [
    0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0,
];

/// What a request was told of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Its price.
    Fresh,
    /// Nothing: the trades it rests on are too old.
    Stale,
    /// Nothing: the price may be too far off.
    Uncertain,
    /// Nothing: there is no price of it.
    Unknown,
    /// Nothing: Redis has not answered.
    Unavailable,
}

impl Told {
    const ALL: [Self; 5] = [
        Self::Fresh,
        Self::Stale,
        Self::Uncertain,
        Self::Unknown,
        Self::Unavailable,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Uncertain => "uncertain",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counters of the price API. Those of all products of Jupiter's API tell this one by its label.
#[derive(Debug)]
pub(in crate::pipeline) struct PriceMetrics {
    requests: IntCounterVec,
    errors: IntCounterVec,
    latency: Histogram,
    tokens: IntCounterVec,
}

impl PriceMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub(in crate::pipeline) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let latency = HistogramVec::new(
            HistogramOpts::new(
                "jupiter_api_latency_seconds",
                "Time from a request's head to its answer, by product",
            )
            .buckets(SECONDS.to_vec()),
            &["product"],
        )?;
        registry.register(Box::new(latency.clone()))?;
        let metrics = Self {
            requests: counter(
                "jupiter_api_requests_total",
                "Requests for a product of Jupiter's API, by outcome",
                &["product", "outcome"],
            )?,
            errors: counter(
                "jupiter_api_errors_total",
                "Requests that were refused or could not be answered, by product and reason",
                &["product", "reason"],
            )?,
            latency: latency.with_label_values(&[PRICE]),
            tokens: counter(
                "perijove_price_tokens_total",
                "Tokens whose price was asked for, by what was told",
                &["result"],
            )?,
        };
        // A rate is known from the first event.
        for told in Told::ALL {
            metrics.tokens.with_label_values(&[told.label()]);
        }
        metrics.requests.with_label_values(&[PRICE, OK]);
        metrics.error(UNAVAILABLE);
        metrics.error(Rejection::Ids(IdsFault::Missing).label());
        Ok(metrics)
    }

    /// One token of a request.
    pub(super) fn told(&self, told: Told) {
        self.tokens.with_label_values(&[told.label()]).inc();
    }

    /// A request was answered.
    pub(super) fn answered(&self, outcome: &'static str, took: Duration) {
        self.requests.with_label_values(&[PRICE, outcome]).inc();
        self.latency.observe(took.as_secs_f64());
        if outcome != OK {
            self.error(outcome).inc();
        }
    }

    /// A request was refused. It takes no time worth measuring.
    pub(super) fn refused(&self, rejection: &Rejection) {
        let reason = rejection.label();
        self.requests.with_label_values(&[PRICE, reason]).inc();
        self.error(reason).inc();
    }

    fn error(&self, reason: &'static str) -> IntCounter {
        self.errors.with_label_values(&[PRICE, reason])
    }
}
