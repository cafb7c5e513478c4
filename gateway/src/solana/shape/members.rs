//! The members that the objects of each method have. Sources: the return types of Agave 4.5.

use crate::solana::Method;
use crate::solana::shape::kinds::ValueKind;

/// A member and what it is.
pub(super) type ShapeMember = (&'static [u8], ValueKind);

/// Members of a result, or of its value, if it is an object: at least one of them is present,
/// whoever adds others. The one that nodes write first comes first. Empty if the members are not
/// fixed.
pub(super) const fn members(method: Method) -> &'static [ShapeMember] {
    use {Method as M, ValueKind as K};
    match method {
        M::GetAccountInfo => ACCOUNT,
        M::GetBlock => &[
            (b"blockHeight", K::NumberOrNull),
            (b"blockTime", K::Any),
            (b"blockhash", K::String),
            (b"previousBlockhash", K::String),
        ],
        M::GetBlockCommitment => &[(b"commitment", K::Any), (b"totalStake", K::Number)],
        M::GetBlockProduction => &[(b"byIdentity", K::Object), (b"range", K::Object)],
        M::GetEpochInfo => &[
            (b"absoluteSlot", K::Number),
            (b"epoch", K::Number),
            (b"slotIndex", K::Number),
        ],
        M::GetEpochSchedule => &[
            (b"firstNormalEpoch", K::Number),
            (b"slotsPerEpoch", K::Number),
        ],
        M::GetHighestSnapshotSlot => &[(b"full", K::Number)],
        M::GetIdentity => &[(b"identity", K::String)],
        M::GetInflationGovernor => &[
            (b"foundation", K::Fraction),
            (b"initial", K::Fraction),
            (b"terminal", K::Fraction),
        ],
        M::GetInflationRate => &[
            (b"epoch", K::Number),
            (b"total", K::Fraction),
            (b"validator", K::Fraction),
        ],
        M::GetLatestBlockhash => &[
            (b"blockhash", K::String),
            (b"lastValidBlockHeight", K::Number),
        ],
        M::GetSupply => &[(b"circulating", K::Number), (b"total", K::Number)],
        M::GetTokenAccountBalance | M::GetTokenSupply => {
            &[(b"amount", K::String), (b"uiAmount", K::Any)]
        }
        M::GetTransaction => &[
            (b"blockTime", K::Any),
            (b"meta", K::ObjectOrNull),
            (b"slot", K::Number),
            (b"transaction", K::ArrayOrObject),
        ],
        M::GetVersion => &[
            (b"feature-set", K::NumberOrNull),
            (b"solana-core", K::String),
        ],
        M::GetVoteAccounts => &[(b"current", K::Array), (b"delinquent", K::Array)],
        M::SimulateTransaction => &[(b"accounts", K::Any), (b"err", K::Any), (b"logs", K::Any)],
        _ => &[],
    }
}

const ACCOUNT: &[ShapeMember] = &[
    (b"data", ValueKind::Any),
    (b"lamports", ValueKind::Number),
    (b"owner", ValueKind::String),
];

/// Whether an object has all its [`members`], since clients need every one.
pub(super) const fn needs_all(method: Method) -> bool {
    matches!(method, Method::GetLatestBlockhash | Method::GetVoteAccounts)
}

/// The same for the items of a result, or of its value, if they are objects.
pub(super) const fn item_members(method: Method) -> &'static [ShapeMember] {
    use {Method as M, ValueKind as K};
    match method {
        M::GetMultipleAccounts => ACCOUNT,
        M::GetProgramAccounts | M::GetTokenAccountsByDelegate | M::GetTokenAccountsByOwner => {
            &[(b"pubkey", K::String), (b"account", K::Object)]
        }
        M::GetClusterNodes => &[(b"pubkey", K::String)],
        M::GetInflationReward => &[(b"epoch", K::Number), (b"amount", K::Number)],
        M::GetLargestAccounts => &[(b"address", K::String), (b"lamports", K::Number)],
        M::GetRecentPerformanceSamples => &[(b"slot", K::Number), (b"numTransactions", K::Number)],
        M::GetRecentPrioritizationFees => {
            &[(b"slot", K::Number), (b"prioritizationFee", K::Number)]
        }
        M::GetSignaturesForAddress => &[(b"signature", K::String), (b"slot", K::Number)],
        M::GetSignatureStatuses => &[
            (b"slot", K::Number),
            (b"confirmations", K::NumberOrNull),
            (b"confirmationStatus", K::Any),
        ],
        M::GetTokenLargestAccounts => &[(b"address", K::String), (b"amount", K::String)],
        _ => &[],
    }
}
