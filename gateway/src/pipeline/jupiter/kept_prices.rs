//! Jupiter's prices, each kept separately for a moment.

use std::time::Duration;

use bytes::Bytes;
use perijove_core::Pubkey;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// Mints whose price is kept.
const MOST: usize = 50_000;

/// Kept prices, each as Jupiter wrote it.
pub(in crate::pipeline) struct JupiterPrices(Cache<Pubkey, (Bytes, Instant)>);

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
    pub(super) fn get(&self, mint: &Pubkey, lives: Duration, now: Instant) -> Option<Bytes> {
        let (price, at) = self.0.get(mint)?;
        (now.saturating_duration_since(at) < lives).then_some(price)
    }

    pub(super) fn put(&self, mint: Pubkey, price: Bytes, now: Instant) {
        self.0.insert(mint, (price, now));
    }
}
