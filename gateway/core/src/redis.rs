//! The layout of Redis, shared by both binaries: names of keys, the header of every value, which of
//! two writers of a key wins, and the format of market data. Not here: connections, and what the
//! bodies of answers mean.
//!
//! Everything under [`PREFIX`] follows these rules:
//!
//! - A value (but for a [`claim`]'s and a [`budget`]'s) begins with the slot its content was read
//!   at. A newer slot always wins, which   [`NEWER_WINS`] ensures within Redis, so that no writer
//!   needs to read first.
//! - Every value has a lifetime, after which Redis deletes it.
//! - Readers use what they can [`open`] and treat the rest as missing: another   version, another
//!   program's value, a damaged one, one that belongs to another key.

mod market;
mod names;
mod value;

#[cfg(test)]
mod tests;

pub use market::{
    Candle, Dollars, Field, Fill, Interval, KEPT_TRADES, LANE, LANE_LIFETIME, LATEST_LIFETIME,
    LONGEST_DOLLARS, LONGEST_LATEST, Latest, PAIR, POOL_LIFETIME, POOLS, PRICE, PRICE_WRITER, Part,
    Progress, TRADES_LIFETIME, announce, announced,
};
pub use names::{
    PREFIX, PairKeys, answer, budget, claim, lane, pool, price, price_writer, replicas,
};
pub use value::{HEADER, LONGEST, Stamp, Unreadable, open, seal};

/// The script that claims a call. `KEYS[1]` is the key, `ARGV[1]` the slot, `ARGV[2]` the token,
/// `ARGV[3]` the lifetime in milliseconds, `ARGV[4]` for how many slots an answer is valid. Returns
/// 1 if the claim was made, 0 if another one exists.
pub const CLAIM: &str = include_str!("redis/claim.lua");

/// The script that leases requests of a shared budget. `KEYS[1]` is the [`budget`]'s key, `ARGV`
/// are the microseconds in which a request is earned, the burst, the requests wanted (negative:
/// returned) and those sent without a lease, the gateway's id, the number of the request and that
/// of the last one that was answered. Returns what is granted, and what is then left.
pub const LEASE: &str = include_str!("redis/lease.lua");

/// The script that withdraws a claim. `KEYS[1]` is the key, `ARGV[1]` the value it must have.
pub const RELEASE: &str = include_str!("redis/release.lua");

/// The script that writes a value unless the existing one is newer. `KEYS[1]` is the key, `ARGV[1]`
/// the sealed value, `ARGV[2]` its lifetime in milliseconds. Returns 1 if it has written, else 0.
pub const NEWER_WINS: &str = include_str!("redis/newer_wins.lua");
