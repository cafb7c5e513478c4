//! Prices of tokens, from the trades of all lanes of the process, published to Redis.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use perijove_core::Pubkey;
use perijove_core::redis::{Dollars, LATEST_LIFETIME, Stamp, price, seal};
use redis::Cmd;

use crate::oracle::{Estimate, IgnoredTrades, Leg, Observation, Oracle};
use crate::record::UnixMillis;
use crate::sink::database::{Database, Lane, StoredTick, TickQuery};
use crate::sink::market::MarketError;
use crate::sink::market::connection::{RedisConnection, Scripts};
use crate::sink::tick::Tick;

/// How far back trades are read from the database when a lane is new to the process.
const WARM: i64 = 120_000;

/// The one oracle of a process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PriceOracle(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    oracle: Oracle,
    /// Lanes whose last trades have been read.
    warm: HashSet<i32>,
}

impl PriceOracle {
    /// Adds trades that have just been stored.
    pub fn add(&self, ticks: &[Tick], now: UnixMillis) {
        if ticks.is_empty() {
            return;
        }
        let mut inner = self.0.lock();
        for tick in ticks {
            inner.oracle.add(&observation(tick), now.0);
        }
    }

    /// Reads the last trades of a lane from the database, once, so that a program that was just
    /// started knows what its predecessor knew.
    ///
    /// # Errors
    /// The database failed; it may be called again.
    pub async fn warm(
        &self,
        database: &Database,
        lane: &Lane,
        now: UnixMillis,
    ) -> Result<(), MarketError> {
        if lane.batch == 0 || !self.0.lock().warm.insert(lane.id) {
            return Ok(());
        }
        let read = self.read_last(database, lane, now).await;
        if read.is_err() {
            self.0.lock().warm.remove(&lane.id);
        }
        read
    }

    async fn read_last(
        &self,
        database: &Database,
        lane: &Lane,
        now: UnixMillis,
    ) -> Result<(), MarketError> {
        let Some(newest) = database.newest().await? else {
            return Ok(());
        };
        let asked = TickQuery {
            lane: Some(lane.id),
            from: newest.min(now.0).saturating_sub(WARM),
            ..TickQuery::default()
        };
        let mut ticks = Vec::new();
        let each = |stored: StoredTick| {
            if stored.batch <= lane.batch {
                ticks.push(stored.tick);
            }
        };
        database.ticks(&asked, each).await?;
        ticks.sort_unstable_by_key(|tick| tick.position);
        // Not all at once: storing new ones waits for it.
        for ticks in ticks.chunks(1_000) {
            self.add(ticks, now);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Writes the prices that have changed, and returns how many Redis has taken: it keeps those of
    /// newer slots. None if nothing was to be written. Those that fail are written with the next ones.
    ///
    /// # Errors
    /// Redis does not accept them.
    pub async fn publish(
        &self,
        redis: &mut RedisConnection,
        now: UnixMillis,
    ) -> Result<Option<u64>, MarketError> {
        let estimates = self.0.lock().oracle.estimates();
        let scripts = redis.scripts();
        let commands: Vec<Cmd> = estimates
            .iter()
            .map(|(mint, estimate)| write(scripts, *mint, estimate, now))
            .collect();
        if commands.is_empty() {
            return Ok(None);
        }
        let written = redis.run::<u64>(&commands).await;
        if written.is_err() {
            let mints = estimates.iter().map(|(mint, _)| *mint);
            self.0.lock().oracle.mark_changed(mints);
        }
        written.map(|taken| Some(taken.iter().sum()))
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

fn write(scripts: &Scripts, mint: Pubkey, estimate: &Estimate, now: UnixMillis) -> Cmd {
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
    let mut command = RedisConnection::call(&scripts.newer, &[&key]);
    command.arg(sealed).arg(LATEST_LIFETIME.as_millis());
    command
}
