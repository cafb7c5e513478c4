//! Plausible slots and times of a message, by the stream and the clock. Pure; the time is passed
//! in.

use perijove_core::Slot;
use strum::{IntoStaticStr, VariantNames};

use crate::record::UnixMillis;

/// When the cluster began: 16 March 2020.
const GENESIS: i64 = 1_584_316_800_000;

/// A slot that the cluster had not reached at a time: it was near 381 million on 21 November 2025.
const KNOWN: (u64, i64) = (400_000_000, 1_763_741_000_000);

/// More slots a second than the cluster ever had, or is planned to have.
const FASTEST: i64 = 10;

/// How far a slot may be ahead of the stream besides what passes in its time: ten minutes of slots.
const AHEAD: u64 = 1_500;

/// How much later than its record, or than now, a block may be: clocks differ.
const LATER: i64 = 600_000;

/// How much earlier than its record a block may be: a stream that is filled up after an outage.
const EARLIER: i64 = 7 * 86_400_000;

/// How many of the last records tell where the stream is.
const KEPT: usize = 64;

/// So many records have to be known before they bound the next one.
const ENOUGH: usize = 8;

/// Why a message is implausible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OutOfBounds {
    #[error("slot {slot} is beyond {most}, the latest that the stream and the clock allow")]
    Slot { slot: u64, most: u64 },
    #[error("the time {time} ms since 1970 is outside what the record and the clock allow")]
    Time { time: i64 },
}

impl OutOfBounds {
    /// Every label that there is.
    pub const LABELS: &'static [&'static str] = Self::VARIANTS;

    /// The class of its dead letters.
    pub fn label(&self) -> &'static str {
        self.into()
    }
}

/// The last records. A single odd record does not move it, many do: it follows the median.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Slots and the times of their records.
    recent: Vec<(u64, i64)>,
    next: usize,
    middle: Option<(u64, i64)>,
}

impl Bounds {
    /// Of a stream that was here when its last rows were stored. Counts until there are enough
    /// records.
    pub fn from_place(slot: Slot, time: UnixMillis) -> Self {
        Self {
            middle: Some((slot.0, time.0)),
            ..Self::default()
        }
    }

    /// Whether a message is plausible. `block` is the block's own time, if known; `recorded` is the
    /// time of the record, set by the broker, 0 if unset; `now` is the clock's.
    ///
    /// # Errors
    /// Its slot or one of its times is impossible.
    pub fn check(
        &mut self,
        slot: Slot,
        block: Option<UnixMillis>,
        recorded: UnixMillis,
        now: UnixMillis,
    ) -> Result<(), OutOfBounds> {
        let recorded = Some(recorded.0).filter(|time| *time > 0);
        let (from, until) = match recorded {
            Some(time) => (
                time.saturating_sub(EARLIER),
                time.min(now.0).saturating_add(LATER),
            ),
            None => (GENESIS, now.0.saturating_add(LATER)),
        };
        // A record from the future would stay the newest for ever.
        let times = [
            (recorded, i64::MIN, now.0.saturating_add(LATER)),
            (block.map(|time| time.0), from, until),
        ];
        for (time, from, until) in times {
            if let Some(time) = time.filter(|time| !(from..=until).contains(time)) {
                return Err(OutOfBounds::Time { time });
            }
        }
        let time = recorded.unwrap_or(now.0);
        let most = self.most(time).min(by_clock(now.0));
        self.note(slot.0, time);
        if slot.0 > most {
            return Err(OutOfBounds::Slot { slot: slot.0, most });
        }
        Ok(())
    }

    /// The latest slot of a record of this time, as far as the stream shows.
    fn most(&self, time: i64) -> u64 {
        let Some((slot, then)) = self.middle else {
            return u64::MAX;
        };
        let passed = time.saturating_sub(then).max(0) / 1_000;
        let passed = passed.saturating_mul(FASTEST);
        slot.saturating_add(AHEAD)
            .saturating_add(passed.unsigned_abs())
    }

    fn note(&mut self, slot: u64, time: i64) {
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = (slot, time);
        } else {
            self.recent.push((slot, time));
        }
        self.next = (self.next + 1) % KEPT;
        if self.recent.len() < ENOUGH {
            return;
        }
        let mut sorted = self.recent.clone();
        let middle = sorted.len() / 2;
        self.middle = Some(*sorted.select_nth_unstable(middle).1);
    }
}

/// The latest slot that there can be by now.
pub fn by_clock(now: i64) -> u64 {
    let (slot, then) = KNOWN;
    let passed = now.saturating_sub(then).max(0) / 1_000;
    slot.saturating_add(passed.saturating_mul(FASTEST).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_741_000_000;
    const TIP: u64 = 380_000_000;

    fn check(bounds: &mut Bounds, slot: u64, block: i64, recorded: i64) -> Result<(), OutOfBounds> {
        let block = (block != 0).then_some(UnixMillis(block));
        bounds.check(Slot(slot), block, UnixMillis(recorded), UnixMillis(NOW))
    }

    /// After a minute of the stream.
    fn running() -> Bounds {
        let mut bounds = Bounds::default();
        for number in 0..150_u64 {
            let time = NOW - 60_000 + 400 * number.cast_signed();
            check(&mut bounds, TIP - 150 + number, 0, time).unwrap();
        }
        bounds
    }

    #[test]
    fn a_slot_far_beyond_the_stream_or_the_clock_is_refused_and_changes_nothing() {
        let mut bounds = running();
        for slot in [900_000_000_000, u64::MAX, 1_500_000_000, TIP + 5_000] {
            let refused = check(&mut bounds, slot, 0, NOW).unwrap_err();
            assert_eq!(refused.label(), "slot", "{slot}");
        }
        for slot in [TIP, TIP + 1, TIP - 100_000] {
            check(&mut bounds, slot, 0, NOW).unwrap();
        }
        // Before anything is known, the clock is.
        for slot in [900_000_000_000, 900_000_000] {
            let refused = check(&mut Bounds::default(), slot, 0, NOW);
            assert!(refused.is_err(), "{slot}");
        }
    }

    #[test]
    fn a_stream_begins_where_its_last_rows_were() {
        let day = 86_400_000;
        let begun = || Bounds::from_place(Slot(TIP - 216_000), UnixMillis(NOW - day));
        for (slot, good) in [
            (TIP, true),
            (TIP - 1_000_000, true),
            (TIP + 1_000_000, false),
        ] {
            let found = check(&mut begun(), slot, 0, NOW);
            assert_eq!(found.is_ok(), good, "{slot}: {found:?}");
        }
        // What the database has may be of another stream.
        let mut bounds = Bounds::from_place(Slot(1_000), UnixMillis(NOW - 1));
        let refused = (0..20).filter(|number| check(&mut bounds, TIP + number, 0, NOW).is_err());
        assert_eq!(refused.count(), ENOUGH);
    }

    #[test]
    fn a_stream_that_really_is_elsewhere_is_believed_after_a_while() {
        let mut bounds = running();
        let refused = (0..KEPT as u64)
            .filter(|number| check(&mut bounds, TIP + 1_000_000 + number, 0, NOW).is_err());
        assert!((1..KEPT).contains(&refused.count()));
        check(&mut bounds, TIP + 1_000_100, 0, NOW).unwrap();
    }

    #[test]
    fn after_an_hour_without_a_block_the_next_one_is_believed() {
        let mut bounds = Bounds::default();
        for number in 0..100 {
            check(&mut bounds, TIP + number, 0, NOW - 3_700_000).unwrap();
        }
        check(&mut bounds, TIP + 9_000, 0, NOW - 1).unwrap();
    }

    #[test]
    fn times_in_other_units_are_refused() {
        let seconds = NOW / 1_000;
        for (block, recorded, good) in [
            (NOW, NOW, true),
            (NOW - 3_600_000, NOW, true),
            (0, NOW, true),
            (NOW, 0, true),
            (0, 0, true),
            // Milliseconds or microseconds where seconds are meant, and the reverse.
            (NOW * 1_000, NOW, false),
            (NOW * 1_000, 0, false),
            (seconds, NOW, false),
            (seconds, 0, false),
            (NOW + 700_000, NOW, false),
            (NOW - 8 * 86_400_000, NOW, false),
            (0, NOW * 1_000, false),
            (i64::MAX, NOW, false),
        ] {
            let mut bounds = Bounds::default();
            let found = check(&mut bounds, TIP, block, recorded);
            assert_eq!(found.is_ok(), good, "{block} {recorded}: {found:?}");
        }
    }
}
