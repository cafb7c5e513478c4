//! How old an answer is, and whether that matters to what it says.

use crate::solana::{self, Class, Heads};

/// What an answer says of its age.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::dispatch) struct AnswerAge {
    pub(in crate::dispatch) heads: Heads,
    /// It denies a blockhash, which a node further ahead may know.
    pub(in crate::dispatch) denies_blockhash: bool,
}

impl AnswerAge {
    /// Of the result of a call. It may be cut off after its beginning.
    pub(super) fn of(class: &Class, result: &[u8]) -> Self {
        Self {
            heads: solana::heads(class.method, result),
            denies_blockhash: solana::denies_blockhash(class.method, result),
        }
    }
}
