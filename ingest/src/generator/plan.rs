//! What a generator makes.

use std::sync::Arc;

use perijove_core::Slot;

use crate::record::UnixMillis;

/// What is made up. All shares are from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Other seeds give other streams.
    pub seed: u64,
    pub topic: Arc<str>,
    pub partitions: u32,
    pub first_slot: Slot,
    /// When the first slot began. Slots follow every 400 ms.
    pub start: UnixMillis,
    /// Messages that a block comes in. Only the last says the block's time.
    pub messages_per_block: u32,
    /// The most transactions in one message; there is one at least.
    pub transactions: usize,
    /// The most trades of one transaction; there is one at least.
    pub trades: usize,
    /// Pairs of tokens. The first are traded far more often than the last.
    pub pairs: usize,
    /// Transactions that failed.
    pub failed: f32,
    /// Transactions that went through Jupiter.
    pub jupiter: f32,
    /// Transactions whose amounts are also given in dollars.
    pub dollars: f32,
    /// Messages that come a second time.
    pub duplicates: f32,
    /// Messages that are none, and transactions that make no sense.
    pub poison: f32,
    /// Bytes of each transaction that no one reads. Real ones have about 10 000.
    pub ballast: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            topic: "solana.dextrades.proto".into(),
            partitions: 4,
            first_slot: Slot(373_000_000),
            start: UnixMillis(1_760_000_000_000),
            messages_per_block: 4,
            transactions: 20,
            trades: 3,
            pairs: 200,
            failed: 0.05,
            jupiter: 0.4,
            dollars: 0.8,
            duplicates: 0.01,
            poison: 0.0,
            ballast: 1_000,
        }
    }
}
