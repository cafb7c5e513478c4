//! Which of several quotes can be compared: an old price is not a better one.

use perijove_core::Slot;

use super::lifetime::AHEAD;

/// For each quote, by the slot that it names, whether its price is as new as that of the others: at
/// most `most` slots behind the newest of them.
///
/// The newest is never taken to be ahead of the cluster's `tip`: one upstream whose slots run ahead
/// must not make all others look old. A quote that names no slot, or one that cannot be, counts only
/// where none names a slot that can.
pub fn comparable(slots: &[Option<Slot>], tip: Option<Slot>, most: u64) -> Vec<bool> {
    let believed = |slot: Option<Slot>| {
        slot.filter(|slot| tip.is_none_or(|tip| slot.0 <= tip.0.saturating_add(AHEAD)))
    };
    let newest = slots.iter().filter_map(|slot| believed(*slot)).max();
    let Some(newest) = newest else {
        return vec![true; slots.len()];
    };
    let newest = tip.map_or(newest, |tip| newest.min(tip));
    let counts =
        |slot: &Option<Slot>| believed(*slot).is_some_and(|slot| slot.lag_behind(newest) <= most);
    slots.iter().map(counts).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compared(slots: &[Option<u64>], tip: Option<u64>) -> Vec<bool> {
        let slots: Vec<_> = slots.iter().map(|slot| slot.map(Slot)).collect();
        comparable(&slots, tip.map(Slot), 2)
    }

    #[test]
    fn a_quote_counts_by_how_new_its_markets_are() {
        let tip = Some(1_000);
        for (slots, tip, counted) in [
            (
                vec![Some(1_000), Some(998), Some(997)],
                tip,
                vec![true, true, false],
            ),
            // All are late: they are compared with each other.
            (
                vec![Some(900), Some(898), Some(897)],
                tip,
                vec![true, true, false],
            ),
            // What runs ahead makes nobody else old.
            (vec![Some(1_000), Some(1_003)], tip, vec![true, true]),
            (vec![Some(998), Some(1_032)], tip, vec![true, true]),
            (vec![Some(997), Some(1_032)], tip, vec![false, true]),
            // What cannot be says nothing.
            (vec![Some(1_000), Some(1_033)], tip, vec![true, false]),
            (vec![Some(900), Some(u64::MAX)], tip, vec![true, false]),
            (vec![Some(1_000), None], tip, vec![true, false]),
            (
                vec![None, None, Some(u64::MAX)],
                tip,
                vec![true, true, true],
            ),
            // Without a view of the cluster they are compared with each other.
            (
                vec![Some(1_000), Some(1_003), None],
                None,
                vec![false, true, false],
            ),
            (vec![], tip, vec![]),
        ] {
            assert_eq!(compared(&slots, tip), counted, "{slots:?} {tip:?}");
        }
    }

    proptest! {
        #[test]
        fn nobodys_slot_makes_a_quote_at_the_tip_old(
            others in prop::collection::vec(prop::option::of(any::<u64>()), 0..6),
            tip in 0..u64::MAX,
        ) {
            let mut slots = others;
            slots.push(Some(tip));
            let counted = compared(&slots, Some(tip)).pop();
            prop_assert_eq!(counted, Some(true));
        }
    }
}
