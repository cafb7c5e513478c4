//! The longest lifetime of each method's answers, for comparing what an operator writes with it.

use crate::solana::{Finality, Method};

/// How long an answer of a method is given at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    /// Not at all.
    Never,
    /// This many slots; answers about one slot then stay for good once it is final.
    Slots(u32),
    /// For an epoch or longer.
    Long,
}

impl Usual {
    /// At the commitment at which it is longest.
    pub(super) fn of(method: Method) -> Self {
        match (method, method.profile().finality) {
            (
                Method::Other
                | Method::GetAgGenesisCert
                | Method::GetRankMap
                | Method::GetSignatureStatuses,
                _,
            )
            | (_, Finality::Never | Finality::NodeSpecific) => Self::Never,
            (Method::GetTransaction | Method::GetBlock, _) => Self::Slots(4),
            (Method::GetBlockTime, _) => Self::Slots(1),
            (_, Finality::MovingHead | Finality::Pinned) => Self::Slots(2),
            (_, Finality::PerEpoch | Finality::Genesis) => Self::Long,
        }
    }
}
