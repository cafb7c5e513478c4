//! That there is a new slot.

use bytes::Bytes;
use perijove_core::Slot;

use crate::decode::wire;
use crate::project::Projected;
use crate::project::origin::block_time;
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

pub(super) fn project(header: &wire::BlockHeader, recorded: UnixMillis) -> Projected {
    let known = |number: u64| (number > 0).then_some(number);
    let update = SlotUpdate {
        slot: Slot(header.slot),
        parent: known(header.parent_slot).map(Slot),
        height: known(header.height),
        hash: header.hash.clone(),
        block_time: block_time(header.timestamp),
        recorded,
    };
    Projected {
        slots: vec![update],
        ..Projected::default()
    }
}
