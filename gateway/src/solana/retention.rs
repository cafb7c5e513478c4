//! How long an answer is valid: the finality rules of each method, applied to one answer. The cache
//! counts the slots.
//!
//! Reads an answer no further than necessary: a wrapped one has what matters at its beginning, a
//! block's slot is in the call. Only what [`pinned`] reads is read to the end at worst.

use perijove_core::{Commitment, Slot};

use super::{Class, Method, heads};
use crate::jsonrpc::{Answer, Cursor, ErrorObject, Token};

mod default_retention;
mod duration;
mod pinned;

pub use default_retention::DefaultRetention;
use duration::EPOCH_SLOTS;
pub use duration::Retention;

/// The result for one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedRetention {
    /// For how long.
    pub keep: Retention,
    /// The slot it was read at, if the answer itself says so, at the commitment of the call.
    pub read_at: Option<Slot>,
}

/// A minute: how long a skipped slot is reported as such. Another node's storage may still have it.
const SKIPPED_SLOTS: u32 = 150;

/// What a method's answers are about, as far as needed to date them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerSubject {
    /// A write, a simulation, a status somebody waits for, or one node.
    Nothing,
    /// The head of the chain.
    Head,
    /// The head, while the answer is `true`: a lagging node says `false` of what it will know
    /// later.
    Truth,
    /// The transaction's slot, which the result names.
    Transaction,
    /// The block of the slot in the call.
    Block,
    /// The time of the slot in the call, on any fork.
    BlockTime,
    /// An epoch's rewards, paid in slots the result names.
    Rewards,
    /// The leaders of one slot's epoch, or of the present one.
    Leaders,
    /// The present epoch.
    Epoch,
    /// The genesis.
    Genesis,
}

/// The table of the methods.
const fn about(method: Method) -> AnswerSubject {
    use Method as M;
    match method {
        M::GetAccountInfo
        | M::GetBalance
        | M::GetBlockCommitment
        | M::GetBlockHeight
        | M::GetBlockProduction
        | M::GetBlocks
        | M::GetBlocksWithLimit
        | M::GetClusterNodes
        | M::GetEpochInfo
        | M::GetFeeForMessage
        | M::GetLargestAccounts
        | M::GetLatestBlockhash
        | M::GetMultipleAccounts
        | M::GetProgramAccounts
        | M::GetRecentPerformanceSamples
        | M::GetRecentPrioritizationFees
        | M::GetSignaturesForAddress
        | M::GetSlot
        | M::GetSlotLeader
        | M::GetStakeMinimumDelegation
        | M::GetSupply
        | M::GetTokenAccountBalance
        | M::GetTokenAccountsByDelegate
        | M::GetTokenAccountsByOwner
        | M::GetTokenLargestAccounts
        | M::GetTokenSupply
        | M::GetTransactionCount
        | M::GetVoteAccounts => AnswerSubject::Head,
        M::IsBlockhashValid => AnswerSubject::Truth,
        M::GetTransaction => AnswerSubject::Transaction,
        M::GetBlock => AnswerSubject::Block,
        M::GetBlockTime => AnswerSubject::BlockTime,
        M::GetInflationReward => AnswerSubject::Rewards,
        M::GetLeaderSchedule => AnswerSubject::Leaders,
        M::GetInflationGovernor
        | M::GetInflationRate
        | M::GetMinimumBalanceForRentExemption
        | M::GetSlotLeaders => AnswerSubject::Epoch,
        M::GetEpochSchedule | M::GetGenesisHash => AnswerSubject::Genesis,
        M::GetAgGenesisCert
        | M::GetFirstAvailableBlock
        | M::GetHealth
        | M::GetHighestSnapshotSlot
        | M::GetIdentity
        | M::GetMaxRetransmitSlot
        | M::GetMaxShredInsertSlot
        | M::GetRankMap
        | M::GetSignatureStatuses
        | M::GetVersion
        | M::MinimumLedgerSlot
        | M::RequestAirdrop
        | M::SendTransaction
        | M::SimulateTransaction
        | M::Other
        | M::Extension
        | M::NamedAsRead => AnswerSubject::Nothing,
    }
}

/// Judges one answer to a call of this class.
pub fn keep(class: &Class, params: Option<&[u8]>, answer: &Answer) -> DatedRetention {
    let about = about(class.method);
    let judged = about != AnswerSubject::Nothing && class.refusal.is_none();
    let (keep, read_at) = match (answer.result(), answer.error()) {
        (Some(result), _) if judged => (
            of_result(about, class, params, result),
            read_at(class, result),
        ),
        // An error without an id may be about anything.
        (_, Some(error)) if judged && !answer.is_anonymous() => (of_error(class, error), None),
        _ => (Retention::Never, None),
    };
    DatedRetention { keep, read_at }
}

fn of_result(
    about: AnswerSubject,
    class: &Class,
    params: Option<&[u8]>,
    result: &[u8],
) -> Retention {
    let mut cursor = Cursor::new(result);
    if class.profile().wrapped && cursor.token() != Some(Token::Null) {
        // A result that the method cannot have is not kept.
        if cursor.member(b"value").is_none() {
            return Retention::Never;
        }
    }
    let token = match cursor.token() {
        // What does not exist now may exist in the next slot.
        Some(Token::Null) => return Retention::Head { slots: 1 },
        Some(token) => token,
        None => return Retention::Never,
    };
    let head = Retention::Head {
        slots: head_slots(class.context.commitment),
    };
    match about {
        AnswerSubject::Head => head,
        AnswerSubject::Truth if cursor.value() == Some(b"true") => head,
        AnswerSubject::Truth | AnswerSubject::Nothing => Retention::Never,
        AnswerSubject::Transaction => pinned::transaction(result),
        AnswerSubject::Block => pinned::block(class.pinned_slot, token),
        AnswerSubject::BlockTime => pinned::block_time(class.pinned_slot, token),
        AnswerSubject::Rewards => pinned::rewards(params, result).unwrap_or(head),
        AnswerSubject::Leaders => pinned::leaders(params, token),
        AnswerSubject::Epoch => Retention::Epoch { slots: EPOCH_SLOTS },
        AnswerSubject::Genesis => Retention::Forever,
    }
}

/// A skipped slot stays skipped; every other error may be different for the next caller.
fn of_error(class: &Class, error: &ErrorObject) -> Retention {
    match (class.method, error.code, class.pinned_slot) {
        (Method::GetBlock | Method::GetBlockTime, -32007 | -32009, Some(about)) => {
            Retention::Absent {
                about,
                slots: SKIPPED_SLOTS,
            }
        }
        _ => Retention::Never,
    }
}

/// Finalized state is 32 slots behind anyway.
const fn head_slots(commitment: Commitment) -> u32 {
    match commitment {
        Commitment::Processed | Commitment::Confirmed => 1,
        Commitment::Finalized => 2,
    }
}

/// The slot of a wrapped result's context, or of an answer that is a slot.
fn read_at(class: &Class, result: &[u8]) -> Option<Slot> {
    heads(class.method, result).slot()
}

#[cfg(test)]
mod tests;
