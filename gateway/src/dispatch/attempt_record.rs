//! One upstream that a call was sent to, and with what result: for the access log.

use std::sync::Arc;
use std::time::Duration;

use crate::solana::FaultKind;

/// Outcome of the attempt whose answer is delivered.
pub(super) const GOOD: &str = "good";
/// Its answer was empty, and another upstream was asked for history.
pub(super) const EMPTY: &str = "empty";
/// Abandoned before it was answered.
pub(super) const UNANSWERED: &str = "unanswered";

/// Outcomes besides those of [`crate::solana::FaultKind`].
pub const OUTCOMES: [&str; 3] = [GOOD, EMPTY, UNANSWERED];

/// One attempt, or several with the same outcome.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// Its number among the attempts of the call, from 1.
    pub number: u32,
    /// Its name.
    pub upstream: Arc<str>,
    /// A label of [`crate::solana::FaultKind`] or of [`OUTCOMES`].
    pub outcome: &'static str,
    /// Of several, the longest.
    pub took: Duration,
    pub times: u32,
}

impl AttemptRecord {
    /// Of an attempt that is not answered yet.
    pub(super) fn begun(number: u32, upstream: &Arc<str>) -> Self {
        Self {
            number,
            upstream: Arc::clone(upstream),
            outcome: UNANSWERED,
            took: Duration::ZERO,
            times: 1,
        }
    }

    /// Whether its upstream has said what it had to say, be it that there is no route.
    pub fn is_answered(&self) -> bool {
        self.outcome == GOOD || self.outcome == FaultKind::NoRoute.label()
    }

    /// Whether both say the same of the same upstream.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.upstream == other.upstream
    }

    pub(super) fn count(&mut self, other: &Self) {
        self.times += other.times;
        self.took = self.took.max(other.took);
    }
}
