//! A trade of a pool, as the oracle remembers it.

/// A trade as far as it is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolTrade {
    pub(super) slot: u64,
    /// In milliseconds since 1970.
    pub(super) time: i64,
    /// The same in active time.
    pub(super) at: f64,
    /// The logarithm of how much of the right was paid for one of the left, raw.
    pub(super) ln: f64,
    /// What it was worth.
    pub(super) usd: f64,
    /// Whether the trader took the left.
    pub(super) left_to_right: bool,
}
