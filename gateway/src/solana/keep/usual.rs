//! How long the answers of a method live as a rule: what an operator's own numbers are compared
//! with.

use perijove_core::Commitment;

use super::pinned::HISTORY_SLOTS;
use super::{About, Method, about, head_slots};

/// How long the answers of a method live as a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usual {
    /// Not at all.
    Never,
    /// So many slots; for good where they are about one slot that is final.
    Slots(u32),
    /// For an epoch or longer.
    Long,
}

impl Usual {
    /// What is usual for a method, at the commitment at which it is longest.
    pub const fn of(method: Method) -> Self {
        Self::at(method, Commitment::Finalized)
    }

    /// What is usual for a method at a commitment.
    pub const fn at(method: Method, commitment: Commitment) -> Self {
        match about(method) {
            About::Nothing => Self::Never,
            About::Head | About::Truth | About::Rewards => Self::Slots(head_slots(commitment)),
            About::Transaction | About::Block => Self::Slots(HISTORY_SLOTS),
            About::BlockTime => Self::Slots(1),
            About::Leaders | About::Epoch | About::Genesis => Self::Long,
        }
    }
}
