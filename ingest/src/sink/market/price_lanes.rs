//! Which batches of which lanes prices are made of. Pure.
//!
//! A process receives the trades of its own lanes as it stores them, and reads those of all others
//! from the database: prices made of a part of the trades would take a wash trade whose halves lie
//! in two partitions for two honest ones.

use std::collections::HashMap;

/// What is known of all lanes.
#[derive(Debug, Default)]
pub(super) struct PriceLanes {
    lanes: HashMap<i32, LaneView>,
    missing: Vec<MissingBatches>,
}

#[derive(Clone, Copy, Debug)]
struct LaneView {
    /// Everything up to this batch is there, or among what is missing.
    seen: i64,
    /// The last batch that the database had, when it was last asked.
    reported: i64,
}

/// Batches of a lane that have to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MissingBatches {
    pub(super) lane: i32,
    /// The last batch before them.
    pub(super) after: i64,
    /// The last of them.
    pub(super) until: i64,
}

impl MissingBatches {
    pub(super) const fn contains(&self, lane: i32, batch: i64) -> bool {
        self.lane == lane && self.after < batch && batch <= self.until
    }
}

impl PriceLanes {
    /// A batch has been stored here. Whether its trades are to be added; otherwise they are being
    /// read. A `previous` beyond the batch means that its trades are unknown.
    pub(super) fn arrived(&mut self, lane: i32, previous: i64, batch: i64) -> bool {
        let view = self.lanes.entry(lane).or_insert(LaneView {
            seen: 0,
            reported: 0,
        });
        if batch <= view.seen {
            return false;
        }
        let until = if previous < batch { previous } else { batch };
        if until > view.seen {
            self.missing.push(MissingBatches {
                lane,
                after: view.seen,
                until,
            });
        }
        view.seen = batch;
        true
    }

    /// What has to be read, of these last batches that the database has. Batches up to `oldest` are
    /// of no more use. A lane is left to the process itself if what the database had of it at the
    /// last report has arrived since.
    pub(super) fn report(&mut self, batches: &[(i32, i64)], oldest: i64) -> Vec<MissingBatches> {
        for &(lane, batch) in batches {
            let view = self.lanes.entry(lane).or_insert(LaneView {
                seen: 0,
                reported: batch,
            });
            if view.reported > view.seen {
                self.missing.push(MissingBatches {
                    lane,
                    after: view.seen,
                    until: view.reported,
                });
                view.seen = view.reported;
            }
            view.reported = batch;
        }
        for missing in &mut self.missing {
            missing.after = missing.after.max(oldest);
        }
        self.missing.retain(|missing| missing.until > missing.after);
        self.missing.clone()
    }

    /// These have been read.
    pub(super) fn read(&mut self, done: &[MissingBatches]) {
        self.missing.retain(|missing| {
            !done
                .iter()
                .any(|done| (done.lane, done.until) == (missing.lane, missing.until))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(lane: i32, after: i64, until: i64) -> MissingBatches {
        MissingBatches { lane, after, until }
    }

    #[test]
    fn a_new_process_reads_what_there_is_and_then_what_others_store() {
        let mut lanes = PriceLanes::default();
        let asked = lanes.report(&[(1, 500), (2, 700), (3, 20)], 100);
        assert_eq!(asked, [missing(1, 100, 500), missing(2, 100, 700)]);
        // It failed, so it is asked for again.
        assert_eq!(lanes.report(&[(1, 500), (2, 700)], 100), asked);
        lanes.read(&asked);
        // Its own lane goes on; the other one is stored elsewhere.
        assert!(lanes.arrived(1, 500, 510));
        assert_eq!(lanes.report(&[(1, 520), (2, 720)], 100), []);
        assert!(lanes.arrived(1, 510, 520));
        assert_eq!(
            lanes.report(&[(1, 520), (2, 730)], 100),
            [missing(2, 700, 720)]
        );
    }

    #[test]
    fn what_has_been_read_is_not_added_again() {
        let mut lanes = PriceLanes::default();
        let asked = lanes.report(&[(1, 500)], 0);
        lanes.read(&asked);
        assert_eq!(lanes.report(&[(1, 510)], 0), []);
        assert_eq!(lanes.report(&[(1, 510)], 0), [missing(1, 500, 510)]);
        assert!(!lanes.arrived(1, 500, 510));
        assert!(lanes.arrived(1, 510, 511));
    }

    #[test]
    fn what_lies_between_and_what_is_unknown_is_read() {
        let mut lanes = PriceLanes::default();
        // Claimed before anything was reported.
        assert!(lanes.arrived(1, 500, 510));
        assert!(lanes.arrived(1, 520, 530));
        assert!(lanes.arrived(1, i64::MAX, 540));
        let asked = lanes.report(&[(1, 540)], 400);
        let expected = [
            missing(1, 400, 500),
            missing(1, 510, 520),
            missing(1, 530, 540),
        ];
        assert_eq!(asked, expected);
        lanes.read(&asked);
        assert_eq!(lanes.report(&[(1, 540)], 400), []);
    }
}
