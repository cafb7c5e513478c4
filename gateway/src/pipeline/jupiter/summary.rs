//! A metric of type summary, which the client library can encode but not compute: quantiles of
//! about the last minute.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType, Quantile, Summary};
use tokio::time::Instant;

/// Half of the time that the quantiles cover.
const HALF: Duration = Duration::from_secs(30);

/// Buckets grow by an eighth power of two, from a microsecond: a quantile is at most 9 % too high.
const BUCKETS: usize = 240;
const PER_DOUBLING: f64 = 8.0;

/// Those that are shown.
const SHOWN: [f64; 3] = [0.5, 0.95, 0.99];

/// A summary in milliseconds with the label `upstream`.
#[derive(Clone)]
pub(super) struct Milliseconds(Arc<SummaryState>);

struct SummaryState {
    desc: Desc,
    series: Mutex<HashMap<Arc<str>, Series>>,
}

/// Observations of one upstream.
struct Series {
    /// The current half, and the one before.
    halves: [Box<[u32; BUCKETS]>; 2],
    begun: Instant,
    sum: f64,
    count: u64,
}

impl Milliseconds {
    pub(super) fn new(name: &str, help: &str) -> prometheus::Result<Self> {
        let labels = vec!["upstream".to_owned()];
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self(Arc::new(SummaryState {
            desc,
            series: Mutex::default(),
        })))
    }

    /// Creates the series, without an observation.
    pub(super) fn expect(&self, upstream: &str) {
        let mut all = self.0.series.lock();
        if !all.contains_key(upstream) {
            all.insert(upstream.into(), Series::new(Instant::now()));
        }
    }

    pub(super) fn observe(&self, upstream: &Arc<str>, took: Duration, now: Instant) {
        let mut all = self.0.series.lock();
        if !all.contains_key(upstream) {
            all.insert(Arc::clone(upstream), Series::new(now));
        }
        if let Some(series) = all.get_mut(upstream) {
            series.observe(took, now);
        }
    }
}

impl Series {
    fn new(now: Instant) -> Self {
        Self {
            halves: [Box::new([0; BUCKETS]), Box::new([0; BUCKETS])],
            begun: now,
            sum: 0.0,
            count: 0,
        }
    }

    fn observe(&mut self, took: Duration, now: Instant) {
        self.turn(now);
        if let Some(bucket) = self.halves[0].get_mut(bucket_of(took)) {
            *bucket = bucket.saturating_add(1);
        }
        self.sum += took.as_secs_f64() * 1000.0;
        self.count += 1;
    }

    /// Discards what is too old.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.begun);
        if age < HALF {
            return;
        }
        self.halves.swap(0, 1);
        self.halves[0].fill(0);
        if age >= 2 * HALF {
            self.halves[1].fill(0);
        }
        self.begun = now;
    }

    /// In milliseconds; NaN while there are no observations, as in Prometheus.
    fn quantile(&self, quantile: f64) -> f64 {
        let counts = self.halves[0].iter().zip(self.halves[1].iter());
        let counts: Vec<u64> = counts.map(|(a, b)| u64::from(*a) + u64::from(*b)).collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return f64::NAN;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place among observations"
        )]
        let place = ((all as f64) * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= place {
                return upper(index);
            }
        }
        f64::NAN
    }
}

fn bucket_of(took: Duration) -> usize {
    let micros = (took.as_secs_f64() * 1e6).max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and cut to the last bucket"
    )]
    let bucket = (micros.log2() * PER_DOUBLING) as usize;
    bucket.min(BUCKETS - 1)
}

/// The upper end of a bucket in milliseconds.
fn upper(index: usize) -> f64 {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    (f64::from(index + 1) / PER_DOUBLING).exp2() / 1000.0
}

impl Collector for Milliseconds {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = Instant::now();
        let mut all = self.0.series.lock();
        let mut metrics: Vec<_> = all
            .iter_mut()
            .map(|(upstream, series)| {
                series.turn(now);
                metric(upstream, series)
            })
            .collect();
        metrics.sort_by(|one, other| one.get_label().cmp(other.get_label()));
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(metrics);
        vec![family]
    }
}

fn metric(upstream: &str, series: &Series) -> Metric {
    let quantiles = SHOWN.map(|shown| {
        let mut quantile = Quantile::default();
        quantile.set_quantile(shown);
        quantile.set_value(series.quantile(shown));
        quantile
    });
    let mut summary = Summary::default();
    summary.set_sample_count(series.count);
    summary.set_sample_sum(series.sum);
    summary.set_quantile(quantiles.to_vec());
    let mut label = LabelPair::default();
    label.set_name("upstream".to_owned());
    label.set_value(upstream.to_owned());
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_summary(summary);
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quantiles_are_of_the_last_minute() {
        let summary = Milliseconds::new("latency_ms", "help").unwrap();
        let (a, start): (Arc<str>, _) = ("a".into(), Instant::now());
        for millis in 1..=100 {
            summary.observe(&a, Duration::from_millis(millis), start);
        }
        let quantile = |shown| summary.0.series.lock()[&a].quantile(shown);
        for (shown, expected) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0)] {
            let told = quantile(shown);
            assert!(
                (expected..expected * 1.1).contains(&told),
                "{shown}: {told}"
            );
        }
        tokio::time::advance(Duration::from_secs(31)).await;
        summary.observe(&a, Duration::from_millis(500), Instant::now());
        assert!(quantile(0.5) < 60.0, "the half before counts");
        tokio::time::advance(Duration::from_secs(31)).await;
        summary.observe(&a, Duration::from_millis(500), Instant::now());
        assert!(quantile(0.5) >= 500.0);
        tokio::time::advance(Duration::from_secs(70)).await;
        let shown = prometheus::TextEncoder::new()
            .encode_to_string(&summary.collect())
            .unwrap();
        assert!(
            shown.contains(r#"latency_ms{upstream="a",quantile="0.95"} NaN"#),
            "{shown}"
        );
        assert!(
            shown.contains(r#"latency_ms_count{upstream="a"} 102"#),
            "{shown}"
        );
        assert!(shown.contains("# TYPE latency_ms summary"), "{shown}");
    }
}
