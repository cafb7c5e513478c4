//! Turns aggregates into Redis commands.

use std::collections::BTreeMap;

use perijove_core::redis::{
    Field, Interval, KEPT_TRADES, LATEST_LIFETIME, POOL_LIFETIME, POOLS, PairKeys, Part, Stamp,
    TRADES_LIFETIME, announce, pool, seal,
};
use perijove_core::{Pubkey, Slot};
use redis::Cmd;

use crate::record::UnixMillis;
use crate::sink::market::aggregate::{MarketAggregate, PairAggregate};
use crate::sink::market::connection::{RedisConnection, Scripts};

/// Pools of one message on the channel: 40 kB.
const POOLS_TOGETHER: usize = 1000;

/// Everything is written as one lane, up to one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct MarketCommands<'s> {
    pub(super) scripts: &'s Scripts,
    pub(super) lane: i32,
    pub(super) batch: i64,
    pub(super) now: UnixMillis,
}

impl MarketCommands<'_> {
    /// The commands for all of it. The candles must be complete as far as the lane is concerned.
    pub(super) fn commands(&self, aggregate: &MarketAggregate) -> Vec<Cmd> {
        let pairs = aggregate.pairs.iter();
        let pairs = pairs.map(|(pair, folded)| self.pair(&PairKeys::of(*pair), folded));
        let pools = aggregate.pools.iter();
        let pools = pools.map(|(address, (slot, _))| self.pool(*address, *slot));
        pairs.chain(pools).collect()
    }

    /// The messages that say which pools have traded. They go out after everything is written.
    pub(super) fn announcements(aggregate: &MarketAggregate) -> Vec<Cmd> {
        let pools: Vec<_> = aggregate
            .pools
            .iter()
            .map(|(pool, (slot, _))| (*pool, *slot))
            .collect();
        pools
            .chunks(POOLS_TOGETHER)
            .map(|pools| {
                let mut command = redis::cmd("PUBLISH");
                command.arg(POOLS).arg(announce(pools.iter().copied()));
                command
            })
            .collect()
    }

    fn pair(&self, keys: &PairKeys, folded: &PairAggregate) -> Cmd {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (&(interval, start), &candle) in &folded.candles {
            let field = Field {
                start,
                lane: self.lane,
            };
            let part = Part {
                batch: self.batch,
                candle,
            };
            groups
                .entry((interval, interval.group(start)))
                .or_default()
                .push((field.encode(interval), part.encode()));
        }
        let latest_key = keys.latest();
        let mut names = vec![latest_key.clone(), keys.trades()];
        let candles = groups.keys();
        names.extend(candles.map(|&(interval, group)| keys.candles(interval, group)));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut command = RedisConnection::call(&self.scripts.pair, &names);
        let latest = folded.latest.as_ref();
        let latest =
            latest.map(|latest| self.seal(&latest_key, latest.position.slot, &latest.encode()));
        let fills = folded.fills();
        command
            // Empty: leaves what is there.
            .arg(latest.unwrap_or_default())
            .arg(LATEST_LIFETIME.as_millis())
            .arg(TRADES_LIFETIME.as_millis())
            .arg(KEPT_TRADES)
            .arg(fills.len());
        for fill in fills {
            command.arg(fill.encode());
        }
        for ((interval, _), parts) in groups {
            command
                .arg(Interval::lifetime(interval).as_millis())
                .arg(parts.len());
            for (field, part) in parts {
                command.arg(field).arg(part);
            }
        }
        command
    }

    fn pool(&self, address: Pubkey, slot: Slot) -> Cmd {
        let key = pool(address);
        let mut command = RedisConnection::call(&self.scripts.newer, &[&key]);
        command
            .arg(self.seal(&key, slot, b""))
            .arg(POOL_LIFETIME.as_millis());
        command
    }

    /// Bodies are never compressed: scripts read them.
    fn seal(&self, key: &str, slot: Slot, body: &[u8]) -> Vec<u8> {
        let stamp = Stamp {
            slot,
            written: self.now.0.cast_unsigned(),
        };
        seal(key, stamp, body, usize::MAX).unwrap_or_default()
    }
}
