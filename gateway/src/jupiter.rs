//! Jupiter's HTTP API as rules: what a request asks for, what an answer looks like, what a token is
//! worth. No async, no clock, no I/O.

mod freshness;
mod ids;
mod price;
#[cfg(test)]
mod testing;

pub use freshness::Freshness;
pub use ids::{IdsFault, MOST_IDS, ids};
pub use price::{Priced, Trades, answer};

/// Content type of Jupiter's answers.
pub const JSON: &str = "application/json";
