//! Jupiter's HTTP API as rules: what a request asks for, what an answer looks like, what is
//! fresh. No async, no clock, no I/O.

mod freshness;
mod ids;
mod price;

pub use freshness::Freshness;
pub use ids::{IdsFault, MOST_IDS, ids, shows_extra};
pub use price::answer;

/// Content type of Jupiter's answers.
pub const JSON: &str = "application/json";
