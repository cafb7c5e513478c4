//! The method table. Sources: Agave 4.5's RPC service for parameters and commitment, Perijove's own
//! judgement for priority, cost and finality.

use perijove_core::Commitment;

use super::{Capability, CommitmentRule, Finality, Idempotency, Method, Priority, Profile};

/// A cheap read of the minimal API without parameters.
const PLAIN: Profile = Profile {
    priority: Priority::Medium,
    cost: 1,
    idempotency: Idempotency::Read,
    finality: Finality::MovingHead,
    capability: None,
    config_index: None,
    wrapped: false,
    commitment: CommitmentRule::None,
    floor: Commitment::Processed,
    default: Commitment::Finalized,
    min_context_slot: false,
    heavy: false,
};

/// A cheap read that needs the full API.
const FULL: Profile = Profile {
    capability: Some(Capability::FullApi),
    ..PLAIN
};

/// About one node.
const NODE: Profile = Profile {
    finality: Finality::NodeSpecific,
    ..PLAIN
};

/// From the node's transaction history.
const HISTORY: Profile = Profile {
    priority: Priority::Low,
    cost: 10,
    finality: Finality::Pinned,
    capability: Some(Capability::History),
    ..PLAIN
};

/// Over all accounts.
const SCAN: Profile = Profile {
    priority: Priority::Low,
    cost: 25,
    capability: Some(Capability::Index),
    wrapped: true,
    heavy: true,
    ..PLAIN
};

impl Profile {
    /// The configuration has a commitment among other members.
    const fn config(self, index: usize) -> Self {
        Self {
            config_index: Some(index),
            commitment: CommitmentRule::Flattened,
            ..self
        }
    }

    /// Takes a bare commitment object.
    const fn bare(self, index: usize) -> Self {
        Self {
            config_index: Some(index),
            commitment: CommitmentRule::Bare,
            ..self
        }
    }

    /// The configuration has `minContextSlot`.
    const fn min_slot(self) -> Self {
        Self {
            min_context_slot: true,
            ..self
        }
    }

    /// The result contains its context.
    const fn wrapped(self) -> Self {
        Self {
            wrapped: true,
            ..self
        }
    }

    /// Refuses `processed`.
    const fn confirmed(self) -> Self {
        Self {
            floor: Commitment::Confirmed,
            ..self
        }
    }

    const fn cost(self, cost: u32) -> Self {
        Self { cost, ..self }
    }

    const fn priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    const fn finality(self, finality: Finality) -> Self {
        Self { finality, ..self }
    }

    const fn heavy(self) -> Self {
        Self {
            heavy: true,
            ..self
        }
    }
}

impl Method {
    /// The method's row of the table.
    #[allow(clippy::too_many_lines, reason = "a table: one row per method")]
    pub const fn profile(self) -> &'static Profile {
        match self {
            // Accounts.
            Self::GetAccountInfo => const { &FULL.config(1).min_slot().wrapped() },
            Self::GetMultipleAccounts => const { &FULL.config(1).min_slot().wrapped().cost(2) },
            Self::GetBalance => const { &PLAIN.config(1).min_slot().wrapped() },
            Self::GetTokenAccountBalance | Self::GetTokenSupply => {
                const { &FULL.bare(1).wrapped() }
            }
            Self::GetProgramAccounts => {
                const {
                    &Profile {
                        wrapped: false,
                        ..SCAN
                    }
                    .config(1)
                    .min_slot()
                    .cost(50)
                }
            }
            Self::GetTokenAccountsByOwner | Self::GetTokenAccountsByDelegate => {
                const { &SCAN.config(2).min_slot().cost(10) }
            }
            Self::GetTokenLargestAccounts => const { &SCAN.bare(1) },
            Self::GetLargestAccounts | Self::GetSupply => const { &SCAN.config(0).cost(50) },

            // The head of the cluster.
            Self::GetSlot
            | Self::GetBlockHeight
            | Self::GetTransactionCount
            | Self::GetEpochInfo => const { &PLAIN.config(0).min_slot() },
            Self::GetSlotLeader => const { &FULL.config(0).min_slot() },
            Self::GetLatestBlockhash => {
                const { &FULL.config(0).min_slot().wrapped().priority(Priority::High) }
            }
            Self::IsBlockhashValid | Self::GetFeeForMessage => {
                const { &FULL.config(1).min_slot().wrapped() }
            }
            Self::GetRecentPrioritizationFees => const { &FULL.cost(2) },
            Self::GetRecentPerformanceSamples => const { &FULL },

            // Transactions.
            Self::SendTransaction => {
                const {
                    &Profile {
                        priority: Priority::Critical,
                        cost: 10,
                        idempotency: Idempotency::WriteBySignature,
                        finality: Finality::Never,
                        commitment: CommitmentRule::Preflight,
                        config_index: Some(1),
                        min_context_slot: true,
                        ..FULL
                    }
                }
            }
            Self::SimulateTransaction => {
                const {
                    &FULL
                        .config(1)
                        .min_slot()
                        .wrapped()
                        .cost(5)
                        .priority(Priority::High)
                        .finality(Finality::Never)
                }
            }
            Self::RequestAirdrop => {
                const {
                    &Profile {
                        idempotency: Idempotency::WriteOnce,
                        finality: Finality::Never,
                        capability: Some(Capability::Airdrop),
                        ..FULL
                    }
                    .config(2)
                    .cost(5)
                }
            }
            Self::GetSignatureStatuses => {
                const {
                    &Profile {
                        default: Commitment::Processed,
                        ..FULL
                    }
                    .config(1)
                    .min_slot()
                    .wrapped()
                    .cost(2)
                    .priority(Priority::High)
                    .finality(Finality::Never)
                }
            }

            // History.
            Self::GetTransaction => const { &HISTORY.config(1).min_slot().confirmed() },
            Self::GetBlock => const { &HISTORY.config(1).confirmed().cost(20).heavy() },
            Self::GetBlockTime => const { &HISTORY.cost(1).priority(Priority::Medium) },
            Self::GetBlocks | Self::GetBlocksWithLimit => {
                const { &HISTORY.config(2).min_slot().confirmed().cost(5) }
            }
            Self::GetSignaturesForAddress => {
                const {
                    &HISTORY
                        .config(1)
                        .min_slot()
                        .confirmed()
                        .finality(Finality::MovingHead)
                }
            }
            Self::GetInflationReward => {
                const {
                    &HISTORY
                        .config(1)
                        .min_slot()
                        .cost(20)
                        .heavy()
                        .finality(Finality::PerEpoch)
                }
            }
            Self::GetBlockCommitment => const { &FULL.finality(Finality::Pinned) },
            Self::GetBlockProduction => const { &FULL.config(0).wrapped().cost(5) },

            // Epochs and stake.
            Self::GetInflationGovernor => const { &FULL.bare(0).finality(Finality::PerEpoch) },
            Self::GetInflationRate | Self::GetSlotLeaders => {
                const { &FULL.finality(Finality::PerEpoch) }
            }
            Self::GetEpochSchedule => const { &FULL.finality(Finality::Genesis) },
            Self::GetGenesisHash => const { &PLAIN.finality(Finality::Genesis) },
            Self::GetLeaderSchedule => {
                const { &PLAIN.config(1).cost(5).heavy().finality(Finality::PerEpoch) }
            }
            Self::GetMinimumBalanceForRentExemption => {
                const { &FULL.bare(1).finality(Finality::PerEpoch) }
            }
            Self::GetStakeMinimumDelegation => {
                const {
                    &FULL
                        .config(0)
                        .min_slot()
                        .wrapped()
                        .finality(Finality::PerEpoch)
                }
            }
            Self::GetVoteAccounts => const { &PLAIN.config(0).cost(5).heavy() },

            // Single nodes.
            Self::GetVersion
            | Self::GetIdentity
            | Self::GetHealth
            | Self::GetHighestSnapshotSlot => const { &NODE },
            Self::GetFirstAvailableBlock
            | Self::MinimumLedgerSlot
            | Self::GetMaxRetransmitSlot
            | Self::GetMaxShredInsertSlot => {
                const {
                    &Profile {
                        capability: Some(Capability::FullApi),
                        ..NODE
                    }
                }
            }
            Self::GetClusterNodes => {
                const {
                    &Profile {
                        finality: Finality::MovingHead,
                        ..FULL
                    }
                    .cost(5)
                    .heavy()
                }
            }

            // Alpenglow builds.
            Self::GetAgGenesisCert => {
                const {
                    &Profile {
                        capability: Some(Capability::Alpenglow),
                        ..PLAIN
                    }
                }
            }
            Self::GetRankMap => {
                const {
                    // Always from the finalized bank; its configuration refuses a commitment.
                    &Profile {
                        capability: Some(Capability::Alpenglow),
                        config_index: Some(1),
                        ..PLAIN
                    }
                    .min_slot()
                    .wrapped()
                }
            }

            // Their parameters and answers are unknown, so the answers are not kept.
            Self::Extension | Self::NamedAsRead => {
                const { &PLAIN.cost(5).finality(Finality::Never) }
            }
            Self::Other => {
                const {
                    &Profile {
                        cost: 5,
                        idempotency: Idempotency::Unknown,
                        finality: Finality::Never,
                        ..PLAIN
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
