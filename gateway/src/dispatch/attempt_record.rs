//! Which upstreams a call was sent to, in order, and with what result: for the access log.

use std::sync::Arc;
use std::time::Duration;

use super::AttemptSummary;
use super::peer::Peer;

/// Outcome of the attempt whose answer is delivered.
pub(super) const GOOD: &str = "good";
/// Its answer was empty, and another upstream was asked for history.
const EMPTY: &str = "empty";
/// Abandoned before it was answered.
pub(super) const UNANSWERED: &str = "unanswered";

/// Outcomes besides those of [`crate::solana::FaultKind`].
pub const OUTCOMES: [&str; 3] = [GOOD, EMPTY, UNANSWERED];

/// Maximum number in one line: a batch may have thousands of calls, and a call that waits for a
/// connection goes round until it has one.
const MOST: usize = 32;

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

    /// Whether both say the same of the same upstream.
    fn is_like(&self, other: &Self) -> bool {
        self.outcome == other.outcome && self.upstream == other.upstream
    }

    fn count(&mut self, other: &Self) {
        self.times += other.times;
        self.took = self.took.max(other.took);
    }
}

#[expect(
    private_bounds,
    reason = "what an upstream is to its attempts is for dispatch to know"
)]
impl<P: Peer> AttemptSummary<P> {
    /// Records an attempt whose answer is not delivered. Of the delivered one only number and
    /// duration are kept, which costs nothing: most calls have no other attempt.
    pub(super) fn tried(
        &mut self,
        number: u32,
        upstream: &Arc<P>,
        outcome: &'static str,
        took: Duration,
    ) {
        self.record(AttemptRecord {
            number,
            upstream: Arc::clone(upstream.name()),
            outcome,
            took,
            times: 1,
        });
    }

    /// Beyond [`MOST`], only more of what is there already is counted.
    fn record(&mut self, tried: AttemptRecord) {
        if self.others.len() < MOST {
            self.others.push(tried);
        } else if let Some(known) = self.others.iter_mut().find(|known| known.is_like(&tried)) {
            known.count(&tried);
        }
    }

    /// All attempts in their order.
    pub fn attempts(&self) -> Vec<AttemptRecord> {
        let mut all = self.others.clone();
        all.extend(self.winner(GOOD));
        all.sort_by_key(|tried| tried.number);
        all
    }

    fn winner(&self, outcome: &'static str) -> Option<AttemptRecord> {
        let (number, took) = self.won?;
        Some(AttemptRecord {
            number,
            upstream: Arc::clone(self.upstream.as_ref()?.name()),
            outcome,
            took,
            times: 1,
        })
    }

    /// Appends the attempts at upstreams with more history. With `instead`, their answer is
    /// delivered.
    pub(super) fn went_deeper(&mut self, mut asked: Self, instead: bool) {
        let before = self.attempts;
        self.attempts += asked.attempts;
        if instead {
            self.others.extend(self.winner(EMPTY));
            self.won = asked.won.map(|(number, took)| (number + before, took));
        } else {
            asked.others.extend(asked.winner(EMPTY));
        }
        self.others
            .extend(asked.others.into_iter().map(|tried| AttemptRecord {
                number: tried.number + before,
                ..tried
            }));
    }

    /// Adds the attempts of one call of a batch.
    pub fn add_call(&mut self, call: &Self) {
        self.attempts += call.attempts;
        self.hedged |= call.hedged;
        self.fault = call.fault.or(self.fault);
        for tried in call.attempts() {
            if let Some(known) = self.others.iter_mut().find(|known| known.is_like(&tried)) {
                known.count(&tried);
            } else if self.others.len() < MOST {
                let number = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
                self.others.push(AttemptRecord { number, ..tried });
            }
        }
    }
}
