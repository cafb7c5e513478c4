//! What a call notes of the answer that is delivered to it, besides what every operation does.

use super::read_session::ToldHeads;
use crate::dispatch::AttemptSummary;
use crate::solana::FaultKind;
use crate::upstream::Upstream;

/// Notes on the delivered answer.
#[derive(Debug, Default)]
pub struct AnswerNotes {
    /// What it shows its client of the head of the chain.
    pub told_heads: ToldHeads,
    /// It says that there is nothing, and no upstream with more history has confirmed that: not to
    /// be kept.
    pub unproven: bool,
}

/// How the answer to a call came about.
pub type CallSummary = AttemptSummary<Upstream, AnswerNotes>;

impl CallSummary {
    /// The summary of an answer that no upstream was asked for.
    pub fn unasked(told_heads: ToldHeads) -> Self {
        Self {
            notes: AnswerNotes {
                told_heads,
                unproven: false,
            },
            ..Self::default()
        }
    }

    /// Whether the answer may be kept for others.
    pub fn may_be_kept(&self) -> bool {
        let in_doubt = matches!(
            self.doubt,
            Some(FaultKind::BehindTip | FaultKind::SlotInDoubt | FaultKind::BlockhashNotFound)
        );
        !self.notes.unproven && !in_doubt
    }
}
