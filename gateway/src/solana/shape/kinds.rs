//! The kind of value that each method returns, and that its lists have. Sources: the return types of
//! Agave 4.5.

use crate::jsonrpc::Token;
use crate::solana::Method;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Any,
    Array,
    /// An array, or with a context around it.
    ArrayOrObject,
    Bool,
    /// A number of any kind.
    Fraction,
    /// A whole one.
    Number,
    Object,
    String,
    /// A number, or `null` if it does not exist.
    NumberOrNull,
    /// An object, or `null` if it does not exist.
    ObjectOrNull,
}

impl ValueKind {
    pub(super) const fn takes(self, token: Token) -> bool {
        use {Token as T, ValueKind as K};
        matches!(
            (self, token),
            (K::Any, _)
                | (K::Array | K::ArrayOrObject, T::Array)
                | (K::ArrayOrObject | K::Object | K::ObjectOrNull, T::Object)
                | (K::Bool, T::Bool)
                | (K::Fraction | K::Number | K::NumberOrNull, T::Number)
                | (K::String, T::String)
                | (K::NumberOrNull | K::ObjectOrNull, T::Null)
        )
    }
}

/// How a result is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Bare.
    Plain(ValueKind),
    /// `{"context":…,"value":…}` with this value.
    Wrapped(ValueKind),
}

/// The table of the methods. Methods that Agave does not have, or has only since recently, may
/// return anything.
pub(super) const fn shape(method: Method) -> Shape {
    use {Method as M, Shape::Plain, Shape::Wrapped};
    match method {
        M::GetAccountInfo => Wrapped(ValueKind::ObjectOrNull),
        M::GetFeeForMessage => Wrapped(ValueKind::NumberOrNull),
        M::GetBalance | M::GetStakeMinimumDelegation => Wrapped(ValueKind::Number),
        M::IsBlockhashValid => Wrapped(ValueKind::Bool),
        M::GetBlockProduction
        | M::GetLatestBlockhash
        | M::GetSupply
        | M::GetTokenAccountBalance
        | M::GetTokenSupply
        | M::SimulateTransaction => Wrapped(ValueKind::Object),
        M::GetLargestAccounts
        | M::GetMultipleAccounts
        | M::GetSignatureStatuses
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts => Wrapped(ValueKind::Array),

        M::GetBlockHeight
        | M::GetFirstAvailableBlock
        | M::GetMaxRetransmitSlot
        | M::GetMaxShredInsertSlot
        | M::GetMinimumBalanceForRentExemption
        | M::GetSlot
        | M::GetTransactionCount
        | M::MinimumLedgerSlot => Plain(ValueKind::Number),
        M::GetGenesisHash
        | M::GetHealth
        | M::GetSlotLeader
        | M::RequestAirdrop
        | M::SendTransaction => Plain(ValueKind::String),
        M::GetBlockCommitment
        | M::GetEpochInfo
        | M::GetEpochSchedule
        | M::GetHighestSnapshotSlot
        | M::GetIdentity
        | M::GetInflationGovernor
        | M::GetInflationRate
        | M::GetVersion
        | M::GetVoteAccounts => Plain(ValueKind::Object),
        M::GetBlocks
        | M::GetBlocksWithLimit
        | M::GetClusterNodes
        | M::GetInflationReward
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetSlotLeaders => Plain(ValueKind::Array),
        M::GetProgramAccounts => Plain(ValueKind::ArrayOrObject),
        M::GetBlock | M::GetLeaderSchedule | M::GetTransaction => Plain(ValueKind::ObjectOrNull),
        M::GetBlockTime => Plain(ValueKind::NumberOrNull),

        M::GetAgGenesisCert | M::GetRankMap | M::Extension | M::NamedAsRead | M::Other => {
            Plain(ValueKind::Any)
        }
    }
}

/// The type of the items of a result, or of its value, if it is an array.
pub(super) const fn items(method: Method) -> ValueKind {
    use Method as M;
    match method {
        M::GetBlocks | M::GetBlocksWithLimit => ValueKind::Number,
        M::GetSlotLeaders => ValueKind::String,
        M::GetInflationReward | M::GetMultipleAccounts | M::GetSignatureStatuses => {
            ValueKind::ObjectOrNull
        }
        M::GetClusterNodes
        | M::GetLargestAccounts
        | M::GetProgramAccounts
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts => ValueKind::Object,
        _ => ValueKind::Any,
    }
}
