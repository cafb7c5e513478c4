//! How an answer came about: which upstreams a call was sent to, in order, with what result, and which
//! of them answered.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;

use super::attempt_record::{AttemptRecord, EMPTY, GOOD};
use crate::solana::FaultKind;
use crate::upstream::Peer;

/// Maximum number in one line: a batch may have thousands of calls, and a call that waits for a
/// connection goes round until it has one.
const MOST: usize = 32;

/// How the answer came about, for logs, headers and metrics.
#[derive(Debug)]
pub struct AttemptSummary<Peer, Notes> {
    pub attempts: u32,
    pub hedged: bool,
    /// The upstream of the delivered answer.
    pub upstream: Option<Arc<Peer>>,
    /// The first upstream that failed, if a retry followed.
    pub failed_over_from: Option<Arc<Peer>>,
    /// The slot that upstream was known to have reached before it was asked, at the call's
    /// commitment.
    pub reached: Option<Slot>,
    /// The last fault.
    pub fault: Option<FaultKind>,
    /// Attempts that did not give the delivered answer.
    pub others: Vec<AttemptRecord>,
    /// Number and duration of the attempt that did.
    pub won: Option<(u32, Duration)>,
    /// Why some good answer was not delivered at once; of the one that is delivered for want of a
    /// better.
    pub doubt: Option<FaultKind>,
    /// What the operation notes of the delivered answer.
    pub notes: Notes,
}

/// By hand, because the derived one would ask for an upstream that has a default.
impl<Peer, Notes: Default> Default for AttemptSummary<Peer, Notes> {
    fn default() -> Self {
        Self {
            attempts: 0,
            hedged: false,
            upstream: None,
            failed_over_from: None,
            reached: None,
            fault: None,
            others: Vec::new(),
            won: None,
            doubt: None,
            notes: Notes::default(),
        }
    }
}

impl<P: Peer, Notes> AttemptSummary<P, Notes> {
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
