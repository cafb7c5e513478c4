//! The value of a stablecoin before anything is known, and in USDC.

use perijove_core::Pubkey;
use perijove_core::market::{STABLE_DECIMALS, STABLES};

use crate::oracle::token::TokenPrice;

/// Uncertainty of a dollar that nothing else confirms.
pub(super) const ALONE: f64 = 0.005;

/// The stablecoins' worth in USDC, as logarithms, in the order of [`STABLES`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anchors(pub(super) [f64; STABLES.len()]);

/// The value of a stablecoin before anything is known: its peg.
pub(super) fn pegged(mint: Pubkey) -> TokenPrice {
    let unit = -raw_dollar();
    TokenPrice {
        unit,
        uncertain: ALONE,
        slot: 0,
        time: i64::MIN,
        since: i64::MIN,
        trades: 0.0,
        usd: 0.0,
        pools: 0,
        evidence: 0.0,
        capital: 0.0,
        held: true,
        via: mint,
        via_unit: unit,
    }
}

/// The logarithm of the base units in a dollar.
pub(super) fn raw_dollar() -> f64 {
    f64::from(STABLE_DECIMALS) * std::f64::consts::LN_10
}
