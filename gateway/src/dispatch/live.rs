//! What dispatching learns over time. It is found again by every snapshot and survives a reload.

use std::sync::Arc;

use tokio::time::Instant;

use super::budget::RetryBudget;
use super::floor::Floors;
use super::history::{Memory, Rate};
use super::metrics::DispatchMetrics;
use super::strangers::Strangers;

/// Budget and session floors of the whole gateway.
#[derive(Debug)]
pub struct Live {
    pub budget: Arc<RetryBudget>,
    pub floors: Floors,
    pub metrics: DispatchMetrics,
    pub(super) history: Memory,
    /// How often archives are asked in vain.
    pub(super) deeper: Rate,
    pub(super) strangers: Strangers,
    /// Seconds since the epoch, for headers that name an absolute time.
    pub unix_now: fn() -> u64,
}

impl Live {
    /// `floor_entries` bounds the number of session floors kept.
    pub fn new(metrics: DispatchMetrics, floor_entries: usize, unix_now: fn() -> u64) -> Self {
        Self {
            budget: Arc::new(RetryBudget::new(Instant::now())),
            floors: Floors::new(floor_entries),
            metrics,
            history: Memory::default(),
            deeper: Rate::new(Instant::now()),
            strangers: Strangers::new(Instant::now()),
            unix_now,
        }
    }
}
