//! The transaction of a row, the permanent key of the row, and which of two rows is newer.

use std::collections::HashSet;

use bytes::Bytes;
use perijove_core::{Pubkey, Signature, Slot};

use crate::decode::wire;
use crate::project::fault::{ProjectError, Skip};
use crate::record::UnixMillis;

/// The transaction of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub slot: Slot,
    /// Of the transaction in its block, from 0.
    pub index: u32,
    pub signature: Signature,
    /// The block's own time; only the last message of a block carries it.
    pub block_time: Option<UnixMillis>,
    /// When the record was written.
    pub recorded: UnixMillis,
}

impl Origin {
    /// The block's time where it is known, else the record's.
    pub fn time(&self) -> UnixMillis {
        self.block_time.unwrap_or(self.recorded)
    }
}

/// The permanent key of a trade or transfer: the same in every delivery and every duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    pub signature: Signature,
    /// Of the instruction in its transaction.
    pub instruction: u32,
    /// Of the row among those of its instruction, from 0.
    pub ordinal: u32,
}

/// What all transactions of one message share.
pub(super) struct Block {
    slot: Slot,
    time: Option<UnixMillis>,
    recorded: UnixMillis,
    seen: HashSet<Signature>,
}

impl Block {
    pub(super) fn new(header: Option<&wire::BlockHeader>, recorded: UnixMillis) -> Self {
        let timestamp = header.map_or(0, |header| header.timestamp);
        Self {
            slot: Slot(header.map_or(0, |header| header.slot)),
            time: block_time(timestamp),
            recorded,
            seen: HashSet::new(),
        }
    }

    pub(super) fn origin(&self, index: u32, signature: &[u8]) -> Result<Origin, ProjectError> {
        if signature.is_empty() {
            return Err(ProjectError::Missing("signature"));
        }
        Ok(Origin {
            slot: self.slot,
            index,
            signature: Signature::try_from(signature)
                .map_err(|error| ProjectError::length("signature", error))?,
            block_time: self.time,
            recorded: self.recorded,
        })
    }

    /// Why the rows of this transaction do not count, if so. A transaction that is not marked as
    /// successful has failed.
    pub(super) fn skip(
        &mut self,
        origin: &Origin,
        status: Option<&wire::TransactionStatus>,
    ) -> Option<Skip> {
        if !status.is_some_and(|status| status.success) {
            return Some(Skip::Failed);
        }
        (!self.first(origin)).then_some(Skip::Duplicate)
    }

    /// Whether the message has not had this transaction yet.
    pub(super) fn first(&mut self, origin: &Origin) -> bool {
        self.seen.insert(origin.signature)
    }
}

/// A time of 0 is none.
pub(super) fn block_time(seconds: i64) -> Option<UnixMillis> {
    (seconds > 0).then(|| UnixMillis::from_seconds(seconds))
}

/// Numbers the rows of each instruction in the order in which they come.
#[derive(Default)]
pub(super) struct Ordinals(Vec<(u32, u32)>);

impl Ordinals {
    pub(super) fn next(&mut self, instruction: u32) -> u32 {
        if let Some((_, next)) = self.0.iter_mut().find(|(of, _)| *of == instruction) {
            *next += 1;
            *next - 1
        } else {
            self.0.push((instruction, 1));
            0
        }
    }
}

/// A key that may be left out.
pub(super) fn key(field: &'static str, bytes: &Bytes) -> Result<Option<Pubkey>, ProjectError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let key =
        Pubkey::try_from(bytes.as_ref()).map_err(|error| ProjectError::length(field, error))?;
    Ok(Some(key))
}
