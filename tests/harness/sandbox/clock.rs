//! The cluster's clock: which slot the cluster is at, and what a validator that trails it sees at
//! each commitment. Owns no history; `chain` derives blocks from slot numbers.

use std::time::Duration;

use tokio::time::Instant;

/// How far `finalized` trails `processed` on a live cluster.
pub const FINALIZED_DISTANCE: u64 = 31;

/// Slots that advance with time, shared by every validator of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    start_slot: u64,
    slot_time: Duration,
}

impl Clock {
    /// Starts at `start_slot`, advancing one slot every `slot_time` (at least a millisecond).
    pub fn start(start_slot: u64, slot_time: Duration) -> Self {
        Self {
            started: Instant::now(),
            start_slot: start_slot.max(FINALIZED_DISTANCE + 2),
            slot_time: slot_time.max(Duration::from_millis(1)),
        }
    }

    /// The newest slot anywhere in the cluster.
    pub fn tip(&self) -> u64 {
        let passed = self.started.elapsed().as_nanos() / self.slot_time.as_nanos();
        self.start_slot
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// Time between slots.
    pub fn slot_time(&self) -> Duration {
        self.slot_time
    }
}

/// A commitment level as Agave spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Processed,
    Confirmed,
    Finalized,
}

impl Level {
    /// Parses a level; `None` for anything Agave does not know.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "processed" => Some(Self::Processed),
            "confirmed" => Some(Self::Confirmed),
            "finalized" => Some(Self::Finalized),
            _ => None,
        }
    }

    /// The spelling in requests and answers.
    pub fn label(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
        }
    }
}

/// What one validator has seen: its newest processed slot, the other levels follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    pub processed: u64,
}

impl Sight {
    /// The newest slot at `level`. Confirmed trails by one or two slots and never goes back.
    pub fn at(self, level: Level) -> u64 {
        match level {
            Level::Processed => self.processed,
            Level::Confirmed => self.processed.saturating_sub(1 + self.processed % 2),
            Level::Finalized => self.processed.saturating_sub(FINALIZED_DISTANCE),
        }
    }

    /// The strongest level that `slot` has reached here, `None` if it is still ahead.
    pub fn level_of(self, slot: u64) -> Option<Level> {
        [Level::Finalized, Level::Confirmed, Level::Processed]
            .into_iter()
            .find(|level| slot <= self.at(*level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn slots_advance_with_time() {
        let clock = Clock::start(1_000, Duration::from_millis(400));
        assert_eq!(clock.tip(), 1_000);
        tokio::time::advance(Duration::from_millis(399)).await;
        assert_eq!(clock.tip(), 1_000);
        tokio::time::advance(Duration::from_millis(1_201)).await;
        assert_eq!(clock.tip(), 1_004);
    }

    #[test]
    fn no_commitment_ever_goes_backwards_and_stronger_ones_trail() {
        let mut last = Sight { processed: 100 };
        for processed in 101..300 {
            let sight = Sight { processed };
            for level in [Level::Processed, Level::Confirmed, Level::Finalized] {
                assert!(sight.at(level) >= last.at(level));
            }
            assert!(sight.at(Level::Finalized) < sight.at(Level::Confirmed));
            assert!(sight.at(Level::Confirmed) < sight.at(Level::Processed));
            last = sight;
        }
    }

    #[test]
    fn a_slot_climbs_through_the_levels() {
        let sight = Sight { processed: 100 };
        assert_eq!(sight.level_of(101), None);
        assert_eq!(sight.level_of(100), Some(Level::Processed));
        assert_eq!(sight.level_of(99), Some(Level::Confirmed));
        assert_eq!(sight.level_of(69), Some(Level::Finalized));
    }
}
