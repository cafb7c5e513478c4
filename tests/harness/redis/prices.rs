//! Prices as ingest writes them: the schema's own bytes by the schema's own script.

use std::time::Duration;

use ::redis::{RedisResult, cmd};
use perijove_core::redis::{Dollars, LATEST_LIFETIME, NEWER_WINS, Stamp, price, seal};
use perijove_core::{Pubkey, Slot};

use super::{Cluster, Redis};

/// A price that much speaks for.
pub const fn dollars(usd: f64) -> Dollars {
    Dollars {
        usd,
        uncertain: 0.001,
        decimals: 6,
        slot: Slot(373_000_000),
        time: 0,
        since: 0,
        trades: 12,
        pools: 3,
        turnover: 125_000.0,
    }
}

impl Redis {
    /// Milliseconds since 1970, by its clock.
    pub async fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"]).await;
        1_000 * seconds + micros / 1_000
    }

    /// Writes a token's price, which rests on trades of so long ago, as ingest does.
    ///
    /// # Panics
    /// If it is not written.
    pub async fn priced(&self, token: Pubkey, price: Dollars, ago: Duration) {
        let now = self.now().await;
        let since = now - i64::try_from(ago.as_millis()).expect("some time ago");
        let price = Dollars {
            since,
            time: since,
            ..price
        };
        let written = self.write_price(token, &price).await;
        assert!(written.expect("a price is written"), "a later one is there");
    }

    /// Writes a token's price; whether it was stored, since the one there was not newer.
    ///
    /// # Errors
    /// The client library's errors.
    ///
    /// # Panics
    /// If it is too long to be one.
    pub async fn write_price(&self, token: Pubkey, dollars: &Dollars) -> RedisResult<bool> {
        let name = price(token);
        let stamp = Stamp {
            slot: dollars.slot,
            written: dollars.time.cast_unsigned(),
        };
        let sealed = seal(&name, stamp, &dollars.encode(), usize::MAX).expect("a value");
        let lifetime = u64::try_from(LATEST_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("EVAL");
        command.arg(NEWER_WINS).arg(1).arg(&name);
        command.arg(sealed).arg(lifetime);
        self.try_ask(command).await
    }
}

impl Cluster {
    /// Writes a token's price to the master that has its slot, and returns which one that is.
    ///
    /// # Panics
    /// If none takes it.
    pub async fn priced(&self, token: Pubkey, price: &Dollars) -> usize {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.write_price(token, price).await.is_ok() {
                return index;
            }
        }
        panic!("no master takes the price of {token}")
    }
}
