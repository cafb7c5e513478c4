//! Writes from the database again what Redis lacks of a lane.

use std::collections::BTreeSet;

use perijove_core::market::Pair;
use perijove_core::redis::{Interval, Progress};

use super::{LaneMirror, get};
use crate::sink::database::{Database, TickQuery};
use crate::sink::market::MarketError;
use crate::sink::market::aggregate::MarketAggregate;

/// How far back Redis is filled if it has nothing of a lane: to the beginning of the hour of this
/// many milliseconds before the newest trade.
const WARM: i64 = 3_600_000;

/// Pairs that are read together, so that memory stays bounded.
const TOGETHER: usize = 64;

impl LaneMirror {
    /// Writes whatever Redis lacks of the lane up to a batch, if anything. For after an outage of
    /// Redis, and for a lane that was just claimed.
    ///
    /// # Errors
    /// Redis or the database failed.
    pub async fn rebuild(&mut self, database: &Database, batch: i64) -> Result<(), MarketError> {
        self.progress = None;
        self.cache.clear();
        self.catch_up(database, batch, batch).await
    }

    /// Whether Redis is known to have everything of the lane up to its last batch.
    pub fn is_in_step(&self) -> bool {
        self.progress.is_some()
    }

    /// Brings Redis up to a batch. `before` is the batch before it, 0 if there is none.
    pub(super) async fn catch_up(
        &mut self,
        database: &Database,
        before: i64,
        batch: i64,
    ) -> Result<(), MarketError> {
        let found: Vec<Option<Vec<u8>>> = self.redis.run(&[get(&self.key)]).await?;
        let found = found.into_iter().flatten().next();
        let found = found.as_deref().and_then(Progress::decode);
        let newest = database.newest().await?.unwrap_or(i64::MIN);
        self.newest = self.newest.max(newest);
        let progress = match found {
            Some(known) if known.batch <= batch => {
                let touched = database.touched(self.lane, known.batch).await?;
                self.recompute(database, &touched, batch).await?;
                Progress { batch, ..known }
            }
            // There was no batch before, so there is nothing that could be missing.
            None if before == 0 => {
                let touched = database.touched(self.lane, 0).await?;
                self.recompute(database, &touched, batch).await?;
                let since = i64::MIN;
                Progress { batch, since }
            }
            // Redis is empty, or filled from another database or an earlier state of this one.
            None | Some(_) => {
                let since = Interval::Hour.start(self.newest.saturating_sub(WARM));
                let pairs = database.traded(self.lane, since).await?;
                let pairs: Vec<_> = pairs.into_iter().map(|pair| (pair, since)).collect();
                self.recompute(database, &pairs, batch).await?;
                Progress { batch, since }
            }
        };
        self.advance(progress).await
    }

    /// Writes the lane's pairs, from the hour of a time on and up to a batch.
    pub(super) async fn recompute(
        &mut self,
        database: &Database,
        pairs: &[(Pair, i64)],
        batch: i64,
    ) -> Result<(), MarketError> {
        for pairs in pairs.chunks(TOGETHER) {
            let Some(from) = pairs.iter().map(|(_, time)| *time).min() else {
                continue;
            };
            let pairs: BTreeSet<Pair> = pairs.iter().map(|(pair, _)| *pair).collect();
            let pairs: Vec<Pair> = pairs.into_iter().collect();
            let ticks = TickQuery {
                lane: Some(self.lane),
                pairs: &pairs,
                from: Interval::Hour.start(from),
            };
            let mut aggregate = MarketAggregate::default();
            let each = |stored: crate::sink::database::StoredTick| {
                if stored.batch <= batch {
                    aggregate.add(&stored.tick);
                }
            };
            database.ticks(&ticks, each).await?;
            self.write(&mut aggregate, batch).await?;
        }
        Ok(())
    }
}
