//! What has happened since a socket last looked: every block that a node has processed, seen
//! confirmed and seen finalized, one by one and in order, however far it has jumped.

use crate::sandbox::chain::{Line, Moment};
use crate::sandbox::sight::{Level, Sight};

/// Most slots that are delivered one by one. A socket that missed more gets the last of them.
const MOST: u64 = 5_000;

/// A block that reached a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    pub level: Level,
    pub moment: Moment,
    /// The slot of the block before it.
    pub parent: u64,
    /// The finalized slot at that time.
    pub root: u64,
}

/// Up to which slot a socket has been served.
#[derive(Debug)]
pub(super) struct Cursor {
    told: Sight,
}

impl Cursor {
    pub(super) fn new(sight: Sight) -> Self {
        Self { told: sight }
    }

    /// Up to which slot it has been served at a commitment.
    pub(super) fn at(&self, level: Level) -> u64 {
        self.told.at(level)
    }

    /// What came about until this sight.
    pub(super) fn advance(&mut self, now: Sight) -> Vec<Event> {
        let mut events = Vec::new();
        self.change_line(now.line);
        for level in Level::ALL {
            let least = now.at(level).saturating_sub(MOST);
            self.set(level, self.told.at(level).max(least));
        }
        while self.told.processed < now.processed {
            let slot = self.told.processed + 1;
            self.told.processed = slot;
            self.tell(&mut events, Level::Processed, slot);
            // What a validator that has come as far as this sees of the rest.
            let then = Sight::of(slot);
            for level in [Level::Confirmed, Level::Finalized] {
                self.climb(&mut events, level, then.at(level).min(now.at(level)));
            }
        }
        for level in [Level::Confirmed, Level::Finalized] {
            self.climb(&mut events, level, now.at(level));
        }
        events
    }

    fn climb(&mut self, events: &mut Vec<Event>, level: Level, to: u64) {
        while self.told.at(level) < to {
            let slot = self.told.at(level) + 1;
            self.set(level, slot);
            self.tell(events, level, slot);
        }
    }

    fn tell(&self, events: &mut Vec<Event>, level: Level, slot: u64) {
        let line = match level {
            Level::Processed => self.told.line,
            _ => Line::MAIN,
        };
        if line.skipped(slot) {
            return;
        }
        events.push(Event {
            level,
            moment: Moment { slot, line },
            parent: line.block_at_or_before(slot.saturating_sub(1)),
            root: self.told.finalized,
        });
    }

    /// On another fork, what it processed is delivered again from where the two forks part.
    fn change_line(&mut self, line: Line) {
        if line == self.told.line {
            return;
        }
        for parted in [line, self.told.line]
            .into_iter()
            .filter_map(Line::left_after)
        {
            self.told.processed = self.told.processed.min(parted);
        }
        self.told.line = line;
    }

    fn set(&mut self, level: Level, slot: u64) {
        match level {
            Level::Processed => self.told.processed = slot,
            Level::Confirmed => self.told.confirmed = slot,
            Level::Finalized => self.told.finalized = slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::chain::skipped;

    fn slots(events: &[Event], level: Level) -> Vec<u64> {
        let of_level = events.iter().filter(|event| event.level == level);
        of_level.map(|event| event.moment.slot).collect()
    }

    #[test]
    fn every_block_is_told_once_at_every_level_however_large_the_steps() {
        let mut small = Cursor::new(Sight::of(1_000));
        let steps: Vec<_> = (1_001..=1_300)
            .flat_map(|slot| small.advance(Sight::of(slot)))
            .collect();
        let mut large = Cursor::new(Sight::of(1_000));
        assert_eq!(large.advance(Sight::of(1_300)), steps);
        let blocks = |from, to| {
            (from..=to)
                .filter(|slot| !skipped(*slot))
                .collect::<Vec<_>>()
        };
        assert_eq!(slots(&steps, Level::Processed), blocks(1_001, 1_300));
        assert_eq!(slots(&steps, Level::Confirmed), blocks(1_000, 1_299));
        assert_eq!(slots(&steps, Level::Finalized), blocks(970, 1_269));
        assert!(large.advance(Sight::of(1_300)).is_empty());
    }

    #[test]
    fn a_node_that_falls_back_tells_nothing_until_it_is_where_it_was() {
        let mut cursor = Cursor::new(Sight::of(1_010));
        assert!(cursor.advance(Sight::of(950)).is_empty());
        assert_eq!(
            slots(&cursor.advance(Sight::of(1_011)), Level::Processed),
            [1_011]
        );
    }

    #[test]
    fn finality_that_was_held_back_catches_up() {
        let mut cursor = Cursor::new(Sight::of(1_000));
        let held = cursor.advance(Sight::of(1_004).rooted_at_most(Some(969)));
        assert!(slots(&held, Level::Finalized).is_empty());
        assert_eq!(
            slots(&cursor.advance(Sight::of(1_004)), Level::Finalized),
            [970, 971, 972, 973]
        );
    }

    #[test]
    fn a_fork_is_told_from_where_it_leaves_and_again_when_it_ends() {
        let mut cursor = Cursor::new(Sight::of(1_004));
        let forked = Sight::of(1_006).on_fork(Line::fork(1_003), 1);
        assert_eq!(
            slots(&cursor.advance(forked), Level::Processed),
            [1_004, 1_005, 1_006, 1_007]
        );
        let back = cursor.advance(Sight::of(1_006));
        assert_eq!(slots(&back, Level::Processed), [1_004, 1_005, 1_006]);
        assert!(slots(&back, Level::Confirmed).is_empty());
    }
}
