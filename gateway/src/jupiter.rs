//! The rules of Jupiter's HTTP API: what a request asks for, what an answer looks like, what is
//! fresh. No async, no clock, no I/O.

mod answer;
mod asked_swap;
mod asked_transaction;
mod comparable;
mod freshness;
mod ids;
mod judge;
mod lifetime;
mod order;
mod parameters;
mod paths;
mod price;
mod quote;
mod referral;
mod request_class;
mod swap;
mod variants;

pub use answer::{Fingerprint, QuoteFacts, is_error, quote_of_swap, request_id};
pub use asked_swap::AskedSwap;
pub use asked_transaction::AskedTransaction;
pub use comparable::comparable;
pub use freshness::PriceFreshness;
pub use ids::{IdsFault, MOST_IDS, ids, shows_extra};
pub use judge::{ApiFault, JudgedAnswer, is_no_route, judge};
pub use lifetime::{QuoteContext, QuoteLifetimes, QuoteValidity};
pub use order::{OrderFault, check_order};
pub use parameters::QueryFault;
pub use paths::{Ambiguous, Api, ApiRoute, PathMap, Product, is_own_key, without_keys};
pub use price::answer;
pub use quote::{QuoteQuery, SwapMode};
pub use referral::{order_with_referral, quote_with_fee, swap_with_account};
pub use request_class::RequestClass;
pub use swap::{SwapFault, check_swap};
pub use variants::{AS_ASKED, Variant, gain_bps, is_better, variants, with_parameter};

/// Content type of Jupiter's answers.
pub const JSON: &str = "application/json";
