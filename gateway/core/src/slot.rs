//! A slot number: the cluster's unit of time. Only arithmetic, no tracking.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One slot, about 400 ms of cluster time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// How many slots this one is behind `tip`; 0 when it is level or ahead.
    pub const fn lag_behind(self, tip: Self) -> u64 {
        tip.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<u64> for Slot {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;

    #[test]
    fn lag_is_the_distance_to_the_tip_and_never_negative() {
        for (slot, tip, lag) in [(5, 9, 4), (9, 9, 0), (12, 9, 0), (0, u64::MAX, u64::MAX)] {
            assert_eq!(Slot(slot).lag_behind(Slot(tip)), lag);
        }
    }

    #[test]
    fn a_slot_is_a_bare_number_in_json() {
        let slot: Slot = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(slot, Slot(u64::MAX));
        assert_eq!(
            serde_json::to_string(&slot).unwrap(),
            "18446744073709551615"
        );
    }
}
