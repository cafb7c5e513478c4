//! Keeps Redis in step with one lane of the database.

mod rebuild;

use std::collections::BTreeMap;

use perijove_core::market::Pair;
use perijove_core::redis::{Field, Interval, LANE_LIFETIME, PairKeys, Part, Progress, lane};
use redis::Cmd;

use crate::record::UnixMillis;
use crate::sink::database::{Committed, Database, Lane};
use crate::sink::market::MarketError;
use crate::sink::market::aggregate::MarketAggregate;
use crate::sink::market::candle_cache::{CandleCache, CandleKey};
use crate::sink::market::commands::MarketCommands;
use crate::sink::market::connection::RedisConnection;

/// How a batch came to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// From memory.
    Live,
    /// Rebuilt from the database, with everything else that Redis lacked of the lane.
    Rebuilt,
}

/// Writes the market data of one lane.
#[derive(Debug)]
pub struct LaneMirror {
    redis: RedisConnection,
    /// The current time.
    clock: fn() -> UnixMillis,
    lane: i32,
    key: String,
    /// What Redis has of the lane; `None` if that is unknown.
    progress: Option<Progress>,
    cache: CandleCache,
    /// The time of the newest trade there was.
    newest: i64,
}

impl LaneMirror {
    pub fn new(redis: RedisConnection, of: &Lane, clock: fn() -> UnixMillis) -> Self {
        Self {
            redis,
            clock,
            lane: of.id,
            key: lane(&of.group, &of.topic, of.partition),
            progress: None,
            cache: CandleCache::default(),
            newest: i64::MIN,
        }
    }

    /// Writes the aggregates of a batch, and before that whatever Redis lacks of the lane.
    ///
    /// # Errors
    /// Redis or the database failed. Then it has to be called again, or [`rebuild`](Self::rebuild),
    /// until one of them succeeds; batches in between may be skipped.
    pub async fn apply(
        &mut self,
        database: &Database,
        committed: &Committed,
    ) -> Result<Applied, MarketError> {
        let applied = self.try_apply(database, committed).await;
        if applied.is_err() {
            self.progress = None;
            self.cache.clear();
        }
        applied
    }

    async fn try_apply(
        &mut self,
        database: &Database,
        committed: &Committed,
    ) -> Result<Applied, MarketError> {
        let in_step = self
            .progress
            .filter(|known| known.batch == committed.previous);
        let Some(progress) = in_step else {
            self.catch_up(database, committed.previous, committed.batch)
                .await?;
            return Ok(Applied::Rebuilt);
        };
        let mut aggregate = MarketAggregate::of(&committed.ticks);
        let Some(late) = self.complete(&mut aggregate, progress).await? else {
            // Redis has lost something, or another process has written.
            self.cache.clear();
            self.catch_up(database, committed.previous, committed.batch)
                .await?;
            return Ok(Applied::Rebuilt);
        };
        let times = committed.ticks.iter().map(|tick| tick.time);
        self.newest = times.fold(self.newest, i64::max);
        self.write(&mut aggregate, committed.batch).await?;
        self.recompute(database, &late, committed.batch).await?;
        self.advance(Progress {
            batch: committed.batch,
            ..progress
        })
        .await?;
        let announcements = MarketCommands::announcements(&aggregate);
        self.redis.run::<redis::Value>(&announcements).await?;
        self.cache.shrink(self.newest);
        Ok(Applied::Live)
    }

    /// Adds to the candles what the lane knew of them before. Candles that need the database are
    /// removed; their pairs are returned with the time from which on they have to be read. `None`
    /// if Redis lacks something.
    async fn complete(
        &mut self,
        aggregate: &mut MarketAggregate,
        progress: Progress,
    ) -> Result<Option<Vec<(Pair, i64)>>, MarketError> {
        let mut asked: Vec<CandleKey> = Vec::new();
        let mut late = BTreeMap::new();
        for (pair, folded) in &mut aggregate.pairs {
            folded.candles.retain(|&(interval, start), candle| {
                let which = (*pair, interval, start);
                if let Some(known) = self.cache.get(&which) {
                    *candle = candle.with(known);
                } else if start < progress.since || self.is_late(interval, start) {
                    let from = Interval::Hour.start(start);
                    let known = late.entry(*pair).or_insert(from);
                    *known = from.min(*known);
                    return false;
                } else {
                    asked.push(which);
                }
                true
            });
        }
        let mut commands = vec![get(&self.key)];
        commands.extend(asked.iter().map(|which| self.ask(which)));
        let answers: Vec<Option<Vec<u8>>> = self.redis.run(&commands).await?;
        let mut answers = answers.into_iter();
        let found = answers.next().flatten();
        if found.as_deref().and_then(Progress::decode) != Some(progress) {
            return Ok(None);
        }
        for ((pair, interval, start), answer) in asked.into_iter().zip(answers) {
            let part = answer.as_deref().and_then(Part::decode);
            let folded = aggregate.pairs.get_mut(&pair);
            let candle = folded.and_then(|folded| folded.candles.get_mut(&(interval, start)));
            if let (Some(part), Some(candle)) = (part, candle) {
                *candle = candle.with(part.candle);
            }
        }
        Ok(Some(late.into_iter().collect()))
    }

    /// Whether the candle may have expired in Redis already.
    fn is_late(&self, interval: Interval, start: i64) -> bool {
        let lifetime = i64::try_from(interval.lifetime().as_millis()).unwrap_or(i64::MAX);
        start < self.newest.saturating_sub(lifetime / 3)
    }

    fn ask(&self, &(pair, interval, start): &CandleKey) -> Cmd {
        let key = PairKeys::of(pair).candles(interval, interval.group(start));
        let field = Field {
            start,
            lane: self.lane,
        };
        let mut command = redis::cmd("HGET");
        command.arg(key).arg(field.encode(interval));
        command
    }

    /// Writes all of it that Redis may still have, and remembers the candles, which must be complete.
    async fn write(
        &mut self,
        aggregate: &mut MarketAggregate,
        batch: i64,
    ) -> Result<(), MarketError> {
        aggregate.leave_out_expired(self.newest);
        let commands = MarketCommands {
            scripts: self.redis.scripts(),
            lane: self.lane,
            batch,
            now: (self.clock)(),
        };
        let commands = commands.commands(aggregate);
        self.redis.run::<redis::Value>(&commands).await?;
        for (pair, folded) in &aggregate.pairs {
            for (&(interval, start), candle) in &folded.candles {
                self.cache.put((*pair, interval, start), *candle);
            }
        }
        Ok(())
    }

    /// Stores the progress in Redis, after everything else of a batch.
    async fn advance(&mut self, progress: Progress) -> Result<(), MarketError> {
        let mut command = RedisConnection::call(&self.redis.scripts().lane, &[&self.key]);
        command
            .arg(progress.batch)
            .arg(progress.encode())
            .arg(LANE_LIFETIME.as_millis());
        self.redis.run::<redis::Value>(&[command]).await?;
        self.progress = Some(progress);
        Ok(())
    }
}

fn get(key: &str) -> Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}
