//! The published estimate of a token.

use perijove_core::Slot;

use crate::oracle::token::TokenState;

/// The price of a token, and how reliable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Dollars for one token.
    pub usd: f64,
    /// The price is probably between `usd / (1 + uncertain)` and `usd * (1 + uncertain)`.
    pub uncertain: f64,
    pub decimals: u8,
    /// The slot of its last trade that counted.
    pub slot: Slot,
    /// The time of that trade, in milliseconds since 1970.
    pub time: i64,
    /// The time of the oldest trade that the price is based on.
    pub since: i64,
    /// Trades of the last ten minutes.
    pub trades: u32,
    /// Pools with trades in the last ten minutes that contributed.
    pub pools: u32,
    /// Their turnover in dollars, in ten minutes.
    pub turnover: f64,
}

impl Estimate {
    /// None without a trade, until the decimals are beyond doubt, and where it is no number.
    pub(super) fn of(token: &TokenState) -> Option<Self> {
        let value = token.value.as_ref().filter(|value| value.slot > 0)?;
        let decimals = token.decimals.certain()?;
        let usd = (value.unit + f64::from(decimals) * std::f64::consts::LN_10).exp();
        let usd = Some(usd).filter(|usd| usd.is_normal())?;
        Some(Self {
            usd,
            uncertain: value.uncertain,
            decimals,
            slot: Slot(value.slot),
            time: value.time,
            since: value.since,
            trades: whole(value.trades),
            pools: u32::try_from(value.pools).unwrap_or(u32::MAX),
            turnover: value.usd,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, rounded"
)]
fn whole(count: f64) -> u32 {
    count.round().clamp(0.0, f64::from(u32::MAX)) as u32
}
