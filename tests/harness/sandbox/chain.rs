//! The sandbox's chain: every block follows from its slot number, so that any validator answers
//! for any slot alike without storing history. What clients wrote lives in `ledger`.

/// The genesis hash of the sandbox cluster.
pub const GENESIS: &str = "8JACGLhxajD5UzEa3ACYQX38yehqPzvShCWLYGPieEMa";

/// Mainnet's genesis hash: what a validator of the wrong cluster answers.
pub const OTHER_GENESIS: &str = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";

/// Slots per epoch, as on mainnet.
pub const SLOTS_PER_EPOCH: u64 = 432_000;

/// Validators keep this many slots of history; older blocks are cleaned up.
pub const HISTORY: u64 = 100_000;

/// Unix time of slot 0.
const BIRTH: u64 = 1_676_000_000;

/// One slot of each `SKIP_EVERY` has no block.
const SKIP_EVERY: u64 = 41;
const SKIP_AT: u64 = 17;

/// Whether no block was produced in `slot`.
pub fn skipped(slot: u64) -> bool {
    slot % SKIP_EVERY == SKIP_AT
}

/// The newest slot at or before `slot` that has a block.
pub fn block_at_or_before(slot: u64) -> u64 {
    if skipped(slot) {
        slot.saturating_sub(1)
    } else {
        slot
    }
}

/// Number of blocks before the newest one at `slot`; always below the slot.
pub fn height(slot: u64) -> u64 {
    let skips = (slot + SKIP_EVERY - SKIP_AT) / SKIP_EVERY;
    slot.saturating_sub(skips)
}

/// The blockhash of `slot`, base58.
pub fn blockhash(slot: u64) -> String {
    hash32(slot, 0x7065_7269_6a6f_7665)
}

/// The slot a blockhash belongs to, looked for in the 300 slots up to `tip`.
pub fn slot_of(blockhash_text: &str, tip: u64) -> Option<u64> {
    (tip.saturating_sub(300)..=tip)
        .rev()
        .find(|slot| blockhash(*slot) == blockhash_text)
}

/// Unix time at which `slot` was produced.
pub fn time(slot: u64) -> u64 {
    BIRTH + slot * 2 / 5
}

/// The identity of validator `index`, base58.
pub fn identity(index: usize) -> String {
    hash32(u64::try_from(index).unwrap_or(u64::MAX), 0x0076_616c_6964)
}

/// 32 bytes that look like a hash, from a number and a salt (splitmix64).
fn hash32(number: u64, salt: u64) -> String {
    let mut state = number ^ salt.rotate_left(17);
    let mut bytes = Vec::with_capacity(32);
    for _ in 0..4 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_be_bytes());
    }
    bs58::encode(bytes).into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_stay_below_slots_and_grow_by_one_per_block() {
        for slot in 1..2_000 {
            assert!(height(slot) < slot || slot <= SKIP_AT);
            let step = u64::from(!skipped(slot));
            assert_eq!(height(slot), height(slot - 1) + step, "slot {slot}");
        }
    }

    #[test]
    fn a_blockhash_leads_back_to_its_slot() {
        assert_eq!(slot_of(&blockhash(4_321), 4_400), Some(4_321));
        assert_eq!(slot_of(&blockhash(4_321), 5_000), None);
        assert_eq!(slot_of("nonsense", 5_000), None);
    }
}
