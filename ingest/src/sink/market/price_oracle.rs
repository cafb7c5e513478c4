//! Prices of tokens, from all trades that the database gets, published to Redis by one process.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_core::Pubkey;
use perijove_core::redis::{Dollars, LATEST_LIFETIME, Stamp, price, price_writer, seal};
use redis::Cmd;
use scopeguard::{ScopeGuard, guard};

use crate::oracle::{Estimate, IgnoredTrades, Leg, Observation, Oracle};
use crate::record::UnixMillis;
use crate::sink::database::{Committed, Database, StoredTick};
use crate::sink::market::MarketError;
use crate::sink::market::connection::{RedisConnection, Scripts};
use crate::sink::market::price_lanes::PriceLanes;
use crate::sink::tick::Tick;

/// How far back batches are read from the database by a process that was just started, in
/// milliseconds.
const WARM: i64 = 120_000;

/// Tokens whose decimals are looked up at once.
const UNSURE: usize = 64;

/// Trades added at once. In between, storing new ones may go on.
const AT_ONCE: usize = 1_000;

/// Without a look at the other lanes for so many milliseconds, nothing is published.
const BLIND: i64 = 10_000;

/// Milliseconds for which a process remains the writer of prices, unless it asks again.
const LEASE: u64 = 3_000;

/// The one oracle of a process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PriceOracle(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    oracle: Oracle,
    lanes: PriceLanes,
    /// Trades that have been read from the database and not been added yet.
    read: VecDeque<Observation>,
    /// When everything that others had stored was last read.
    followed: i64,
    /// By which Redis knows the process.
    writer: String,
    /// Whether it was the writer when it last asked.
    writes: bool,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            oracle: Oracle::default(),
            lanes: PriceLanes::default(),
            read: VecDeque::new(),
            followed: i64::MIN,
            writer: format!("{:016x}", fastrand::u64(..)),
            writes: false,
        }
    }
}

impl Inner {
    fn add(&mut self, trades: impl Iterator<Item = Observation>, now: UnixMillis) {
        for trade in trades {
            self.oracle.add(&trade, now.0);
        }
    }

    /// Adds some of what has been read. Whether that was all.
    fn add_read(&mut self, now: UnixMillis) -> bool {
        let some = self.read.len().min(AT_ONCE);
        let trades: Vec<Observation> = self.read.drain(..some).collect();
        self.add(trades.into_iter(), now);
        self.read.is_empty()
    }
}

/// What came of reading what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Everything is taken into account.
    All,
    /// More tokens have come up than are looked up at once.
    TokensLeft,
}

/// What came of publishing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Whether this process writes the prices; otherwise another does, or it cannot see all trades.
    pub writes: bool,
    /// How many prices Redis took.
    pub prices: u64,
}

impl PriceOracle {
    /// Adds trades that have just been stored.
    pub fn add(&self, lane: i32, committed: &Committed, now: UnixMillis) {
        let mut inner = self.0.lock();
        let Committed {
            previous, batch, ..
        } = *committed;
        if inner.lanes.arrived(lane, previous, batch) {
            inner.add(committed.ticks.iter().map(observation), now);
        }
    }

    /// Reads what other processes have stored, and what was stored before this one was started.
    /// Cancel safe: the next call goes on where this one was left.
    ///
    /// # Errors
    /// The database failed. It is read the next time.
    pub async fn follow(&self, database: &Database, now: UnixMillis) -> Result<Seen, MarketError> {
        let batches = database.last_batches().await?;
        let oldest = now.0.saturating_sub(WARM);
        let missing = self.0.lock().lanes.report(&batches, oldest);
        if let Some(after) = missing.iter().map(|missing| missing.after).min() {
            let mut lanes: Vec<i32> = missing.iter().map(|missing| missing.lane).collect();
            lanes.sort_unstable();
            lanes.dedup();
            let mut trades = Vec::new();
            let each = |stored: StoredTick| {
                let mut missing = missing.iter();
                if missing.any(|missing| missing.contains(stored.lane, stored.batch)) {
                    trades.push(observation(&stored.tick));
                }
            };
            database.ticks_after(after, &lanes, each).await?;
            trades.sort_unstable_by_key(|trade| trade.position);
            let mut inner = self.0.lock();
            inner.lanes.read(&missing);
            inner.read.extend(trades);
        }
        self.add_read(now).await;
        let seen = self.learn_decimals(database).await?;
        self.0.lock().followed = now.0;
        Ok(seen)
    }

    /// Adds what has been read.
    async fn add_read(&self, now: UnixMillis) {
        while !self.0.lock().add_read(now) {
            tokio::task::yield_now().await;
        }
    }

    /// Looks up what was stored of tokens that have come up for the first time since the start, so that a
    /// rare one does not have to be traded in several slots again before its price is told.
    async fn learn_decimals(&self, database: &Database) -> Result<Seen, MarketError> {
        let unsure = self.0.lock().oracle.take_unsure(UNSURE);
        if unsure.is_empty() {
            return Ok(Seen::All);
        }
        let seen = if unsure.len() < UNSURE {
            Seen::All
        } else {
            Seen::TokensLeft
        };
        let unsure = guard(unsure, |mints| self.0.lock().oracle.mark_unsure(mints));
        let mut stored = database.decimals(&unsure).await?;
        ScopeGuard::into_inner(unsure);
        stored.sort_unstable();
        for said in stored.chunk_by(|one, other| one.0 == other.0) {
            if let Some((mint, ..)) = said.first() {
                let slots: Vec<(u64, u8)> = said.iter().map(|one| (one.1, one.2)).collect();
                self.0.lock().oracle.learn_decimals(*mint, &slots);
            }
        }
        Ok(seen)
    }

    /// Writes the prices that have changed, if this process is the one that writes them. Those that
    /// fail are written with the next ones. Cancel safe: so are those of a call that was dropped.
    ///
    /// # Errors
    /// Redis does not accept them.
    pub async fn publish(
        &self,
        redis: &mut RedisConnection,
        now: UnixMillis,
    ) -> Result<Published, MarketError> {
        let writer = {
            let mut inner = self.0.lock();
            if inner.followed < now.0.saturating_sub(BLIND) {
                inner.writes = false;
                return Ok(Published::default());
            }
            inner.writer.clone()
        };
        let writes = self.ask(redis, &writer, LEASE).await?;
        let estimates = {
            let mut inner = self.0.lock();
            if writes && !std::mem::replace(&mut inner.writes, writes) {
                inner.oracle.republish_all();
            }
            inner.writes = writes;
            inner.oracle.estimates()
        };
        if !writes {
            return Ok(Published::default());
        }
        let scripts = redis.scripts();
        let commands: Vec<Cmd> = estimates
            .iter()
            .map(|(mint, estimate)| write(scripts, *mint, estimate, &writer, now))
            .collect();
        let unpublished = guard(estimates, |estimates| {
            let mints = estimates.into_iter().map(|(mint, _)| mint);
            self.0.lock().oracle.mark_changed(mints);
        });
        let prices = redis.run::<u64>(&commands).await?.iter().sum();
        ScopeGuard::into_inner(unpublished);
        Ok(Published { writes, prices })
    }

    /// Leaves the writing of prices to others, if it was this process that did it.
    ///
    /// # Errors
    /// Redis failed. They wait for the lease to end.
    pub async fn resign(&self, redis: &mut RedisConnection) -> Result<(), MarketError> {
        let writer = self.0.lock().writer.clone();
        self.ask(redis, &writer, 0).await?;
        Ok(())
    }

    /// Asks to be the writer for so many milliseconds. Whether it is.
    async fn ask(
        &self,
        redis: &mut RedisConnection,
        writer: &str,
        lease: u64,
    ) -> Result<bool, MarketError> {
        let key = price_writer();
        let mut command = RedisConnection::call(&redis.scripts().price_writer, &[&key]);
        command.arg(writer).arg(lease);
        Ok(redis.run::<u64>(&[command]).await? == [1])
    }

    /// Writes all prices again: Redis has lost something.
    pub fn republish_all(&self) {
        self.0.lock().oracle.republish_all();
    }

    /// Trades ignored so far.
    pub fn ignored(&self) -> IgnoredTrades {
        self.0.lock().oracle.ignored
    }
}

fn observation(tick: &Tick) -> Observation {
    let leg = |mint, amount: perijove_core::market::Amount| Leg {
        mint,
        raw: amount.raw,
        decimals: amount.decimals,
    };
    Observation {
        position: tick.position,
        time: tick.time,
        pool: tick.pool,
        base: leg(tick.pair.base, tick.base),
        quote: leg(tick.pair.quote, tick.quote),
        base_bought: tick.buy,
    }
}

fn write(
    scripts: &Scripts,
    mint: Pubkey,
    estimate: &Estimate,
    writer: &str,
    now: UnixMillis,
) -> Cmd {
    let key = price(mint);
    let stamp = Stamp {
        slot: estimate.slot,
        written: now.0.cast_unsigned(),
    };
    let body = Dollars {
        usd: estimate.usd,
        uncertain: estimate.uncertain,
        decimals: estimate.decimals,
        slot: estimate.slot,
        time: estimate.time,
        since: estimate.since,
        trades: estimate.trades,
        pools: estimate.pools,
        turnover: estimate.turnover,
    };
    // Never compressed: scripts look into it.
    let sealed = seal(&key, stamp, &body.encode(), usize::MAX).unwrap_or_default();
    let mut command = RedisConnection::call(&scripts.price, &[&key, &price_writer()]);
    command
        .arg(sealed)
        .arg(LATEST_LIFETIME.as_millis())
        .arg(writer);
    command
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;
    use perijove_core::Slot;
    use perijove_core::market::{Position, USDC};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_763_741_000_000);

    /// One that is ignored, and counted as such.
    fn dust() -> Observation {
        let leg = |mint| Leg {
            mint,
            raw: 1,
            decimals: Some(6),
        };
        Observation {
            position: Position {
                slot: Slot(1),
                transaction: 0,
                instruction: 0,
                ordinal: 0,
            },
            time: NOW.0,
            pool: Pubkey([8; 32]),
            base: leg(Pubkey([7; 32])),
            quote: leg(USDC),
            base_bought: true,
        }
    }

    #[tokio::test]
    async fn what_was_read_is_added_once_though_adding_was_cut_short() {
        let oracle = PriceOracle::default();
        let count = 5 * AT_ONCE / 2;
        oracle.0.lock().read.extend((0..count).map(|_| dust()));
        {
            let mut adding = pin!(oracle.add_read(NOW));
            assert!(poll!(&mut adding).is_pending());
        }
        assert_eq!(oracle.ignored().dust, AT_ONCE as u64);
        oracle.add_read(NOW).await;
        assert_eq!(oracle.ignored().dust, count as u64);
    }
}
