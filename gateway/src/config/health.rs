//! When an upstream is left alone: health by slots, the circuit breaker, the hold-off after 429.

use std::time::Duration;

/// When an upstream counts as unfit by what its slots say, with hysteresis both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Excluded when more slots than this behind the tip.
    pub exclude_lag: u64,
    /// Readmitted when fewer slots than this behind the tip; below `exclude_lag`.
    pub readmit_lag: u64,
    /// Excluded when its slot has not moved for this long.
    pub stopped_after: Duration,
    /// Excluded when it has processed this many slots fewer than it has received.
    pub shred_gap: u64,
    /// Failed probes in a row that exclude it.
    pub failures: u32,
    /// Good probes in a row that readmit it.
    pub successes: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            exclude_lag: 16,
            readmit_lag: 8,
            stopped_after: Duration::from_secs(15),
            shred_gap: 100,
            failures: 3,
            successes: 2,
        }
    }
}

/// When an upstream that keeps failing is left alone. 429 and errors of the client never count.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Failures in a row that open the breaker.
    pub failures: u32,
    /// Share of failed calls in `window` that opens it, once there were `min_calls`.
    pub ratio: f64,
    pub min_calls: u32,
    pub window: Duration,
    /// How long it stays open before trial calls are let through.
    pub open: Duration,
    /// Most trial calls at the same time while half open.
    pub trials: u32,
    /// Good trial calls that close it.
    pub successes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            ratio: 0.5,
            min_calls: 10,
            window: Duration::from_secs(10),
            open: Duration::from_secs(60),
            trials: 3,
            successes: 2,
        }
    }
}

/// How long an upstream (or one method of it) rests after it said "too many requests". What it
/// asks for itself (`Retry-After`, `x-ratelimit-reset`) is the least.
#[derive(Clone, Debug, PartialEq)]
pub struct HoldOff {
    /// The first pause.
    pub base: Duration,
    /// What the pause grows by each further time.
    pub factor: f64,
    /// Share by which each pause is varied at random, up or down.
    pub jitter: f64,
    /// The longest pause.
    pub max: Duration,
    /// The pause when a provider says that the credits are used up.
    pub credits: Duration,
}

impl Default for HoldOff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            factor: 2.0,
            jitter: 0.25,
            max: Duration::from_secs(300),
            credits: Duration::from_secs(1800),
        }
    }
}
