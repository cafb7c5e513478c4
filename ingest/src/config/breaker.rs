//! When a failing sink gets no more calls.

use std::time::Duration;

use perijove_core::settings::Section;
use schemars::JsonSchema;

/// The circuit breaker of each sink. While that of the database is open, nothing is consumed; while
/// that of Redis is, prices get stale and are rebuilt afterwards.
#[derive(Clone, Debug, JsonSchema, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Successes that close it again.
    pub successes: u32,
    /// How long it stays open before trials are allowed.
    pub open: Duration,
    /// Maximum number of concurrent trials.
    pub trials: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            successes: 2,
            open: Duration::from_mins(1),
            trials: 3,
        }
    }
}

impl BreakerSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let open = Duration::from_millis(100)..=Duration::from_hours(1);
        Self {
            failures: section.within("failures", default.failures, 1..=1000),
            successes: section.within("successes", default.successes, 1..=1000),
            open: section.within("open", default.open, open),
            trials: section.within("trials", default.trials, 1..=100),
        }
    }
}
