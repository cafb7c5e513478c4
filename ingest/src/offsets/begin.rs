//! Where reading a partition begins.

use std::ops::Range;

use crate::config::{Reset, Start};
use crate::position::{RecordMark, StoredPosition};

/// What a broker has of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The oldest record there is, or `high`.
    pub low: i64,
    /// The next record to come.
    pub high: i64,
}

/// Where reading begins, and what is missing before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPosition {
    pub offset: i64,
    /// Records that should have been read and cannot be. It starts above its end if the partition
    /// has become shorter or is another one, as after being recreated: then it is unknown what is
    /// missing.
    pub gap: Option<Range<i64>>,
    /// The record to be fetched before `offset`, to see whether the partition is still the same.
    pub known: Option<RecordMark>,
}

impl StartPosition {
    /// The first record to fetch.
    pub fn first(&self) -> i64 {
        self.known.map_or(self.offset, |known| known.offset)
    }
}

/// Where to begin. `stored` is where reading resumes, None for a partition never read before;
/// `timed` is the first record that is not older than [`Start::Ago`] asks for, None if there is
/// none.
pub fn begin(
    stored: Option<StoredPosition>,
    bounds: Watermarks,
    timed: Option<i64>,
    start: Start,
    reset: Reset,
) -> StartPosition {
    let low = bounds.low;
    // The ends are asked for one after the other, and records expire in between.
    let high = bounds.high.max(low);
    let Some(stored) = stored else {
        let offset = match start {
            Start::Latest => high,
            Start::Earliest => low,
            Start::Ago(_) => timed.unwrap_or(high).clamp(low, high),
        };
        return StartPosition {
            offset,
            gap: None,
            known: None,
        };
    };
    let next = stored.next;
    if (low..=high).contains(&next) && !stored.replaced {
        let known = stored
            .last
            .filter(|last| (low..next).contains(&last.offset));
        return StartPosition {
            offset: next,
            gap: None,
            known,
        };
    }
    let (offset, gap) = match reset {
        // Of the new one nothing was read.
        Reset::Latest if stored.replaced => (high, low..high),
        Reset::Latest => (high, next..high),
        Reset::Earliest => (low, next..low),
    };
    StartPosition {
        offset,
        gap: Some(gap),
        known: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: Watermarks = Watermarks { low: 10, high: 20 };

    fn stored(next: i64) -> StoredPosition {
        StoredPosition::new(next, None)
    }

    fn at(next: Option<i64>, start: Start, reset: Reset) -> (i64, Option<Range<i64>>) {
        let begin = begin(next.map(stored), BOUNDS, Some(15), start, reset);
        (begin.offset, begin.gap)
    }

    #[test]
    fn a_partition_never_read_begins_where_the_settings_say() {
        for (start, offset) in [
            (Start::Latest, 20),
            (Start::Earliest, 10),
            (Start::Ago(Duration::from_mins(30)), 15),
        ] {
            assert_eq!(at(None, start, Reset::Latest), (offset, None), "{start:?}");
        }
    }

    #[test]
    fn a_time_of_which_there_is_no_record_is_brought_within_bounds() {
        let ago = Start::Ago(Duration::from_mins(30));
        for (timed, offset) in [(None, 20), (Some(3), 10), (Some(40), 20)] {
            let begin = begin(None, BOUNDS, timed, ago, Reset::Earliest);
            assert_eq!(begin.offset, offset, "{timed:?}");
        }
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        for stored in [10, 17, 20] {
            assert_eq!(
                at(Some(stored), Start::Latest, Reset::Latest),
                (stored, None)
            );
        }
    }

    #[test]
    fn bounds_that_were_asked_one_after_the_other_may_cross() {
        let crossed = Watermarks { low: 30, high: 20 };
        let ago = Start::Ago(Duration::from_mins(30));
        for (next, start, reset) in [
            (None, ago, Reset::Latest),
            (None, Start::Latest, Reset::Latest),
            (Some(25), Start::Latest, Reset::Latest),
            (Some(25), Start::Latest, Reset::Earliest),
        ] {
            let begin = begin(next.map(stored), crossed, Some(15), start, reset);
            assert_eq!(begin.offset, 30, "{next:?}");
        }
    }

    #[test]
    fn what_the_broker_has_no_more_is_a_gap() {
        assert_eq!(
            at(Some(4), Start::Latest, Reset::Earliest),
            (10, Some(4..10))
        );
        assert_eq!(at(Some(4), Start::Latest, Reset::Latest), (20, Some(4..20)));
    }

    #[test]
    fn a_partition_shorter_than_it_was_is_read_anew() {
        let (offset, gap) = at(Some(90), Start::Latest, Reset::Earliest);
        assert_eq!(
            (offset, gap.map(|gap| (gap.start, gap.end))),
            (10, Some((90, 10)))
        );
    }

    #[test]
    fn the_last_record_is_read_again_where_it_is_still_there() {
        for (last, first) in [(None, 15), (Some(14), 14), (Some(10), 10), (Some(9), 15)] {
            let last = last.map(|offset| RecordMark {
                offset,
                checksum: 7,
            });
            let stored = StoredPosition::new(15, last);
            let begin = begin(Some(stored), BOUNDS, None, Start::Latest, Reset::Latest);
            assert_eq!((begin.offset, begin.first()), (15, first), "{last:?}");
            assert_eq!(begin.gap, None);
        }
    }

    #[test]
    fn another_partition_is_read_anew_although_it_has_the_offset() {
        for (reset, offset, gap) in [
            (Reset::Earliest, 10, (15, 10)),
            (Reset::Latest, 20, (10, 20)),
        ] {
            let stored = StoredPosition {
                replaced: true,
                ..stored(15)
            };
            let begin = begin(Some(stored), BOUNDS, None, Start::Latest, reset);
            assert_eq!((begin.offset, begin.first()), (offset, offset));
            assert_eq!(begin.gap.map(|gap| (gap.start, gap.end)), Some(gap));
        }
    }
}
