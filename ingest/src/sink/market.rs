//! Market data in Redis: prices, recent trades, candles, pools. All of it is derived from trades in
//! the database, and can be rebuilt from them.
//!
//! Each lane of the database has a [`LaneMirror`]. It writes complete values, never increments, so
//! that writes are idempotent. When Redis lacks something of a lane, because it was unavailable or
//! has lost it, the mirror reads it from the database.
//!
//! Prices of tokens are computed from the trades of all lanes, also those of other processes: see
//! [`PriceOracle`].

mod aggregate;
mod audit;
mod candle_cache;
mod commands;
mod connection;
mod error;
mod lane_mirror;
mod price_lanes;
mod price_oracle;

pub use audit::{Audit, audit};
pub use connection::RedisConnection;
pub use error::MarketError;
pub use lane_mirror::{Applied, LaneMirror};
pub use price_oracle::{PriceOracle, Published, Seen};
