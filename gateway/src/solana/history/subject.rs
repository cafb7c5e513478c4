//! What a call asks of history, and where it looks.

use std::hash::{DefaultHasher, Hash, Hasher};

use perijove_core::Slot;

use crate::solana::{Capability, Class, Method};

/// The kind of history a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum History {
    /// One transaction.
    Transaction,
    /// The statuses of signatures.
    Statuses,
    /// A page of an account's signatures.
    Page,
    /// One block.
    Block,
    /// The time of one block.
    BlockTime,
    /// The stake that voted for one block.
    Commitment,
    /// The slots with blocks in a range.
    Blocks,
    /// The next slots with blocks, so many.
    BlocksWithLimit,
    /// The rewards of an epoch.
    Rewards,
}

/// Where in history a call looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryPosition {
    /// In this slot, or from it on.
    From(Slot),
    /// Signatures and accounts do not reveal their slots.
    Anywhere,
}

impl History {
    /// The history a call requests, if any.
    pub fn of(class: &Class, method_name: &str) -> Option<Self> {
        use Method as M;
        Some(match class.method {
            M::GetTransaction => Self::Transaction,
            M::GetSignatureStatuses if class.needs == Some(Capability::History) => Self::Statuses,
            M::GetSignaturesForAddress => Self::Page,
            M::GetBlock => Self::Block,
            M::GetBlockTime => Self::BlockTime,
            M::GetBlockCommitment => Self::Commitment,
            M::GetBlocks => Self::Blocks,
            M::GetBlocksWithLimit => Self::BlocksWithLimit,
            M::GetInflationReward => Self::Rewards,
            M::Other | M::Extension | M::NamedAsRead => {
                match method_name.strip_prefix("getConfirmed")? {
                    "Transaction" => Self::Transaction,
                    "Block" => Self::Block,
                    "Blocks" => Self::Blocks,
                    "BlocksWithLimit" => Self::BlocksWithLimit,
                    "SignaturesForAddress" | "SignaturesForAddress2" => Self::Page,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// The hash by which a signature is remembered, whatever the method.
pub fn signature_subject(signature: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (0_u8, signature).hash(&mut hasher);
    hasher.finish()
}
