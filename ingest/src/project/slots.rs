//! Updates of slots.

use perijove_core::Slot;

use crate::decode::wire;
use crate::project::origin::block_time;
use crate::project::projected::Projected;
use crate::project::slot_update::SlotUpdate;
use crate::record::UnixMillis;

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
