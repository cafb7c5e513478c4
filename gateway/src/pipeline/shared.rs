//! What all requests share, whatever snapshot of the configuration they use.

use super::call_plan::CallPlans;
use super::forget::Forgotten;
use super::hot_reads::HotReads;
use super::jupiter::{JupiterPrices, Optimizer, QuoteOrigins, SharedQuote};
use super::metrics::PipelineMetrics;
use super::shared_outcome::SharedOutcome;
use crate::cache::{SingleFlight, TieredCache};
use crate::dispatch::DispatchState;
use crate::limit::Allowances;
use crate::upstream::Pool;

/// What all requests share.
#[derive(Debug)]
pub struct Pipeline {
    pub dispatch_state: DispatchState,
    pub metrics: PipelineMetrics,
    pub cache: TieredCache,
    pub allowances: Allowances,
    pub(super) single_flight: SingleFlight<SharedOutcome>,
    /// Refreshes in the background, until their answer is stored.
    pub(super) refreshes: SingleFlight<()>,
    pub(super) call_plans: CallPlans,
    pub(super) forgotten: Forgotten,
    pub(super) origins: QuoteOrigins,
    pub(super) quote_flights: SingleFlight<SharedQuote>,
    pub(super) optimizer: Optimizer,
    pub(super) jupiter_prices: JupiterPrices,
    /// Counts reads of accounts, to find those worth subscribing to.
    pub hot: HotReads,
}

impl Pipeline {
    pub fn new(live: DispatchState, metrics: PipelineMetrics, cache: TieredCache) -> Self {
        Self {
            dispatch_state: live,
            metrics,
            cache,
            allowances: Allowances::default(),
            single_flight: SingleFlight::default(),
            refreshes: SingleFlight::default(),
            call_plans: CallPlans::default(),
            forgotten: Forgotten::default(),
            origins: QuoteOrigins::default(),
            quote_flights: SingleFlight::default(),
            optimizer: Optimizer::default(),
            jupiter_prices: JupiterPrices::default(),
            hot: HotReads::default(),
        }
    }
    /// Forgets the answers of upstreams of another cluster, if one was found since the last time.
    pub(super) fn forget_strangers(&self, pool: &Pool) {
        let floors = &self.dispatch_state.rpc.floors;
        self.forgotten.forget_strangers(pool, &self.cache, floors);
    }

    /// The same for a call that stores something while such an upstream is found.
    pub(super) fn forget_since(&self, generation: u64, pool: &Pool) {
        let floors = &self.dispatch_state.rpc.floors;
        let forgotten = &self.forgotten;
        forgotten.forget_since(generation, pool, &self.cache, floors);
    }
}
