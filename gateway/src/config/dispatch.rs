//! Retries and hedges.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// How failed calls are retried on the next upstream.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct RetrySettings {
    /// After this many attempts at one call no upstream is asked a second time. Upstreams not asked
    /// yet still are, however many there are.
    pub attempts: u32,
    /// Retries and hedges as a share of the calls.
    pub budget: f64,
    /// Retries per second that are always allowed, so that a gateway with little traffic can retry.
    pub min_per_second: u32,
    /// Pause before asking again for a slot that no upstream has yet.
    pub later: Duration,
    /// A signed transaction that is unanswered for this long is sent to the next upstream as well.
    pub write_after: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            attempts: 5,
            budget: 0.2,
            min_per_second: 10,
            later: Duration::from_millis(150),
            write_after: Duration::from_millis(300),
        }
    }
}

impl RetrySettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            attempts: section.within("attempts", default.attempts, 1..=10),
            budget: section.within("budget", default.budget, 0.0..=1.0),
            min_per_second: section.within("min_per_second", default.min_per_second, 0..=100_000),
            later: section.within(
                "later",
                default.later,
                Duration::from_millis(1)..=Duration::from_secs(10),
            ),
            write_after: section.within(
                "write_after",
                default.write_after,
                Duration::from_millis(20)..=Duration::from_secs(10),
            ),
        }
    }
}

/// When a second upstream is asked although the first has not failed. Reads only.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct HedgeSettings {
    /// Whether hedges are sent at all.
    pub enabled: bool,
    /// Quantile of the observed latency after which a hedge is sent.
    pub quantile: f64,
    /// A hedge is never sent earlier than this.
    pub floor: Duration,
    /// A call unanswered for this long is stuck, unless other upstreams take as long: it is then
    /// sent to any healthy upstream, including metered ones.
    pub metered_after: Duration,
    /// Maximum number of hedges for a slow call. A stuck one goes on to every healthy upstream.
    pub extra: u32,
}

impl Default for HedgeSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            quantile: 0.95,
            floor: Duration::from_millis(20),
            metered_after: Duration::from_millis(500),
            extra: 1,
        }
    }
}

impl HedgeSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        Self {
            enabled: section.or("enabled", default.enabled),
            quantile: section.within("quantile", default.quantile, 0.5..=0.999),
            floor: section.within(
                "floor",
                default.floor,
                Duration::from_millis(1)..=Duration::from_secs(10),
            ),
            metered_after: section.within(
                "metered_after",
                default.metered_after,
                Duration::from_millis(50)..=Duration::from_mins(1),
            ),
            extra: section.within("extra", default.extra, 1..=3),
        }
    }
}
