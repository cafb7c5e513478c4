//! The messages on the channel: which pools have traded, and at which slot.
//!
//! One message for many pools: a version byte, then 40 bytes for each, its address and the slot.

use crate::{Pubkey, Slot};

/// The channel.
pub const POOLS: &str = "pj:v1:pools";

const VERSION: u8 = 1;
const ENTRY: usize = 40;

/// The message about these pools.
pub fn announce(pools: impl IntoIterator<Item = (Pubkey, Slot)>) -> Vec<u8> {
    let mut message = vec![VERSION];
    for (pool, slot) in pools {
        message.extend(pool.0);
        message.extend(slot.0.to_be_bytes());
    }
    message
}

/// The pools of a message; none if its format version is unknown. A message may contain trades
/// older than those before.
pub fn announced(message: &[u8]) -> impl Iterator<Item = (Pubkey, Slot)> {
    let entries = message.strip_prefix(&[VERSION]).unwrap_or_default();
    entries.as_chunks::<ENTRY>().0.iter().filter_map(|entry| {
        let (pool, slot) = entry.split_first_chunk()?;
        let slot = slot.first_chunk()?;
        Some((Pubkey(*pool), Slot(u64::from_be_bytes(*slot))))
    })
}
