//! Market data in Redis: prices, recent trades, candles, pools. All of it is made of trades
//! the database holds, and can be made of them again.
//!
//! Each lane of the database has a [`LaneMirror`]. What it writes is the whole of what the lane knows
//! about a thing, never an increase, so it may be written twice. When Redis has not got everything
//! of a lane, whether it was away or has lost it, the mirror reads from the database what is
//! missing.
//!
//! Prices of tokens are made of the trades of all lanes of a process: see [`PriceOracle`].

mod aggregate;
mod audit;
mod candle_cache;
mod commands;
mod connection;
mod error;
mod lane_mirror;
mod price_oracle;

pub use audit::{Audit, audit};
pub use connection::RedisConnection;
pub use error::MarketError;
pub use lane_mirror::{Applied, LaneMirror};
pub use price_oracle::PriceOracle;
