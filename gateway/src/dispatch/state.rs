//! What dispatching learns over time. Shared by all snapshots, so that it survives reloads.

use std::sync::Arc;

use perijove_core::UnixClock;
use tokio::time::Instant;

use super::budget::RetryBudget;
use super::metrics::DispatchMetrics;
use super::rpc::RpcMemory;

/// The retry budget of the whole gateway, and what was learned from calls.
#[derive(Debug)]
pub struct DispatchState {
    pub budget: Arc<RetryBudget>,
    pub metrics: DispatchMetrics,
    pub rpc: RpcMemory,
}

impl DispatchState {
    /// `floor_entries` bounds the number of session floors kept.
    pub fn new(metrics: DispatchMetrics, floor_entries: usize, clock: UnixClock) -> Self {
        Self {
            budget: Arc::new(RetryBudget::new(Instant::now())),
            rpc: RpcMemory::new(metrics.clone(), floor_entries, clock),
            metrics,
        }
    }
}
