//! Calls that find all connections to an upstream in use: counted, timed, and logged when it begins
//! and when it has been over for a while. It means that the gateway's own limits are too low, or
//! that calls take longer than they should; never that the upstream failed.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{Histogram, IntCounter};
use tokio::time::Instant;

/// It is over when no call has met it for this long.
const QUIET: Duration = Duration::from_secs(10);

/// The saturation of one upstream.
pub(in crate::upstream) struct Saturation {
    upstream: String,
    ceiling: usize,
    /// Calls that it serves well at once; `usize::MAX` while that is not looked for.
    limit: AtomicUsize,
    met: IntCounter,
    waited: Histogram,
    start: Instant,
    lasts: AtomicBool,
    /// When a call last met it, in milliseconds since the start.
    last: AtomicU64,
}

impl Saturation {
    pub(in crate::upstream) fn new(
        upstream: &str,
        ceiling: usize,
        met: IntCounter,
        waited: Histogram,
    ) -> Self {
        Self {
            upstream: upstream.to_owned(),
            ceiling,
            limit: AtomicUsize::new(usize::MAX),
            met,
            waited,
            start: Instant::now(),
            lasts: AtomicBool::new(false),
            last: AtomicU64::new(0),
        }
    }

    /// A call has to wait for a connection that another one uses. The wait is timed until the
    /// result is dropped, whether or not it got one.
    pub(in crate::upstream) fn meet(&self) -> SaturatedWait<'_> {
        let now = Instant::now();
        self.met.inc();
        self.last.store(self.milliseconds(now), Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        if self.lasts.swap(true, Ordering::Relaxed) {
            // It was told.
        } else if limit < self.ceiling {
            tracing::warn!(
                upstream = self.upstream,
                concurrency_limit = limit,
                "upstream has as many calls as it serves well at once; further calls wait or go \
                 elsewhere; add an upstream"
            );
        } else {
            tracing::warn!(
                upstream = self.upstream,
                connections_ceiling = self.ceiling,
                "upstream connection limit reached; calls wait for a connection; raise its \
                 connections_ceiling, let it offer HTTP/2 or add an upstream"
            );
        }
        SaturatedWait {
            saturation: self,
            since: now,
        }
    }

    /// It serves this many calls well at once.
    pub(in crate::upstream) fn limited_to(&self, calls: usize) {
        self.limit.store(calls, Ordering::Relaxed);
    }

    /// Whether calls wait, or did a moment ago.
    pub(in crate::upstream) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }

    /// Records that it is over. To be called regularly.
    pub(in crate::upstream) fn settle(&self, now: Instant) {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        let quiet = now.saturating_duration_since(self.start + last);
        if quiet >= QUIET && self.lasts.swap(false, Ordering::Relaxed) {
            tracing::info!(
                upstream = self.upstream,
                "upstream connection limit no longer reached"
            );
        }
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// One waiting call.
pub(in crate::upstream) struct SaturatedWait<'a> {
    saturation: &'a Saturation,
    since: Instant,
}

impl Drop for SaturatedWait<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed().as_secs_f64();
        self.saturation.waited.observe(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_lasts_until_no_call_has_met_it_for_a_while() {
        let met = IntCounter::new("met", "met").unwrap();
        let waited = Histogram::with_opts(prometheus::HistogramOpts::new("w", "w")).unwrap();
        let saturation = Saturation::new("a", 1, met.clone(), waited.clone());
        let lasts = || saturation.lasts();
        assert!(!lasts());
        let wait = saturation.meet();
        tokio::time::advance(Duration::from_secs(9)).await;
        drop(wait);
        saturation.settle(Instant::now());
        assert!(lasts());
        drop(saturation.meet());
        tokio::time::advance(Duration::from_secs(9)).await;
        saturation.settle(Instant::now());
        assert!(lasts());
        tokio::time::advance(Duration::from_secs(1)).await;
        saturation.settle(Instant::now());
        assert!(!lasts());
        assert_eq!((met.get(), waited.get_sample_count()), (2, 2));
        assert!((waited.get_sample_sum() - 9.0).abs() < 0.01);
    }
}
