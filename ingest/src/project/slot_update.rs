//! An update of a slot.

use bytes::Bytes;
use perijove_core::Slot;

use crate::record::UnixMillis;

/// A slot of which something was heard. Only the slot itself is always known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotUpdate {
    pub slot: Slot,
    pub parent: Option<Slot>,
    pub height: Option<u64>,
    /// Of the block, 32 bytes; empty when it is not known.
    pub hash: Bytes,
    pub block_time: Option<UnixMillis>,
    /// When the record was written.
    pub recorded: UnixMillis,
}
