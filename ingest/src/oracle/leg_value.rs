//! What one side of a trade is worth, and the trade.

/// The value of one side of a trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LegValue {
    /// Too few base units to be meaningful.
    Dust,
    Unknown,
    Usd(f64),
}

/// The value of a trade: the lesser of what was given and taken, as far as both are known.
pub(super) fn trade_usd(one: LegValue, other: LegValue) -> Option<f64> {
    match (one, other) {
        (LegValue::Usd(one), LegValue::Usd(other)) => Some(one.min(other)),
        (LegValue::Usd(known), _) | (_, LegValue::Usd(known)) => Some(known),
        _ => None,
    }
}
