//! Default lifetimes by method, with which configured ones are compared.

use perijove_core::Commitment;

use super::pinned::HISTORY_SLOTS;
use super::{AnswerSubject, Method, about, head_slots};

/// How long the answers of a method are kept by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefaultRetention {
    /// Not at all.
    Never,
    /// This many slots; permanently if they are about one slot that is final.
    Slots(u32),
    /// For an epoch or longer.
    Long,
}

impl DefaultRetention {
    /// The default of a method, at the commitment at which it is longest.
    pub const fn of(method: Method) -> Self {
        Self::at(method, Commitment::Finalized)
    }

    /// The default of a method at a commitment.
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
