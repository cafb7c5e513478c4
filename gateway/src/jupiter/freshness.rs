//! How old a price may be.

use std::time::Duration;

use perijove_core::Slot;
use perijove_core::redis::Dollars;

/// What counts as fresh, and the current time and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceFreshness {
    /// Older ones do not count.
    pub max_age: Duration,
    /// Prices more slots behind do not count. `None`: any slot.
    pub max_slots: Option<u64>,
    /// Milliseconds since 1970.
    pub now: u64,
    /// The newest slot of the cluster. While it is unknown, slots are ignored.
    pub tip: Option<Slot>,
}

impl PriceFreshness {
    /// Whether a price is fresh, that is, whether the oldest trade it is based on is. A time
    /// further in the future than it may be in the past is wrong, and would stay fresh for ever.
    pub fn admits(&self, price: &Dollars) -> bool {
        let apart = self.now.abs_diff(u64::try_from(price.since).unwrap_or(0));
        let in_time = u128::from(apart) <= self.max_age.as_millis();
        let behind = self.tip.map(|tip| price.slot.lag_behind(tip));
        let in_reach = self
            .max_slots
            .zip(behind)
            .is_none_or(|(most, lag)| lag <= most);
        in_time && in_reach
    }

    /// The age of a time in milliseconds since 1970; never negative.
    pub fn age(&self, time: i64) -> Duration {
        let then = u64::try_from(time).unwrap_or(0);
        Duration::from_millis(self.now.saturating_sub(then))
    }
}

#[cfg(test)]
mod tests {
    use perijove_tests::redis::prices::dollars;

    use super::*;

    const NOW: u64 = 1_763_741_000_000;

    fn freshness() -> PriceFreshness {
        PriceFreshness {
            max_age: Duration::from_mins(1),
            max_slots: None,
            now: NOW,
            tip: Some(Slot(1_000)),
        }
    }

    fn at(since: i64, slot: u64) -> Dollars {
        Dollars {
            since,
            slot: Slot(slot),
            ..dollars(1.0)
        }
    }

    #[test]
    fn a_price_is_fresh_for_so_long_and_no_longer() {
        let now = NOW.cast_signed();
        for (time, fresh) in [
            (now, true),
            (now - 60_000, true),
            (now - 60_001, false),
            (now + 60_000, true),
            (now + 60_001, false),
            (i64::MAX, false),
            (i64::MIN, false),
            (-1, false),
            (0, false),
        ] {
            assert_eq!(freshness().admits(&at(time, 1)), fresh, "{time}");
        }
    }

    #[test]
    fn slots_count_where_a_limit_is_set_and_the_tip_is_known() {
        let limited = PriceFreshness {
            max_slots: Some(10),
            ..freshness()
        };
        let blind = PriceFreshness {
            tip: None,
            ..limited
        };
        for (slot, free, bounded) in [
            (1_000, true, true),
            (990, true, true),
            (989, true, false),
            (0, true, false),
            (u64::MAX, true, true),
        ] {
            let price = at(NOW.cast_signed(), slot);
            assert_eq!(freshness().admits(&price), free, "{slot}");
            assert_eq!(limited.admits(&price), bounded, "{slot}");
            assert!(blind.admits(&price), "{slot}");
        }
    }

    #[test]
    fn nothing_is_younger_than_now() {
        for (time, age) in [(NOW.cast_signed() - 1_500, 1_500), (i64::MAX, 0)] {
            assert_eq!(freshness().age(time), Duration::from_millis(age));
        }
        assert_eq!(freshness().age(i64::MIN), Duration::from_millis(NOW));
    }
}
