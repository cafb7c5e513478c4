//! The format of market data: prices, recent trades, candles, pools. Ingest writes them, the
//! gateway reads them.
//!
//! | key | type | content | written by |
//! |---|---|---|---|
//! | `usd:MINT` | sealed value | [`Dollars`] that a token costs | [`PRICE`] |
//! | `prices:writer` | text | the process whose prices count | [`PRICE_WRITER`] |
//! | `pair:{BASE/QUOTE}:latest` | sealed value | [`Latest`] trade | [`PAIR`] |
//! | `pair:{BASE/QUOTE}:trades` | sorted set | the newest [`Fill`]s, at most [`KEPT_TRADES`] | [`PAIR`] |
//! | `pair:{BASE/QUOTE}:candles:1s:START` | hash | [`Part`]s of candles, by [`Field`] | [`PAIR`] |
//! | `pool:ADDRESS` | sealed value | nothing but the slot of the last trade | [`NEWER_WINS`] |
//! | `pools` | channel | [`announce`]d slots of pools | |
//! | `lane:GROUP:TOPIC:PARTITION` | text | [`Progress`] of one writer | [`LANE`] |
//!
//! All writes are idempotent, in any order: a latest trade is replaced only by a later one, a
//! sorted set holds a trade once, and a part of a candle is replaced only by one of a later batch
//! of the same lane.
//!
//! [`NEWER_WINS`]: crate::redis::NEWER_WINS

mod bytes;
mod candle;
mod dollars;
mod fill;
mod latest;
mod pools;
mod progress;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use candle::{Candle, Field, Interval, Part};
pub use dollars::{Dollars, LONGEST_DOLLARS};
pub use fill::{Fill, KEPT_TRADES};
pub use latest::{LONGEST_LATEST, Latest};
pub use pools::{POOLS, announce, announced};
pub use progress::Progress;

/// How long the price of a token and the latest trade of a pair are kept. Readers decide what is too old to use.
pub const LATEST_LIFETIME: Duration = Duration::from_hours(24);

/// How long recent trades are kept after the last of them.
pub const TRADES_LIFETIME: Duration = Duration::from_hours(1);

/// How long the slot of a pool's last trade is kept.
pub const POOL_LIFETIME: Duration = Duration::from_hours(1);

/// How long the progress of a lane is kept after its last batch.
pub const LANE_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The script that updates a pair: its latest trade, recent trades and candles. The script
/// documents its arguments.
pub const PAIR: &str = include_str!("market/pair.lua");

/// The script that writes the progress of a lane, unless the stored progress is further.
pub const LANE: &str = include_str!("market/lane.lua");

/// [`NEWER_WINS`](super::NEWER_WINS) for a token's price, by the one process that may write it:
/// `KEYS[2]` names the writer, who is `ARGV[3]`.
pub const PRICE: &str = concat!(
    include_str!("market/if_writer.lua"),
    include_str!("newer_wins.lua")
);

/// The script by which a process becomes, or stays, the one that writes prices.
pub const PRICE_WRITER: &str = include_str!("market/price_writer.lua");
