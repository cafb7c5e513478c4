//! What is learned from calls over time. It is found again by every snapshot and survives a reload.

use perijove_core::UnixClock;
use tokio::time::Instant;

use super::archive_budget::ArchiveBudget;
use super::floor::Floors;
use super::missing_history::MissingHistory;
use super::unknown_methods::UnknownMethods;
use crate::dispatch::{DispatchMetrics, LimitedCalls};

/// Session floors, history that is nowhere, and methods that nobody knows, of the whole gateway.
#[derive(Debug)]
pub struct RpcMemory {
    pub floors: Floors,
    pub limited_calls: LimitedCalls,
    pub(super) metrics: DispatchMetrics,
    pub(super) missing_history: MissingHistory,
    /// Limits questions to archives that find nothing.
    pub(super) archives: ArchiveBudget,
    pub(super) unknown_methods: UnknownMethods,
    /// For headers that name an absolute time.
    pub(super) clock: UnixClock,
}

impl RpcMemory {
    /// `floor_entries` bounds the number of session floors kept.
    pub(in crate::dispatch) fn new(
        metrics: DispatchMetrics,
        floor_entries: usize,
        clock: UnixClock,
    ) -> Self {
        Self {
            floors: Floors::new(floor_entries),
            limited_calls: LimitedCalls::default(),
            metrics,
            missing_history: MissingHistory::default(),
            archives: ArchiveBudget::new(Instant::now()),
            unknown_methods: UnknownMethods::new(Instant::now()),
            clock,
        }
    }
}
