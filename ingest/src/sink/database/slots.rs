//! Several messages about one slot.

use std::collections::BTreeMap;

use crate::project::SlotUpdate;

/// One update for each slot, with what any of them knows; the first that knows something wins.
pub(super) fn merged(updates: &[SlotUpdate]) -> Vec<SlotUpdate> {
    let mut slots: BTreeMap<_, SlotUpdate> = BTreeMap::new();
    for update in updates {
        slots
            .entry(update.slot)
            .and_modify(|known| {
                known.parent = known.parent.or(update.parent);
                known.height = known.height.or(update.height);
                known.block_time = known.block_time.or(update.block_time);
                if known.hash.is_empty() {
                    known.hash.clone_from(&update.hash);
                }
            })
            .or_insert_with(|| update.clone());
    }
    slots.into_values().collect()
}
