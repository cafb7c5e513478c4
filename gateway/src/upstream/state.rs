//! What was learned of an upstream, which survives reloads: whether it holds off, its breaker, its
//! latencies, and how that is shown.

pub(super) mod attempt_outcome;
pub(super) mod breaker;
pub(super) mod concurrency;
pub(super) mod endpoint_identity;
pub(super) mod endpoint_state;
pub(super) mod errors;
pub(super) mod history;
pub(super) mod hold;
pub(super) mod hold_off;
pub(super) mod in_flight;
pub(super) mod ledger_start;
pub(super) mod member;
pub(super) mod method_rules;
pub(super) mod metrics;
pub(super) mod pause;
pub(super) mod quantile;
pub(super) mod slot_feed;
pub(super) mod status;
pub(super) mod turned_away;
pub(super) mod upstream_policy;
pub(super) mod upstream_series;
