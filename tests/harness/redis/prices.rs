//! Prices as ingest writes them: the schema's own bytes by the schema's own script.

use std::time::Duration;

use ::redis::{RedisResult, cmd};
use perijove_core::market::{Amount, Position, Price};
use perijove_core::redis::{LATER_WINS, LATEST_LIFETIME, Latest, Stamp, price, seal};
use perijove_core::{Pubkey, Signature, Slot};

use super::{Cluster, Redis};

/// A trade for so much of `quote`, in plain digits with at most nine behind the point.
///
/// # Panics
/// If there is no such price.
pub fn trade(paid: &str, quote: Pubkey) -> Latest {
    let (whole, fraction) = paid.split_once('.').unwrap_or((paid, ""));
    let amount = |digits: &str| Amount {
        raw: digits.parse().expect("digits"),
        decimals: Some(9),
    };
    let paid = amount(&format!("{whole}{fraction:0<9}"));
    Latest {
        position: Position {
            slot: Slot(373_000_000),
            transaction: 3,
            instruction: 2,
            ordinal: 0,
        },
        signature: Signature([7; 64]),
        time: 0,
        price: Price::ratio(paid, amount("1000000000")).expect("a price"),
        quote,
        pool: Pubkey([9; 32]),
        decimals: 6,
        usd: None,
    }
}

impl Redis {
    /// Milliseconds since 1970, by its clock.
    pub async fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"]).await;
        1_000 * seconds + micros / 1_000
    }

    /// Writes a token's last trade, made so long ago, as ingest does.
    ///
    /// # Panics
    /// If it is not written.
    pub async fn traded(&self, token: Pubkey, trade: Latest, ago: Duration) {
        let now = self.now().await;
        let time = now - i64::try_from(ago.as_millis()).expect("some time ago");
        let written = self.write_price(token, &Latest { time, ..trade }).await;
        assert!(written.expect("a price is written"), "a later one is there");
    }

    /// Writes a token's last trade; says whether it was later than what was there.
    ///
    /// # Errors
    /// What the client library says.
    ///
    /// # Panics
    /// If it is too long to be one.
    pub async fn write_price(&self, token: Pubkey, latest: &Latest) -> RedisResult<bool> {
        let name = price(token);
        let stamp = Stamp {
            slot: latest.position.slot,
            written: latest.time.cast_unsigned(),
        };
        let sealed = seal(&name, stamp, &latest.encode(), usize::MAX).expect("a value");
        let lifetime = u64::try_from(LATEST_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("EVAL");
        command.arg(LATER_WINS).arg(1).arg(&name);
        command.arg(sealed).arg(lifetime);
        self.try_ask(command).await
    }
}

impl Cluster {
    /// Writes a token's last trade to the master that has it, and says which that is.
    ///
    /// # Panics
    /// If none takes it.
    pub async fn traded(&self, token: Pubkey, latest: &Latest) -> usize {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.write_price(token, latest).await.is_ok() {
                return index;
            }
        }
        panic!("no master takes the price of {token}")
    }
}
