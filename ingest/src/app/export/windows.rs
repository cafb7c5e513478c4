//! The spans of time that an export reads, one after the other: short where there are many trades, long
//! where there are few. How many there are is asked before they are read, since a quiet stretch says
//! nothing of the next.

use std::ops::Range;

/// The first span and the longest, in milliseconds.
const FIRST: i64 = 60_000;
const LONGEST: i64 = 6 * 3_600_000;

/// After a span with fewer rows the next one is twice as long.
const FEW: u64 = 20_000;

/// Rows that may be in memory at once, of about a kilobyte each.
pub(super) const MOST: u64 = 100_000;

/// What is left to be read.
#[derive(Debug)]
pub(super) struct Windows {
    start: i64,
    to: i64,
    step: i64,
}

impl Windows {
    pub(super) const fn new(from: i64, to: i64) -> Self {
        Self {
            start: from,
            to,
            step: FIRST,
        }
    }

    /// The next span, in milliseconds since 1970; none at the end.
    pub(super) fn next(&self) -> Option<Range<i64>> {
        let end = self.start.saturating_add(self.step).min(self.to);
        (self.start < self.to).then_some(self.start..end)
    }

    /// There is too much in it; the next one begins at the same time. Whether that is possible: a
    /// millisecond is not divided.
    pub(super) fn divide(&mut self) -> bool {
        let length = self.step.min(self.to.saturating_sub(self.start));
        self.step = (length / 2).max(1);
        length > 1
    }

    /// It was read, and had so many rows.
    pub(super) fn done(&mut self, rows: u64) {
        self.start = self.start.saturating_add(self.step).min(self.to);
        if rows < FEW {
            self.step = self.step.saturating_mul(2).min(LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// What is read of a stream with so many rows a second from a time on: all spans with their rows.
    fn read(begin: i64, end: i64, per_second: i64) -> Vec<(Range<i64>, u64)> {
        let mut windows = Windows::new(0, end);
        let mut read = Vec::new();
        while let Some(window) = windows.next() {
            let rows = (window.end.max(begin) - window.start.max(begin)) * per_second / 1_000;
            let rows = rows.unsigned_abs();
            if rows > MOST && windows.divide() {
                continue;
            }
            windows.done(rows);
            read.push((window, rows));
        }
        read
    }

    #[test]
    fn a_quiet_stretch_does_not_make_the_next_one_too_long() {
        let (begin, end) = (48 * HOUR, 50 * HOUR);
        let read = read(begin, end, 3_000);
        assert!(read.iter().all(|(_, rows)| *rows <= MOST));
        // Quickly through what is empty, and neither gaps nor repetitions.
        let quiet = read.iter().filter(|(window, _)| window.end <= begin);
        assert!(quiet.count() < 60);
        let mut next = 0;
        for (window, _) in &read {
            assert_eq!(window.start, next);
            next = window.end;
        }
        assert_eq!(next, end);
    }

    #[test]
    fn a_millisecond_is_read_whatever_it_has() {
        let read = read(0, 3, 1_000_000_000);
        let lengths = read.iter().map(|(window, _)| window.end - window.start);
        assert_eq!(lengths.collect::<Vec<_>>(), [1, 1, 1]);
    }
}
