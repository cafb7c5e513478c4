//! The highest slot that a cluster can have reached by now: it bounds what an upstream says where nobody else is
//! there to contradict it. Pure.

use std::time::Duration;

use perijove_core::Slot;

const MAINNET: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
/// When mainnet began, in milliseconds since 1970. No cluster that lives is older by much.
const BEGAN: u64 = 1_584_368_940_000;
/// Mainnet's slots have never been shorter than 400 ms up to here.
const MEASURED: u64 = 1_767_225_600_000;
const MAINNET_SLOT: u64 = 400;
/// What no cluster is faster than, unless it is configured as faster.
const SHORTEST: Duration = Duration::from_millis(200);

/// `None` if the clock must be wrong. `slot_time` is the configured one, `now` in milliseconds since 1970.
pub(super) fn highest_possible(
    genesis: Option<&str>,
    slot_time: Duration,
    now: u64,
) -> Option<Slot> {
    let since = now.checked_sub(MEASURED)?;
    let shortest = u64::try_from(slot_time.min(SHORTEST).as_millis()).unwrap_or(u64::MAX);
    let before = match genesis {
        Some(MAINNET) => MAINNET_SLOT,
        _ => shortest,
    };
    Some(Slot(
        (MEASURED - BEGAN) / before.max(1) + since / shortest.max(1),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(400);
    /// 29 November 2026, when mainnet was at about 464 million.
    const NOW: u64 = 1_795_900_000_000;

    #[test]
    fn what_mainnet_has_reached_is_possible_and_what_it_will_not_reach_for_years_is_not() {
        let highest = |genesis| highest_possible(genesis, USUAL, NOW).unwrap().0;
        assert!((470_000_000..650_000_000).contains(&highest(Some(MAINNET))));
        assert!((1_000_000_000..1_200_000_000).contains(&highest(None)));
        assert!(highest(Some("another")) < 1 << 40);
    }

    #[test]
    fn a_faster_cluster_may_be_further() {
        let fast = highest_possible(None, Duration::from_millis(10), NOW).unwrap();
        assert!(fast > highest_possible(None, USUAL, NOW).unwrap());
        assert!(highest_possible(None, Duration::ZERO, NOW).is_some());
    }

    #[test]
    fn a_clock_that_was_never_set_bounds_nothing() {
        assert_eq!(highest_possible(Some(MAINNET), USUAL, 86_400_000), None);
    }
}
