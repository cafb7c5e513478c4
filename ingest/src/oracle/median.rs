//! Medians and quartiles of weighted numbers.

/// A number and its weight, which is positive.
pub(super) type Vote = (f64, f64);

/// The number below which this share of the weight lies. Halfway between two if it falls between
/// them. Sorts the votes. `None` without any weight.
pub(super) fn quantile(votes: &mut [Vote], share: f64) -> Option<f64> {
    votes.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    sorted_quantile(votes, share)
}

/// The median and the distance between the quartiles.
pub(super) fn median_and_spread(votes: &mut [Vote]) -> Option<(f64, f64)> {
    let median = quantile(votes, 0.5)?;
    let spread = sorted_quantile(votes, 0.75)? - sorted_quantile(votes, 0.25)?;
    Some((median, spread))
}

fn sorted_quantile(votes: &[Vote], share: f64) -> Option<f64> {
    let whole: f64 = votes.iter().map(|vote| vote.1).sum();
    let wanted = whole * share;
    let close = whole * 1e-9;
    let mut below = 0.0;
    let mut between = None;
    for (number, weight) in votes.iter().filter(|vote| vote.1 > 0.0) {
        if let Some(lower) = between {
            return Some((lower + number) / 2.0);
        }
        below += weight;
        if below > wanted + close {
            return Some(*number);
        }
        if below >= wanted - close {
            between = Some(*number);
        }
    }
    between
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_median_has_half_the_weight_on_either_side() {
        for (mut votes, expected) in [
            (vec![], None),
            (vec![(1.0, 0.0)], None),
            (vec![(2.0, 1.0)], Some(2.0)),
            (vec![(3.0, 1.0), (1.0, 1.0)], Some(2.0)),
            (vec![(1.0, 1.0), (5.0, 1.0), (2.0, 1.0)], Some(2.0)),
            (vec![(1.0, 10.0), (1e9, 9.0)], Some(1.0)),
            (vec![(1.0, 9.0), (1e9, 10.0)], Some(1e9)),
        ] {
            assert_eq!(quantile(&mut votes, 0.5), expected, "{votes:?}");
        }
    }

    proptest! {
        #[test]
        fn less_than_half_of_the_weight_cannot_leave_the_range_of_the_rest(
            honest in prop::collection::vec((0.9_f64..1.1, 1.0_f64..10.0), 1..20),
            lies in prop::collection::vec((-1e9_f64..1e9, 0.0_f64..1.0), 0..20),
        ) {
            let weight = |votes: &[Vote]| votes.iter().map(|vote| vote.1).sum::<f64>();
            let scale = 0.49 * weight(&honest) / weight(&lies).max(1e-9);
            let lies = lies.iter().map(|(number, weight)| (*number, weight * scale.min(1.0)));
            let mut votes: Vec<Vote> = honest.iter().copied().chain(lies).collect();
            let median = quantile(&mut votes, 0.5).unwrap();
            prop_assert!((0.9..1.1).contains(&median), "{median}");
        }
    }
}
