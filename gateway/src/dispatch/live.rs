//! What dispatching learns over time. It is found again by every snapshot and survives a reload.

use tokio::time::Instant;

use super::budget::RetryBudget;
use super::floor::Floors;
use super::metrics::DispatchMetrics;
use super::quantile::Latency;
use crate::solana::Method;

/// Budget, latencies and session floors of the whole gateway.
#[derive(Debug)]
pub struct Live {
    pub budget: RetryBudget,
    pub floors: Floors,
    pub metrics: DispatchMetrics,
    latencies: Vec<Latency>,
    unlisted: Latency,
    /// Seconds since the epoch, for headers that name an absolute time.
    pub unix_now: fn() -> u64,
}

impl Live {
    /// `floor_entries` bounds the number of session floors kept.
    pub fn new(metrics: DispatchMetrics, floor_entries: usize, unix_now: fn() -> u64) -> Self {
        Self {
            budget: RetryBudget::new(Instant::now()),
            floors: Floors::new(floor_entries),
            metrics,
            latencies: Method::ALL.iter().map(|_| Latency::default()).collect(),
            unlisted: Latency::default(),
            unix_now,
        }
    }

    pub(super) fn latency(&self, method: Method) -> &Latency {
        self.latencies
            .get(method as usize)
            .unwrap_or(&self.unlisted)
    }
}
