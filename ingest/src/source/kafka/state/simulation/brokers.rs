//! The brokers: what they answer.

use super::World;
use crate::config::{Reset, Start as StartAt};
use crate::offsets::{StartPosition, Watermarks, begin};
use crate::position::StoredPosition;
use crate::record::Partition;
use crate::source::kafka::state::input::{Input, Start};

impl World {
    pub(super) fn find_starts(&self, asked: Vec<(Partition, Option<StoredPosition>)>) -> Input {
        let starts = asked.into_iter().map(|(partition, stored)| Start {
            begin: (!self.leaderless.contains(&partition)).then(|| self.begin(&partition, stored)),
            partition,
            stored,
        });
        Input::StartsFound {
            starts: starts.take(self.answers()).collect(),
            complete: self.brokers,
        }
    }

    pub(super) fn check_positions(&self, asked: Vec<(Partition, StoredPosition)>) -> Input {
        let begins = asked.into_iter().map(|(partition, position)| {
            let begin = self.begin(&partition, Some(position));
            (partition, begin)
        });
        Input::PositionsChecked {
            begins: begins.take(self.answers()).collect(),
            complete: self.brokers,
        }
    }

    /// While a broker is down its records are missing, and everything after them.
    const fn answers(&self) -> usize {
        if self.brokers { usize::MAX } else { 1 }
    }

    fn begin(&self, partition: &Partition, stored: Option<StoredPosition>) -> StartPosition {
        let log = self.logs.get(partition).expect("it exists");
        let bounds = Watermarks {
            low: log.start,
            high: log.end,
        };
        begin(stored, bounds, None, StartAt::Earliest, Reset::Earliest)
    }
}
