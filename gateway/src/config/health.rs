//! When an upstream gets no calls: health by slots, the circuit breaker, hold-offs after 429.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// When an upstream counts as unhealthy by its slots, with hysteresis in both directions.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct HealthSettings {
    /// Excluded when more than this many slots behind the tip.
    pub exclude_lag: u64,
    /// Readmitted when fewer than this many slots behind the tip; below `exclude_lag`.
    pub readmit_lag: u64,
    /// Excluded when its slot has not moved for this long while others have, or when there are none.
    pub stopped_after: Duration,
    /// Excluded when it has processed this many slots fewer than it has received.
    pub shred_gap: u64,
    /// Failed probes in a row that exclude it.
    pub failures: u32,
    /// Good probes in a row that readmit it.
    pub successes: u32,
    /// The gateway is ready while a healthy upstream may be sent one of these methods.
    pub ready_for: Vec<String>,
}

/// What clients request all the time.
const ORDINARY: [&str; 6] = [
    "getAccountInfo",
    "getBalance",
    "getLatestBlockhash",
    "getMultipleAccounts",
    "getSlot",
    "sendTransaction",
];

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            exclude_lag: 16,
            readmit_lag: 8,
            stopped_after: Duration::from_secs(15),
            shred_gap: 100,
            failures: 3,
            successes: 2,
            ready_for: ORDINARY.map(str::to_owned).to_vec(),
        }
    }
}

impl HealthSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let health = Self {
            exclude_lag: section.within("exclude_lag", default.exclude_lag, 1..=100_000),
            readmit_lag: section.within("readmit_lag", default.readmit_lag, 1..=100_000),
            stopped_after: section.within(
                "stopped_after",
                default.stopped_after,
                Duration::from_millis(500)..=Duration::from_mins(10),
            ),
            shred_gap: section.within("shred_gap", default.shred_gap, 1..=1_000_000),
            failures: section.within("failures", default.failures, 1..=1000),
            successes: section.within("successes", default.successes, 1..=1000),
            ready_for: section.list_or("ready_for", default.ready_for),
        };
        if health.ready_for.is_empty() {
            section.violation("ready_for", "needs at least one method");
        }
        if health.readmit_lag > health.exclude_lag {
            section.violation(
                "readmit_lag",
                format_args!("must not be above exclude_lag ({})", health.exclude_lag),
            );
        }
        health
    }
}

/// When an upstream that keeps failing gets no calls. 429 and errors of the client never count.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that open the breaker.
    pub failures: u32,
    /// Share of failed calls in `window` that opens it, once there are `min_calls`.
    pub ratio: f64,
    /// Minimum number of calls in `window` for the share to count.
    pub min_calls: u32,
    /// Time over which calls are counted for `ratio`.
    pub window: Duration,
    /// How long it stays open before trial calls are allowed.
    pub open: Duration,
    /// Maximum number of concurrent trial calls while half-open.
    pub trials: u32,
    /// Successful trial calls that close it.
    pub successes: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            ratio: 0.5,
            min_calls: 10,
            window: Duration::from_secs(10),
            open: Duration::from_mins(1),
            trials: 3,
            successes: 2,
        }
    }
}

impl BreakerSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let long = Duration::from_millis(100)..=Duration::from_hours(1);
        Self {
            failures: section.within("failures", default.failures, 1..=10_000),
            ratio: section.within("ratio", default.ratio, 0.01..=1.0),
            min_calls: section.within("min_calls", default.min_calls, 1..=1_000_000),
            window: section.within("window", default.window, long.clone()),
            open: section.within("open", default.open, long),
            trials: section.within("trials", default.trials, 1..=1000),
            successes: section.within("successes", default.successes, 1..=1000),
        }
    }
}

/// How long an upstream (or one method of it) is held off after it answered "too many requests". A
/// pause that it asks for (`Retry-After`, `x-ratelimit-reset`) is the minimum.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
pub struct HoldOffSettings {
    /// The first pause.
    pub base: Duration,
    /// Factor by which the pause grows each further time.
    pub factor: f64,
    /// Share by which each pause varies at random, up or down.
    pub jitter: f64,
    /// The longest pause.
    pub max: Duration,
    /// The pause when a provider reports that its credits are used up.
    pub credits: Duration,
}

impl Default for HoldOffSettings {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.25,
            max: Duration::from_mins(5),
            credits: Duration::from_mins(30),
        }
    }
}

impl HoldOffSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let long = Duration::from_millis(10)..=Duration::from_hours(24);
        let hold_off = Self {
            base: section.within("base", default.base, long.clone()),
            factor: section.within("factor", default.factor, 1.0..=10.0),
            jitter: section.within("jitter", default.jitter, 0.0..=1.0),
            max: section.within("max", default.max, long.clone()),
            credits: section.within("credits", default.credits, long),
        };
        if hold_off.base > hold_off.max {
            section.violation("base", "must not be above max");
        }
        hold_off
    }
}
