//! The verdicts on an upstream's health.

pub(super) mod address_check;
mod block_heights;
pub(super) mod clock;
pub(super) mod cluster;
pub(super) mod credibility;
pub(super) mod diagnosis;
pub(super) mod discovery;
mod halt;
pub(super) mod health_log;
mod pending_jump;
mod possible_slots;
pub(super) mod probe;
#[cfg(test)]
mod simulation;
pub(super) mod slot_look;
pub(super) mod slot_position;
mod survey;
pub(super) mod tracker;

/// The verdict on one upstream. The order is that of preference when none is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    Healthy,
    /// No good probe yet.
    #[default]
    Unprobed,
    /// Too many slots behind the tip.
    Lagging,
    /// It says so itself: -32005, or a failing `getHealth`.
    Unwell,
    /// It has received far more than it has processed.
    Stale,
    /// Its slot does not move.
    Stopped,
    /// Its slots have jumped: its genesis hash is being checked, and its slots do not count before.
    Suspect,
    /// Its probes fail.
    Failing,
    /// Its block height is impossible: not below the slot.
    Implausible,
    /// Another genesis hash. Never used, not even when nothing else is left.
    WrongCluster,
}

impl Health {
    pub const ALL: [Self; 10] = [
        Self::Healthy,
        Self::Unprobed,
        Self::Lagging,
        Self::Unwell,
        Self::Stale,
        Self::Stopped,
        Self::Suspect,
        Self::Failing,
        Self::Implausible,
        Self::WrongCluster,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unprobed => "unprobed",
            Self::Lagging => "lagging",
            Self::Unwell => "unwell",
            Self::Stale => "stale",
            Self::Stopped => "stopped",
            Self::Suspect => "suspect",
            Self::Failing => "failing",
            Self::Implausible => "implausible",
            Self::WrongCluster => "wrong-cluster",
        }
    }

    /// Whether its slots may count for the tip.
    pub(super) fn knows_the_tip(self) -> bool {
        !matches!(self, Self::WrongCluster | Self::Implausible | Self::Stopped)
    }

    /// Whether it contradicts one that is ahead of it.
    pub(super) fn is_a_witness(self) -> bool {
        matches!(self, Self::Healthy | Self::Unprobed | Self::Lagging)
    }

    /// Whether it was in service, so that the wider limit applies for leaving it.
    pub(super) fn serves(self) -> bool {
        matches!(self, Self::Healthy | Self::Unprobed)
    }
}

/// What an upstream says of its own health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SelfReport {
    #[default]
    Well,
    /// -32005, in an answer to `getHealth` or to another call.
    Unwell {
        /// By how many slots it calls itself behind, if it says so.
        behind: Option<u64>,
    },
}

/// A change of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HealthChange {
    pub(super) from: Health,
    pub(super) to: Health,
}

/// The result of `getBlockHeight` compared with the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeightCheck {
    Plausible,
    Implausible,
}
