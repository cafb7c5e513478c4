//! How repairs end.

/// Outcome of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum RepairOutcome {
    /// Something was missed and has been delivered.
    Told,
    /// Nothing was missed.
    Nothing,
    /// Not known in time.
    Failed,
    /// It cannot be known.
    Impossible,
}

impl RepairOutcome {
    pub(in crate::pubsub) const ALL: [Self; 4] =
        [Self::Told, Self::Nothing, Self::Failed, Self::Impossible];

    pub(in crate::pubsub) fn label(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::Impossible => "impossible",
        }
    }
}
