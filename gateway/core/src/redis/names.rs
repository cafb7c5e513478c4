//! Names of keys. The part in braces decides which node of a Redis Cluster has the key, so all keys
//! of a pair are on one node and one script can write them.

use crate::Pubkey;
use crate::market::Pair;
use crate::redis::Interval;

/// The beginning of every key. The number changes when old and new programs can no longer share
/// keys.
pub const PREFIX: &str = "pj:v1:";

/// The key of an answer to a call, by the call's hash. The gateway writes and reads it.
pub fn answer(hash: [u8; 16]) -> String {
    const KIND: &str = "answer:";
    let mut name = String::with_capacity(PREFIX.len() + KIND.len() + 32);
    name.push_str(PREFIX);
    name.push_str(KIND);
    // By hand: this is in every lookup, and formatting costs as much as sending.
    let digit = |value: u8| {
        char::from(if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        })
    };
    for byte in hash {
        name.push(digit(byte >> 4));
        name.push(digit(byte & 15));
    }
    name
}

/// The key under which a gateway claims a call. Its value is the slot of the claim, a space, and a
/// unique token.
pub fn claim(hash: [u8; 16]) -> String {
    format!("{PREFIX}claim:{:032x}", u128::from_be_bytes(hash))
}

/// The key of a budget that gateways share, by its name.
pub fn budget(name: &str) -> String {
    format!("{PREFIX}budget:{name}")
}

/// The key under which gateways that share budgets are counted: a sorted set of their ids by the
/// seconds since 1970 at which they were last there.
pub fn replicas() -> String {
    format!("{PREFIX}replicas")
}

/// The key of a token's price in dollars.
pub fn price(mint: Pubkey) -> String {
    format!("{PREFIX}usd:{mint}")
}

/// The key that names the one process whose prices are written.
pub fn price_writer() -> String {
    format!("{PREFIX}prices:writer")
}

/// The keys of one pair, with their common prefix, which takes a while to format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairKeys(String);

impl PairKeys {
    pub fn of(Pair { base, quote }: Pair) -> Self {
        Self(format!("{PREFIX}pair:{{{base}/{quote}}}"))
    }

    /// Of its latest trade.
    pub fn latest(&self) -> String {
        format!("{}:latest", self.0)
    }

    /// Of its recent trades.
    pub fn trades(&self) -> String {
        format!("{}:trades", self.0)
    }

    /// Of a group of candles; `start` is [`Interval::group`]'s, in milliseconds since 1970.
    pub fn candles(&self, interval: Interval, start: i64) -> String {
        format!("{}:candles:{}:{start}", self.0, interval.label())
    }
}

/// The key of the slot of a pool's last trade.
pub fn pool(address: Pubkey) -> String {
    format!("{PREFIX}pool:{address}")
}

/// The key that says how much of a lane of the database is in Redis; see [`Progress`].
///
/// [`Progress`]: crate::redis::Progress
pub fn lane(group: &str, topic: &str, partition: i32) -> String {
    format!("{PREFIX}lane:{group}:{topic}:{partition}")
}
