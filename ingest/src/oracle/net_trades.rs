//! What is left of the trades of a slot: whoever buys and sells back has shown no price.
//!
//! A pool's price depends on what has been put into it and taken out of it, not on the way there.
//! As far as trades of a slot oppose each other they move nothing, at whatever price they were
//! made, by whomever and in whichever order.

use std::ops::Range;

use crate::oracle::median::{Vote, quantile};
use crate::oracle::pool_trade::PoolTrade;

/// A smaller share of a slot's turnover is a rounding error.
const NOTHING: f64 = 1e-9;

/// Whether there are trades in both directions.
pub(super) fn opposed(trades: &[PoolTrade]) -> bool {
    trades
        .iter()
        .any(|trade| trades.first().map(|first| first.left_to_right) != Some(trade.left_to_right))
}

/// What is left of a slot's trades: of the direction in which more was traded, by as much as it was
/// more, the trades nearest to the price that the pool had in its other slots.
///
/// A trade that is left in part counts as that part of the way from there to its own price: by so
/// much has it moved the pool.
pub(super) fn net(trades: &[PoolTrade], others: Option<f64>) -> Vec<PoolTrade> {
    let sum = |left_to_right: bool| -> f64 {
        let of_side = trades.iter();
        let of_side = of_side.filter(|trade| trade.left_to_right == left_to_right);
        of_side.map(|trade| trade.usd).sum()
    };
    let (taken, given) = (sum(true), sum(false));
    let mut left = (taken - given).abs();
    if left <= NOTHING * (taken + given) {
        return Vec::new();
    }
    let mut votes: Vec<Vote> = trades.iter().map(|trade| (trade.ln, trade.usd)).collect();
    let Some(from) = others.or_else(|| quantile(&mut votes, 0.5)) else {
        return Vec::new();
    };
    let side = trades.iter().copied();
    let mut side: Vec<PoolTrade> = side
        .filter(|trade| trade.left_to_right == (taken > given))
        .collect();
    let far = |trade: &PoolTrade| (trade.ln - from).abs();
    side.sort_by(|one, other| far(one).total_cmp(&far(other)));
    side.retain_mut(|trade| {
        let share = (left / trade.usd).min(1.0);
        left -= trade.usd * share;
        trade.usd *= share;
        trade.ln = from + (trade.ln - from) * share;
        share > NOTHING
    });
    side
}

/// Makes one of the two trades among these that are most alike: in the same direction, at nearly
/// the same price. Nothing of what was traded is lost, so that it still cancels out.
pub(super) fn merge(trades: &mut Vec<PoolTrade>, slot: Range<usize>) {
    let mut nearest: Option<(f64, usize, usize)> = None;
    for (place, one) in trades.iter().enumerate().take(slot.end).skip(slot.start) {
        let later = trades.iter().enumerate().take(slot.end).skip(place + 1);
        for (next, other) in later.filter(|other| other.1.left_to_right == one.left_to_right) {
            let far = (one.ln - other.ln).abs();
            if nearest.is_none_or(|nearest| far < nearest.0) {
                nearest = Some((far, place, next));
            }
        }
    }
    let Some((_, place, next)) = nearest else {
        return;
    };
    let other = trades.remove(next);
    if let Some(one) = trades.get_mut(place) {
        let usd = one.usd + other.usd;
        one.ln = (one.ln * one.usd + other.ln * other.usd) / usd;
        one.usd = usd;
        one.time = one.time.max(other.time);
        one.at = one.at.max(other.at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trade(ln: f64, usd: f64, left_to_right: bool) -> PoolTrade {
        PoolTrade {
            slot: 1,
            time: 0,
            at: 0.0,
            ln,
            usd,
            left_to_right,
        }
    }

    fn net_of(trades: &[PoolTrade]) -> f64 {
        let signed = trades.iter().map(|trade| {
            if trade.left_to_right {
                trade.usd
            } else {
                -trade.usd
            }
        });
        signed.sum()
    }

    #[test]
    fn a_part_of_a_trade_is_a_part_of_the_way() {
        let trades = [trade(0.08, 400.0, true), trade(0.09, 300.0, false)];
        let left = net(&trades, Some(0.0));
        assert_eq!(left.len(), 1);
        assert!((left[0].usd - 100.0).abs() < 1e-9 && (left[0].ln - 0.02).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_net_flow_and_no_farther_off(
            trades in prop::collection::vec((-1.0_f64..1.0, 0.5_f64..1e4, any::<bool>()), 1..9),
        ) {
            let trades: Vec<_> = trades.into_iter().map(|(ln, usd, way)| trade(ln, usd, way)).collect();
            let left = net(&trades, Some(0.0));
            prop_assert!((net_of(&left) - net_of(&trades)).abs() < 1e-5);
            prop_assert!(!opposed(&left));
            let far = |of: &[PoolTrade]| of.iter().map(|trade| trade.ln.abs()).fold(0.0, f64::max);
            prop_assert!(far(&left) <= far(&trades) + 1e-12);
        }

        #[test]
        fn merging_loses_nothing(
            trades in prop::collection::vec((-1.0_f64..1.0, 0.5_f64..1e4, any::<bool>()), 3..9),
        ) {
            let mut trades: Vec<_> = trades.into_iter().map(|(ln, usd, way)| trade(ln, usd, way)).collect();
            let (before, count) = (net_of(&trades), trades.len());
            merge(&mut trades, 0..count);
            prop_assert_eq!(trades.len(), count - 1);
            prop_assert!((net_of(&trades) - before).abs() < 1e-5);
        }
    }
}
