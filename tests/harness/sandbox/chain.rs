//! The sandbox's chain: every block follows from its slot number and the line it is on, so that any
//! validator answers for any slot alike without storing history. What clients wrote lives in
//! `ledger`, what accounts hold in `accounts`.

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

/// One slot of each `SKIP_EVERY` has no block: this one on the main line, that one on forks.
const SKIP_EVERY: u64 = 41;
const SKIP_AT: u64 = 17;
const FORK_SKIP_AT: u64 = 29;

/// A line of blocks: the main one, which all end up on, or a fork of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Line {
    left_after: Option<u64>,
}

/// A slot on one of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    pub slot: u64,
    pub line: Line,
}

impl Line {
    /// The line everybody ends up on.
    pub const MAIN: Self = Self { left_after: None };

    /// A line that has the main one's blocks up to this slot, and its own from there.
    pub fn fork(left_after: u64) -> Self {
        Self {
            left_after: Some(left_after),
        }
    }

    /// The last slot it has in common with the main line; `None` if it is that.
    pub fn left_after(self) -> Option<u64> {
        self.left_after
    }

    /// Tells the states of different lines at a slot apart; 0 where it is the main line's.
    pub fn salt(self, slot: u64) -> u64 {
        match self.left_after {
            Some(after) if slot > after => after.wrapping_add(1),
            _ => 0,
        }
    }

    /// Whether no block was produced in `slot`.
    pub fn skipped(self, slot: u64) -> bool {
        let at = if self.salt(slot) == 0 {
            SKIP_AT
        } else {
            FORK_SKIP_AT
        };
        slot % SKIP_EVERY == at
    }

    /// The newest slot at or before `slot` that has a block.
    pub fn block_at_or_before(self, slot: u64) -> u64 {
        if self.skipped(slot) {
            slot.saturating_sub(1)
        } else {
            slot
        }
    }

    /// Number of blocks before the newest one at `slot`; always below the slot.
    pub fn height(self, slot: u64) -> u64 {
        let skips = |slot: u64, at: u64| slot / SKIP_EVERY + u64::from(slot % SKIP_EVERY >= at);
        let common = match self.left_after {
            Some(after) => slot.min(after),
            None => slot,
        };
        let own_skips = skips(slot, FORK_SKIP_AT) - skips(common, FORK_SKIP_AT);
        slot.saturating_sub(skips(common, SKIP_AT).saturating_add(own_skips))
    }

    /// The blockhash of `slot`, base58.
    pub fn blockhash(self, slot: u64) -> String {
        hash32(slot, 0x7065_7269_6a6f_7665 ^ self.salt(slot))
    }

    /// The slot a blockhash belongs to, looked for in the 300 slots up to `tip`.
    pub fn slot_of(self, blockhash_text: &str, tip: u64) -> Option<u64> {
        (tip.saturating_sub(300)..=tip)
            .rev()
            .find(|slot| self.blockhash(*slot) == blockhash_text)
    }

    /// Unix time at which `slot` was produced. A fork's clock is a second ahead.
    pub fn time(self, slot: u64) -> u64 {
        let since = slot / 5 * 2 + slot % 5 * 2 / 5;
        BIRTH
            .saturating_add(since)
            .saturating_add(u64::from(self.salt(slot) != 0))
    }
}

/// [`Line::skipped`] on the main line.
pub fn skipped(slot: u64) -> bool {
    Line::MAIN.skipped(slot)
}

/// [`Line::block_at_or_before`] on the main line.
pub fn block_at_or_before(slot: u64) -> u64 {
    Line::MAIN.block_at_or_before(slot)
}

/// [`Line::height`] on the main line.
pub fn height(slot: u64) -> u64 {
    Line::MAIN.height(slot)
}

/// [`Line::blockhash`] on the main line.
pub fn blockhash(slot: u64) -> String {
    Line::MAIN.blockhash(slot)
}

/// [`Line::slot_of`] on the main line.
pub fn slot_of(blockhash_text: &str, tip: u64) -> Option<u64> {
    Line::MAIN.slot_of(blockhash_text, tip)
}

/// [`Line::time`] on the main line.
pub fn time(slot: u64) -> u64 {
    Line::MAIN.time(slot)
}

/// The identity of validator `index`, base58.
pub fn identity(index: usize) -> String {
    hash32(u64::try_from(index).unwrap_or(u64::MAX), 0x0076_616c_6964)
}

/// 32 bytes that look like a hash, from a number and a salt.
pub(super) fn hash32(number: u64, salt: u64) -> String {
    bs58::encode(noise(number, salt, 4)).into_string()
}

/// 64 bytes that look like a signature, from a number and a salt.
pub(super) fn hash64(number: u64, salt: u64) -> String {
    bs58::encode(noise(number, salt, 8)).into_string()
}

/// So many words of eight bytes that follow from a number and a salt.
fn noise(number: u64, salt: u64, words: usize) -> Vec<u8> {
    let mut state = number ^ salt.rotate_left(17);
    let mut bytes = Vec::with_capacity(8 * words);
    for _ in 0..words {
        state = state.wrapping_add(GAMMA);
        bytes.extend_from_slice(&mix(state).to_be_bytes());
    }
    bytes
}

/// The step between the states of splitmix64.
pub(super) const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output of splitmix64 for a state.
pub(crate) fn mix(state: u64) -> u64 {
    let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
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
    fn a_fork_shares_what_was_before_it_and_nothing_after() {
        let fork = Line::fork(1_000);
        for slot in 900..=1_000 {
            assert_eq!(fork.blockhash(slot), blockhash(slot));
            assert_eq!(fork.height(slot), height(slot));
            assert_eq!(fork.skipped(slot), skipped(slot));
        }
        for slot in 1_001..1_200 {
            assert_ne!(fork.blockhash(slot), blockhash(slot));
            assert_ne!(fork.blockhash(slot), Line::fork(999).blockhash(slot));
            assert_ne!(fork.time(slot), time(slot));
            let step = u64::from(!fork.skipped(slot));
            assert_eq!(
                fork.height(slot),
                fork.height(slot - 1) + step,
                "slot {slot}"
            );
            assert!(!fork.skipped(fork.block_at_or_before(slot)));
        }
        assert!((1_001..1_200).any(|slot| fork.skipped(slot) != skipped(slot)));
    }

    #[test]
    fn a_blockhash_leads_back_to_its_slot() {
        assert_eq!(slot_of(&blockhash(4_321), 4_400), Some(4_321));
        assert_eq!(slot_of(&blockhash(4_321), 5_000), None);
        assert_eq!(slot_of("nonsense", 5_000), None);
    }
}
