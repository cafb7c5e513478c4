//! Jupiter's prices, each kept separately for a moment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Pubkey;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// Mints whose price is kept.
const MOST: usize = 50_000;

/// Kept prices.
pub(in crate::pipeline) struct JupiterPrices(Cache<Pubkey, KeptPrice>);

/// A price and where it is from.
#[derive(Clone)]
pub(super) struct KeptPrice {
    /// As Jupiter wrote it.
    pub(super) price: Bytes,
    /// The upstream that gave it.
    pub(super) upstream: Option<Arc<str>>,
    pub(super) at: Instant,
}

impl Default for JupiterPrices {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl std::fmt::Debug for JupiterPrices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JupiterPrices").finish_non_exhaustive()
    }
}

impl JupiterPrices {
    /// The price of a mint, if it was kept less than `lives` ago.
    pub(super) fn get(&self, mint: &Pubkey, lives: Duration, now: Instant) -> Option<KeptPrice> {
        let kept = self.0.get(mint)?;
        (now.saturating_duration_since(kept.at) < lives).then_some(kept)
    }

    pub(super) fn put(&self, mint: Pubkey, price: KeptPrice) {
        self.0.insert(mint, price);
    }
}
