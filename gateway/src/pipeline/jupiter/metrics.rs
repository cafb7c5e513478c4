//! Metrics of Jupiter's API, with the names that its dashboards use.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use tokio::time::Instant;

use super::reply::ApiResponse;
use super::summary::Milliseconds;
use crate::error::Rejection;
use crate::jupiter::Product;

/// The value of the label `upstream` if none was asked or none answered.
pub(in crate::pipeline) const NOBODY: &str = "none";

/// Upper bounds, in seconds: from one round trip to a nearby Redis to the longest deadline.
const SECONDS: [f64; 16] = [
    0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
    30.0,
];

/// Upper bounds in hundredths of a percent.
const BPS: [f64; 8] = [0.0, 0.1, 1.0, 5.0, 10.0, 50.0, 100.0, 500.0];

/// Upper bounds in slots.
const SLOTS: [f64; 10] = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0, 64.0, 150.0];

/// Counters of all products.
#[derive(Clone)]
pub(in crate::pipeline) struct JupiterMetrics {
    requests: IntCounterVec,
    errors: IntCounterVec,
    latency: HistogramVec,
    quote_latency: Milliseconds,
    staleness: Histogram,
    quotes: IntCounterVec,
    optimized: IntCounterVec,
    gain: Histogram,
}

impl std::fmt::Debug for JupiterMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JupiterMetrics").finish_non_exhaustive()
    }
}

impl JupiterMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub(in crate::pipeline) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let latency = latencies(registry)?;
        let quote_latency = Milliseconds::new(
            "jupiter_api_quote_latency_ms",
            "Latency of quotes over the last minute, in milliseconds, by upstream",
        )?;
        registry.register(Box::new(quote_latency.clone()))?;
        quote_latency.expect(NOBODY);
        let staleness = histogram(
            registry,
            "perijove_jupiter_quote_staleness_slots",
            "Slots that a quote's contextSlot was behind the cluster on delivery",
            &SLOTS,
        )?;
        let quotes = counter(
            "perijove_jupiter_quotes_total",
            "Quotes by cache result: hit, miss, expired, traded, coalesced, bypass",
            &["result"],
        )?;
        let optimized = counter(
            "perijove_jupiter_optimized_total",
            "Quotes requested from the optimizer, by how many it could compare: several, or one",
            &["compared"],
        )?;
        let gain = histogram(
            registry,
            "perijove_jupiter_optimizer_gain_bps",
            "Advantage of the best quote over the one requested, in hundredths of a percent",
            &BPS,
        )?;
        begin(&quotes, &optimized);
        Ok(Self {
            quotes,
            optimized,
            gain,
            requests: counter(
                "jupiter_api_requests_total",
                "Requests for a product of Jupiter's API, by upstream and outcome",
                &["product", "upstream", "outcome"],
            )?,
            errors: counter(
                "jupiter_api_errors_total",
                "Requests refused or not answered, by product, upstream and reason",
                &["product", "upstream", "reason"],
            )?,
            latency,
            quote_latency,
            staleness,
        })
    }

    /// Creates the series at zero.
    pub(in crate::pipeline) fn expect(&self, product: &str, upstream: &str, reasons: &[&str]) {
        self.requests.with_label_values(&[product, upstream, "ok"]);
        self.latency.with_label_values(&[product, upstream]);
        for reason in reasons {
            self.errors.with_label_values(&[product, upstream, reason]);
        }
    }

    /// The optimizer has compared this many quotes, and gained this much.
    pub(super) fn optimized(&self, compared: usize, gain: Option<f64>) {
        let compared = if compared > 1 { "several" } else { "one" };
        self.optimized.with_label_values(&[compared]).inc();
        if let Some(gain) = gain {
            self.gain.observe(gain.max(0.0));
        }
    }

    /// Counts a quote by cache result.
    pub(super) fn quote(&self, result: &'static str) {
        self.quotes.with_label_values(&[result]).inc();
    }

    pub(super) fn answered(&self, response: &ApiResponse, took: Duration) {
        let nobody: Arc<str> = NOBODY.into();
        let upstream = response.upstream.as_ref().unwrap_or(&nobody);
        self.count(response.product.label(), upstream, response.outcome, took);
        if response.product == Product::Quote {
            self.quote_latency.observe(upstream, took, Instant::now());
        }
        if let Some(slots) = response.slots_behind {
            let slots = u32::try_from(slots).unwrap_or(u32::MAX);
            self.staleness.observe(f64::from(slots));
        }
    }

    /// A request has ended: it was answered, or nobody waits for that any more.
    pub(in crate::pipeline) fn count(
        &self,
        product: &str,
        upstream: &str,
        outcome: &str,
        took: Duration,
    ) {
        self.requests
            .with_label_values(&[product, upstream, outcome])
            .inc();
        self.latency
            .with_label_values(&[product, upstream])
            .observe(took.as_secs_f64());
        if outcome != "ok" {
            self.errors
                .with_label_values(&[product, upstream, outcome])
                .inc();
        }
    }

    /// The client of a request has gone before there was an answer.
    pub(super) fn client_gone(&self, product: Product, took: Duration) {
        self.count(product.label(), NOBODY, "client_gone", took);
    }

    pub(super) fn refused(&self, product: Product, rejection: &Rejection) {
        self.refuse(product.label(), rejection.label());
    }

    /// A request was refused. It takes no time worth measuring.
    pub(in crate::pipeline) fn refuse(&self, product: &str, reason: &str) {
        self.requests
            .with_label_values(&[product, NOBODY, reason])
            .inc();
        self.errors
            .with_label_values(&[product, NOBODY, reason])
            .inc();
    }
}

/// Creates the series at zero.
fn begin(quotes: &IntCounterVec, optimized: &IntCounterVec) {
    for result in ["hit", "miss", "expired", "traded", "coalesced", "bypass"] {
        quotes.with_label_values(&[result]);
    }
    for compared in ["several", "one"] {
        optimized.with_label_values(&[compared]);
    }
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    bounds: &[f64],
) -> prometheus::Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn latencies(registry: &Registry) -> prometheus::Result<HistogramVec> {
    let latency = HistogramVec::new(
        HistogramOpts::new(
            "jupiter_api_latency_seconds",
            "Time from a request's head to its answer, by product and upstream",
        )
        .buckets(SECONDS.to_vec()),
        &["product", "upstream"],
    )?;
    registry.register(Box::new(latency.clone()))?;
    Ok(latency)
}
