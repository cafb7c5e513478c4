//! What applies to a method, independent of a call's parameters. [`super::table`] has the profile
//! of each method.

use perijove_core::Commitment;
use schemars::JsonSchema;

use super::Capability;

/// Which call goes first when there is not enough for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Priority {
    /// Only when nothing else waits.
    Background,
    /// Scans and history.
    Low,
    /// Ordinary reads.
    Medium,
    /// What a trade waits for.
    High,
    /// The trade itself.
    Critical,
}

impl Priority {
    /// From the lowest.
    pub const ALL: [Self; 5] = [
        Self::Background,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The name in the `x-priority` header and in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What happens if a call is executed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// Nothing.
    Read,
    /// Nothing beyond the first time: the cluster identifies a transaction by its signature.
    WriteBySignature,
    /// It takes effect twice.
    WriteOnce,
    /// Not known: never hedged, retried only if it was certainly not executed.
    Unknown,
}

impl Idempotency {
    /// Whether the same bytes may be sent anywhere any number of times.
    pub const fn is_repeatable(self) -> bool {
        matches!(self, Self::Read | Self::WriteBySignature)
    }
}

/// When an answer stops changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finality {
    /// Never kept: a write, a simulation, or a status that somebody waits for.
    Never,
    /// Valid for one node; never mixed across upstreams.
    NodeSpecific,
    /// Changes with every slot.
    MovingHead,
    /// About a slot or a signature: fixed once that is finalized and the answer is not `null`.
    Pinned,
    /// Fixed for an epoch.
    PerEpoch,
    /// Fixed with the cluster's genesis.
    Genesis,
}

/// How a method reads its commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitmentRule {
    /// It has none.
    None,
    /// Beside other members; an unknown level counts as absent.
    Flattened,
    /// In an object of its own; an unknown level is refused by the upstream with -32602.
    Bare,
    /// As `preflightCommitment`.
    Preflight,
}

/// What applies to every call of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Unless plan or header say otherwise.
    pub priority: Priority,
    /// In units of the cheapest call.
    pub cost: u32,
    /// What a second execution would do.
    pub idempotency: Idempotency,
    /// When an answer stops changing.
    pub finality: Finality,
    /// What an upstream needs to answer; `None` for what every node answers.
    pub capability: Option<Capability>,
    /// Which parameter is the configuration object.
    pub config_index: Option<usize>,
    /// The result is `{"context":…,"value":…}`.
    pub wrapped: bool,
    /// How the commitment is read.
    pub commitment: CommitmentRule,
    /// The weakest level it accepts; below, Agave answers -32602.
    pub floor: Commitment,
    /// The level if none is given.
    pub default: Commitment,
    /// It takes `minContextSlot`.
    pub min_context_slot: bool,
    /// It takes an upstream seconds, or the answer has megabytes.
    pub heavy: bool,
}

impl Profile {
    /// Whether an answer is about one node, not about the cluster.
    pub const fn node_specific(&self) -> bool {
        matches!(self.finality, Finality::NodeSpecific)
    }
}
