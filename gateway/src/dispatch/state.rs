//! What dispatching learns over time. Shared by all snapshots, so that it survives reloads.

use std::sync::Arc;

use tokio::time::Instant;

use super::archive_budget::ArchiveBudget;
use super::budget::RetryBudget;
use super::floor::Floors;
use super::metrics::DispatchMetrics;
use super::missing_history::MissingHistory;
use super::unknown_methods::UnknownMethods;

/// Budget and session floors of the whole gateway.
#[derive(Debug)]
pub struct DispatchState {
    pub budget: Arc<RetryBudget>,
    pub floors: Floors,
    pub metrics: DispatchMetrics,
    pub(super) missing_history: MissingHistory,
    /// Limits questions to archives that find nothing.
    pub(super) deeper: ArchiveBudget,
    pub(super) unknown_methods: UnknownMethods,
    /// Seconds since the epoch, for headers that name an absolute time.
    pub unix_now: fn() -> u64,
}

impl DispatchState {
    /// `floor_entries` bounds the number of session floors kept.
    pub fn new(metrics: DispatchMetrics, floor_entries: usize, unix_now: fn() -> u64) -> Self {
        Self {
            budget: Arc::new(RetryBudget::new(Instant::now())),
            floors: Floors::new(floor_entries),
            metrics,
            missing_history: MissingHistory::default(),
            deeper: ArchiveBudget::new(Instant::now()),
            unknown_methods: UnknownMethods::new(Instant::now()),
            unix_now,
        }
    }
}
