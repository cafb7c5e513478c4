//! The log lines about an upstream's health.

use std::time::Duration;

use perijove_core::telemetry::seconds;

use crate::upstream::health::tracker::{Health, HealthChange, Tracker};

/// Logs a change, after which `tracker` says why: a warning if the upstream can no longer serve, with
/// what probably helps. The state before had `lasted` so long.
pub(in crate::upstream) fn log_change(
    upstream: &str,
    tracker: &Tracker,
    HealthChange { from, to }: HealthChange,
    lasted: Duration,
) {
    let (from, lag, after_seconds) = (from.label(), tracker.lag(), seconds(lasted));
    match to {
        Health::Healthy | Health::Unprobed | Health::Suspect => tracing::info!(
            upstream,
            from,
            to = to.label(),
            lag,
            cause = tracker.cause(),
            after_seconds,
            "upstream health changed"
        ),
        _ => tracing::warn!(
            upstream,
            from,
            to = to.label(),
            lag,
            cause = tracker.cause(),
            cure = tracker.cure(),
            after_seconds,
            "upstream health changed"
        ),
    }
}

/// Logs why nothing is known of an upstream yet, if that is no failure and has not been logged.
pub(in crate::upstream) fn log_unprobed(upstream: &str, tracker: &mut Tracker) {
    if tracker.take_news() {
        tracing::warn!(
            upstream,
            cause = tracker.cause(),
            cure = tracker.cure(),
            "upstream not probed yet"
        );
    }
}
