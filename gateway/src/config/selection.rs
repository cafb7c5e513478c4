//! How one of several healthy upstreams is chosen, and what a client has seen before.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// Scoring, and the session floor, below which a client gets no answers.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct Selection {
    /// How fast old latencies are forgotten.
    pub latency_decay: Duration,
    /// Latency added to an upstream's score for each slot of lag.
    pub lag_penalty: Duration,
    /// Latency added to an upstream's score for a recent failure.
    pub failure_penalty: Duration,
    /// By how many slots an answer may be older than what the same client was shown before.
    pub step_back: u64,
    /// How long the newest slot shown to a client is remembered.
    pub floor_ttl: Duration,
    /// For how many clients it is remembered.
    pub floor_entries: usize,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            latency_decay: Duration::from_secs(10),
            lag_penalty: Duration::from_millis(20),
            failure_penalty: Duration::from_millis(500),
            step_back: 0,
            floor_ttl: Duration::from_mins(1),
            floor_entries: 100_000,
        }
    }
}

impl Selection {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let penalty = Duration::ZERO..=Duration::from_mins(1);
        Self {
            latency_decay: section.within(
                "latency_decay",
                default.latency_decay,
                Duration::from_millis(100)..=Duration::from_mins(10),
            ),
            lag_penalty: section.within("lag_penalty", default.lag_penalty, penalty.clone()),
            failure_penalty: section.within("failure_penalty", default.failure_penalty, penalty),
            step_back: section.within("step_back", default.step_back, 0..=10_000),
            floor_ttl: section.within(
                "floor_ttl",
                default.floor_ttl,
                Duration::from_secs(1)..=Duration::from_hours(24),
            ),
            floor_entries: section.within("floor_entries", default.floor_entries, 1..=10_000_000),
        }
    }
}
