//! Publishes the market's trades to Redis as ingest does: the slot of each pool's last trade, and
//! one message per slot on the channel.

use std::sync::Arc;

use perijove_core::redis::{NEWER_WINS, POOL_LIFETIME, POOLS, Stamp, announce, pool, seal};
use perijove_core::{Pubkey, Slot};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult, Script};
use tokio::task::JoinHandle;

use super::Market;
use crate::sandbox::{Cluster, chain};

/// A feed that runs; dropping it ends it.
#[derive(Debug)]
pub struct Feed {
    task: JoinHandle<RedisResult<()>>,
}

impl Feed {
    /// Follows the market of a cluster and writes what it trades to the Redis at this URL.
    ///
    /// # Errors
    /// The client library's errors about the URL or connecting.
    pub async fn start(url: &str, cluster: Arc<Cluster>, market: Arc<Market>) -> RedisResult<Self> {
        let connection = Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        // From here on nothing is missed. The market opens now at the latest.
        let told = cluster.clock.tip();
        market.traded_in(told);
        let task = tokio::spawn(follow(connection, cluster, market, told));
        Ok(Self { task })
    }

    /// Whether it still writes.
    pub fn running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    mut connection: MultiplexedConnection,
    cluster: Arc<Cluster>,
    market: Arc<Market>,
    mut told: u64,
) -> RedisResult<()> {
    let mut steering = cluster.clock.steering();
    loop {
        cluster.clock.beyond(told, &mut steering).await;
        while told < cluster.clock.tip() {
            told += 1;
            tell(&mut connection, &market, told).await?;
        }
    }
}

async fn tell(
    connection: &mut MultiplexedConnection,
    market: &Market,
    slot: u64,
) -> RedisResult<()> {
    let traded: Vec<Pubkey> = market
        .traded_in(slot)
        .into_iter()
        .filter_map(|number| market.pools().get(number)?.address.parse().ok())
        .collect();
    if traded.is_empty() {
        return Ok(());
    }
    let script = Script::new(NEWER_WINS);
    let lifetime = u64::try_from(POOL_LIFETIME.as_millis()).unwrap_or(u64::MAX);
    for address in &traded {
        let key = pool(*address);
        let stamp = Stamp {
            slot: Slot(slot),
            written: chain::time(slot).saturating_mul(1_000),
        };
        let value = seal(&key, stamp, b"", usize::MAX).unwrap_or_default();
        let written: RedisResult<bool> = script
            .key(key)
            .arg(value)
            .arg(lifetime)
            .invoke_async(connection)
            .await;
        written?;
    }
    let message = announce(traded.into_iter().map(|address| (address, Slot(slot))));
    redis::cmd("PUBLISH")
        .arg(POOLS)
        .arg(message)
        .query_async(connection)
        .await
}
