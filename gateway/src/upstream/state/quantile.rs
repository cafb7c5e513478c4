//! A running latency quantile per method of one upstream, for the hedge timer: log-scaled buckets
//! that fade, one atomic increment per observation.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::solana::Method;

/// Buckets grow by a quarter power of two: an estimate is at most 19 % above the true value.
const BUCKETS: usize = 96;
/// The estimate is renewed, and old observations lose half their weight, after this many.
const RENEW_EVERY: u32 = 128;
/// Below this many observations there is no estimate.
const ENOUGH: u32 = 32;

/// All methods, with three sums for those that Agave does not have.
const METHODS: usize = Method::NamedAsRead as usize + 1;

/// Latencies of all methods; memory is allocated for those that are called.
#[derive(Debug)]
pub(in crate::upstream) struct Latencies(Box<[OnceLock<Box<Latency>>]>);

impl Default for Latencies {
    fn default() -> Self {
        Self((0..METHODS).map(|_| OnceLock::new()).collect())
    }
}

impl Latencies {
    /// `quantile` is in 0..1.
    pub(in crate::upstream) fn observe(&self, method: Method, latency: Duration, quantile: f64) {
        if let Some(place) = self.0.get(method as usize) {
            place.get_or_init(Box::default).observe(latency, quantile);
        }
    }

    /// `None` while too little is known.
    pub(in crate::upstream) fn estimate(&self, method: Method) -> Option<Duration> {
        self.0.get(method as usize)?.get()?.estimate()
    }
}

/// Latency of one method over its recent calls.
#[derive(Debug)]
pub(in crate::upstream) struct Latency {
    buckets: [AtomicU32; BUCKETS],
    observed: AtomicU32,
    /// Cached estimate in microseconds; 0 = not enough observations yet.
    estimate: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU32::new(0) }; BUCKETS],
            observed: AtomicU32::new(0),
            estimate: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Adds one observation. `quantile` is in 0..1 and only used when the estimate is renewed.
    pub(in crate::upstream) fn observe(&self, latency: Duration, quantile: f64) {
        if let Some(bucket) = self.buckets.get(bucket_of(latency)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let seen = self.observed.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == ENOUGH || seen.is_multiple_of(RENEW_EVERY) {
            self.renew(quantile);
        }
    }

    /// The estimated quantile, or `None` while too little is known.
    pub(in crate::upstream) fn estimate(&self) -> Option<Duration> {
        match self.estimate.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    fn renew(&self, quantile: f64) {
        let counts: [u32; BUCKETS] =
            std::array::from_fn(|i| self.buckets.get(i).map_or(0, |b| b.load(Ordering::Relaxed)));
        let total: u32 = counts.iter().sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "share of a u32"
        )]
        let rank = (f64::from(total) * quantile.clamp(0.0, 1.0)).ceil() as u32;
        let mut below = 0;
        for (i, count) in counts.iter().enumerate() {
            below += count;
            if below >= rank.max(1) {
                self.estimate
                    .store(upper_bound_micros(i), Ordering::Relaxed);
                break;
            }
        }
        // Halving races with concurrent increments; a lost count does not matter to an estimate.
        for bucket in &self.buckets {
            bucket.store(bucket.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }
}

/// Four buckets to each power of two microseconds.
fn bucket_of(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros())
        .unwrap_or(u64::MAX)
        .max(1);
    let power = micros.ilog2();
    let quarter = if power < 2 {
        0
    } else {
        (micros >> (power - 2)) & 3
    };
    usize::try_from(u64::from(power) * 4 + quarter).map_or(BUCKETS - 1, |i| i.min(BUCKETS - 1))
}

fn upper_bound_micros(bucket: usize) -> u64 {
    let power = u32::try_from(bucket / 4).unwrap_or(u32::MAX);
    let quarter = u64::try_from(bucket % 4).unwrap_or(3);
    let base = 1_u64.checked_shl(power).unwrap_or(u64::MAX);
    base + (base / 4) * (quarter + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_before_enough_was_seen() {
        let latency = Latency::default();
        for _ in 0..ENOUGH - 1 {
            latency.observe(Duration::from_millis(5), 0.95);
        }
        assert_eq!(latency.estimate(), None);
        latency.observe(Duration::from_millis(5), 0.95);
        assert!(latency.estimate().is_some());
    }

    #[test]
    fn methods_that_agave_does_not_have_are_measured_too() {
        let latencies = Latencies::default();
        for method in [Method::Extension, Method::NamedAsRead, Method::GetBalance] {
            for _ in 0..ENOUGH {
                latencies.observe(method, Duration::from_millis(700), 0.95);
            }
            let estimate = latencies.estimate(method).unwrap();
            assert!(estimate >= Duration::from_millis(700), "{method:?}");
        }
    }

    #[test]
    fn the_estimate_is_within_a_bucket_of_the_true_quantile() {
        let latency = Latency::default();
        for i in 0..1280_u64 {
            let millis = if i % 100 < 90 { 10 } else { 200 };
            latency.observe(Duration::from_millis(millis), 0.95);
        }
        let estimate = latency.estimate().unwrap();
        assert!(estimate >= Duration::from_millis(200), "{estimate:?}");
        assert!(estimate <= Duration::from_millis(260), "{estimate:?}");
    }

    #[test]
    fn the_estimate_follows_a_change() {
        let latency = Latency::default();
        for _ in 0..1024 {
            latency.observe(Duration::from_millis(400), 0.95);
        }
        for _ in 0..2048 {
            latency.observe(Duration::from_millis(4), 0.95);
        }
        assert!(latency.estimate().unwrap() < Duration::from_millis(10));
    }
}
