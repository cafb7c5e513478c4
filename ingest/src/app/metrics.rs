//! The metrics of the pipeline. Those without a prefix keep the names that existing dashboards use.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::dead_letter::DeadLetter;
use crate::oracle::IgnoredTrades;
use crate::project::{Projected, Skip};
use crate::sink::database::{Committed, DatabaseError};
use crate::sink::market::MarketError;

/// Seconds, from a millisecond to a minute.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) processed: IntCounterVec,
    pub(super) duration: Histogram,
    pub(super) errors: IntCounterVec,
    pub(super) dead_letters: IntCounterVec,
    rows: IntCounterVec,
    skipped: IntCounterVec,
    pub(super) batch_rows: Histogram,
    pub(super) sink_seconds: HistogramVec,
    pub(super) breaker: IntGaugeVec,
    pub(super) applied: IntCounterVec,
    pub(super) delay: Histogram,
    pub(super) forgotten: IntCounter,
    pub(super) prices: IntCounter,
    pub(super) price_writer: IntGauge,
    refused: IntGaugeVec,
    pub(super) wrong_kind: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// A name is registered already.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let on = Families(registry);
        let rows = vec![
            1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0,
        ];
        Ok(Self {
            processed: on.counters(
                "messages_processed_total",
                "Messages stored, including dead letters.",
                "topic",
            )?,
            duration: on.histogram(
                "message_processing_duration_seconds",
                "Time from receiving a message to committing it in the database.",
                SECONDS.into(),
            )?,
            errors: on.counters(
                "processing_errors_total",
                "Invalid messages and sink failures, by kind.",
                "kind",
            )?,
            dead_letters: on.counters(
                "dead_letters_total",
                "Dead letters stored, by error class.",
                "class",
            )?,
            rows: on.counters(
                "perijove_ingest_rows_total",
                "Rows written to the database: new, or known already.",
                "outcome",
            )?,
            skipped: on.counters(
                "perijove_ingest_skipped_rows_total",
                "Rows deliberately not stored, by reason.",
                "reason",
            )?,
            batch_rows: on.histogram(
                "perijove_ingest_batch_rows",
                "Rows per database transaction.",
                rows,
            )?,
            sink_seconds: on.sink_seconds()?,
            breaker: on.breaker()?,
            applied: on.applied()?,
            delay: on.delay()?,
            prices: on.prices()?,
            price_writer: on.price_writer()?,
            refused: on.refused()?,
            wrong_kind: on.wrong_kind()?,
            forgotten: on.forgotten()?,
        })
    }

    /// Creates every series at the start: a series that appears with its first event shows no
    /// increase that an alert could see.
    pub(super) fn begin<'t>(&self, topics: impl IntoIterator<Item = &'t str>) {
        for topic in topics {
            self.processed.with_label_values(&[topic]);
        }
        for class in DeadLetter::classes() {
            self.dead_letters.with_label_values(&[class]);
            self.errors.with_label_values(&[class]);
        }
        for kind in failures() {
            self.errors.with_label_values(&[&kind]);
        }
        for outcome in ["new", "known"] {
            self.rows.with_label_values(&[outcome]);
        }
        for skip in Skip::ALL {
            self.skipped.with_label_values(&[skip.label()]);
        }
        for how in ["live", "mended"] {
            self.applied.with_label_values(&[how]);
        }
        for sink in ["database", "redis"] {
            self.sink_seconds.with_label_values(&[sink]);
        }
        self.refused(IgnoredTrades::default());
    }

    pub(super) fn projected(&self, projected: &Projected) {
        for (skip, count) in projected.skipped.iter().filter(|(_, count)| *count > 0) {
            self.skipped
                .with_label_values(&[skip.label()])
                .inc_by(count);
        }
    }

    /// Messages processed so far.
    pub(super) fn messages(&self) -> u64 {
        sum(&self.processed)
    }

    /// Summary for a person.
    pub(super) fn summary(&self) -> String {
        let rows = |outcome| self.rows.with_label_values(&[outcome]).get();
        format!(
            "{} messages: {} new rows, {} already stored, {} dead letters",
            self.messages(),
            rows("new"),
            rows("known"),
            sum(&self.dead_letters),
        )
    }

    /// Trades that had no say in prices, since the start.
    pub(super) fn refused(&self, refused: IgnoredTrades) {
        for (reason, count) in [("dust", refused.dust), ("time", refused.time)] {
            let gauge = self.refused.with_label_values(&[reason]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn committed(&self, committed: &Committed) {
        self.rows.with_label_values(&["new"]).inc_by(committed.new);
        self.rows
            .with_label_values(&["known"])
            .inc_by(committed.known);
        for class in &committed.dead_letters {
            self.dead_letters.with_label_values(&[class]).inc();
            self.errors.with_label_values(&[class]).inc();
        }
    }
}

/// Every kind of failure of a sink.
fn failures() -> impl Iterator<Item = String> {
    let database = DatabaseError::LABELS.iter().chain(&["timeout"]);
    let redis = MarketError::LABELS.iter();
    let kinds = database.map(|label| format!("database_{label}"));
    kinds
        .chain(redis.map(|label| format!("redis_{label}")))
        .chain(["prices".to_owned()])
}

/// Makes families and registers them.
struct Families<'r>(&'r Registry);

impl Families<'_> {
    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        kept(self.0, IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
    ) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(buckets);
        kept(self.0, Histogram::with_opts(options)?)
    }

    fn applied(&self) -> prometheus::Result<IntCounterVec> {
        self.counters(
            "perijove_ingest_redis_batches_total",
            "Batches written to Redis: live, or mended (rebuilt from the database).",
            "how",
        )
    }

    fn delay(&self) -> prometheus::Result<Histogram> {
        self.histogram(
            "perijove_ingest_end_to_end_seconds",
            "Time from the oldest trade of a batch to its presence in Redis.",
            SECONDS.into(),
        )
    }

    fn prices(&self) -> prometheus::Result<IntCounter> {
        let (name, help) = (
            "perijove_ingest_prices_total",
            "Token prices written to Redis.",
        );
        kept(self.0, IntCounter::new(name, help)?)
    }

    fn price_writer(&self) -> prometheus::Result<IntGauge> {
        let (name, help) = (
            "perijove_ingest_price_writer",
            "1 in the one process whose prices are written to Redis.",
        );
        kept(self.0, IntGauge::new(name, help)?)
    }

    fn refused(&self) -> prometheus::Result<IntGaugeVec> {
        let options = Opts::new(
            "perijove_ingest_price_trades_refused",
            "Trades since the start that were ignored for prices, by reason.",
        );
        kept(self.0, IntGaugeVec::new(options, &["reason"])?)
    }

    fn wrong_kind(&self) -> prometheus::Result<IntGaugeVec> {
        let options = Opts::new(
            "perijove_ingest_wrong_kind",
            "1 for a topic that is not stored because its messages are not of the configured kind.",
        );
        kept(self.0, IntGaugeVec::new(options, &["topic"])?)
    }

    fn forgotten(&self) -> prometheus::Result<IntCounter> {
        let (name, help) = (
            "perijove_ingest_forgotten_total",
            "Table partitions (PostgreSQL) or rows (SQLite) removed by retention.",
        );
        kept(self.0, IntCounter::new(name, help)?)
    }

    fn sink_seconds(&self) -> prometheus::Result<HistogramVec> {
        let (name, help) = (
            "perijove_ingest_sink_seconds",
            "Time a sink took for a batch.",
        );
        let options = HistogramOpts::new(name, help).buckets(SECONDS.into());
        kept(self.0, HistogramVec::new(options, &["sink"])?)
    }

    fn breaker(&self) -> prometheus::Result<IntGaugeVec> {
        let options = Opts::new(
            "perijove_ingest_breaker_state",
            "State of a sink's circuit breaker: 0 closed, 1 half-open, 2 open.",
        );
        kept(self.0, IntGaugeVec::new(options, &["sink"])?)
    }
}

fn sum(counters: &IntCounterVec) -> u64 {
    let families = counters.collect();
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters of whole things"
    )]
    metrics
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

fn kept<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
