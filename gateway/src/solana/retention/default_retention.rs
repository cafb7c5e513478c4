//! How long the answers of a method live as a rule: what an operator's own numbers are compared
//! with.

use perijove_core::Commitment;

use super::pinned::HISTORY_SLOTS;
use super::{AnswerSubject, Method, about, head_slots};

/// How long the answers of a method live as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefaultRetention {
    /// Not at all.
    Never,
    /// So many slots; for good where they are about one slot that is final.
    Slots(u32),
    /// For an epoch or longer.
    Long,
}

impl DefaultRetention {
    /// What is usual for a method, at the commitment at which it is longest.
    pub const fn of(method: Method) -> Self {
        Self::at(method, Commitment::Finalized)
    }

    /// What is usual for a method at a commitment.
    pub const fn at(method: Method, commitment: Commitment) -> Self {
        match about(method) {
            AnswerSubject::Nothing => Self::Never,
            AnswerSubject::Head | AnswerSubject::Truth | AnswerSubject::Rewards => {
                Self::Slots(head_slots(commitment))
            }
            AnswerSubject::Transaction | AnswerSubject::Block => Self::Slots(HISTORY_SLOTS),
            AnswerSubject::BlockTime => Self::Slots(1),
            AnswerSubject::Leaders | AnswerSubject::Epoch | AnswerSubject::Genesis => Self::Long,
        }
    }
}
