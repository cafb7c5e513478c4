//! What one validator sees of the cluster: its newest slot at each commitment, and its fork. The
//! cluster's own slot is in `clock`.

use super::chain::{Line, Moment};
use super::clock::FINALIZED_DISTANCE;

/// A commitment level as Agave spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    Processed,
    Confirmed,
    Finalized,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 3] = [Self::Processed, Self::Confirmed, Self::Finalized];

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

/// What a validator has seen. Confirmed and finalized are always those of the main line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    pub processed: u64,
    pub confirmed: u64,
    pub finalized: u64,
    /// The line its processed slot is on.
    pub line: Line,
}

impl Sight {
    /// A validator that follows the cluster and has processed this slot. Confirmed trails by one or
    /// two slots.
    pub fn of(processed: u64) -> Self {
        Self {
            processed,
            confirmed: processed.saturating_sub(1 + processed % 2),
            finalized: processed.saturating_sub(FINALIZED_DISTANCE),
            line: Line::MAIN,
        }
    }

    /// One that is at this slot at every commitment, for asking what was said at it.
    pub fn exactly(moment: Moment) -> Self {
        Self {
            processed: moment.slot,
            confirmed: moment.slot,
            finalized: moment.slot,
            line: moment.line,
        }
    }

    /// Nothing above `root` is final.
    #[must_use]
    pub fn rooted_at_most(mut self, root: Option<u64>) -> Self {
        self.finalized = root.map_or(self.finalized, |root| root.min(self.finalized));
        self
    }

    /// Processes another line, `ahead` slots before the cluster. What is confirmed stays.
    #[must_use]
    pub fn on_fork(mut self, line: Line, ahead: u64) -> Self {
        self.line = line;
        self.processed = self.processed.saturating_add(ahead);
        self
    }

    /// The newest slot at `level`.
    pub fn at(self, level: Level) -> u64 {
        match level {
            Level::Processed => self.processed,
            Level::Confirmed => self.confirmed,
            Level::Finalized => self.finalized,
        }
    }

    /// The newest slot at `level` and the line it is on.
    pub fn moment(self, level: Level) -> Moment {
        let line = match level {
            Level::Processed => self.line,
            Level::Confirmed | Level::Finalized => Line::MAIN,
        };
        Moment {
            slot: self.at(level),
            line,
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

    #[test]
    fn no_commitment_ever_goes_backwards_and_stronger_ones_trail() {
        let mut last = Sight::of(100);
        for processed in 101..300 {
            let sight = Sight::of(processed);
            for level in Level::ALL {
                assert!(sight.at(level) >= last.at(level));
            }
            assert!(sight.at(Level::Finalized) < sight.at(Level::Confirmed));
            assert!(sight.at(Level::Confirmed) < sight.at(Level::Processed));
            last = sight;
        }
    }

    #[test]
    fn a_slot_climbs_through_the_levels() {
        let sight = Sight::of(100);
        assert_eq!(sight.level_of(101), None);
        assert_eq!(sight.level_of(100), Some(Level::Processed));
        assert_eq!(sight.level_of(99), Some(Level::Confirmed));
        assert_eq!(sight.level_of(69), Some(Level::Finalized));
    }

    #[test]
    fn finality_may_stand_still_below_a_root() {
        let sight = Sight::of(100).rooted_at_most(Some(60));
        assert_eq!(sight.level_of(60), Some(Level::Finalized));
        assert_eq!(sight.level_of(61), Some(Level::Confirmed));
        // A validator that trails has not even seen the root.
        assert_eq!(Sight::of(80).rooted_at_most(Some(60)).finalized, 49);
    }

    #[test]
    fn a_fork_changes_only_what_is_processed() {
        let (sight, fork) = (Sight::of(100), Line::fork(98));
        let forked = sight.on_fork(fork, 3);
        assert_eq!(forked.processed, 103);
        assert_eq!(forked.moment(Level::Processed).line, fork);
        for level in [Level::Confirmed, Level::Finalized] {
            assert_eq!(forked.moment(level), sight.moment(level));
        }
    }
}
