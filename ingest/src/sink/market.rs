//! Market data in Redis: prices, recent trades, candles, pools. All of it is made of trades
//! the database holds, and can be made of them again.
//!
//! Each lane of the database has a [`Keeper`]. What it writes is the whole of what the lane knows
//! about a thing, never an increase, so it may be written twice. When Redis has not got everything
//! of a lane, whether it was away or has lost it, the keeper reads from the database what is
//! missing.
//!
//! Prices of tokens are made of the trades of all lanes of a process: see [`Prices`].

mod audit;
mod error;
mod fold;
mod keeper;
mod link;
mod memory;
mod prices;
mod write;

pub use audit::{Audit, audit};
pub use error::MarketError;
pub use keeper::{Applied, Keeper};
pub use link::Link;
pub use prices::Prices;
