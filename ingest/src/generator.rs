//! A synthetic stream of DEX trades, as Bitquery would send it: identical bytes for the same plan.
//! For tests, the demo and benchmarks.
//!
//! Real messages in what matters downstream: several messages to a block, several transactions to a
//! message, several trades to a transaction, a few hot pairs among many, routes through Jupiter
//! with their sum, failed transactions, duplicates, and ballast as large as what is skipped of real
//! ones. Not real: the market.

mod encode;
mod market;
mod plan;
mod transaction;

use std::sync::Arc;

use bytes::Bytes;
use perijove_core::Slot;

use crate::decode::wire;
use crate::record::{Place, Record, UnixMillis};
use market::SampleMarket;

pub use plan::Plan;

/// How long a slot takes.
pub const SLOT_MILLIS: i64 = 400;

/// The records of a plan, without end.
#[derive(Clone, Debug)]
pub struct Generator {
    plan: Plan,
    random: fastrand::Rng,
    market: SampleMarket,
    slot: Slot,
    /// Which message of the block comes next.
    message: u32,
    /// How many transactions the block has had.
    transactions: u32,
    /// The next offset of each partition.
    offsets: Vec<i64>,
    /// A record that is to come once more.
    again: Option<Record>,
}

impl Generator {
    pub fn new(plan: Plan) -> Self {
        let mut random = fastrand::Rng::with_seed(plan.seed);
        let market = SampleMarket::new(&mut random, plan.pairs);
        Self {
            slot: plan.first_slot,
            offsets: vec![0; plan.partitions.max(1) as usize],
            random,
            market,
            message: 0,
            transactions: 0,
            again: None,
            plan,
        }
    }

    /// Milliseconds from the start to the slot that is being made.
    fn elapsed(&self) -> i64 {
        let slots = self.slot.0.saturating_sub(self.plan.first_slot.0);
        i64::try_from(slots)
            .unwrap_or(i64::MAX)
            .saturating_mul(SLOT_MILLIS)
    }

    fn chance(&mut self, share: f32) -> bool {
        self.random.f32() < share
    }

    /// Puts a payload at the end of the slot's partition.
    fn record(&mut self, payload: Bytes, timestamp: UnixMillis, slot: Slot) -> Record {
        let partition = slot.0 % self.offsets.len() as u64;
        let offset = match self
            .offsets
            .get_mut(usize::try_from(partition).unwrap_or(0))
        {
            Some(next) => {
                *next += 1;
                *next - 1
            }
            None => 0,
        };
        Record {
            place: Place {
                topic: Arc::clone(&self.plan.topic),
                partition: i32::try_from(partition).unwrap_or(i32::MAX),
                offset,
            },
            timestamp: Some(timestamp),
            key: Some(slot.to_string().into()),
            payload: Some(payload),
        }
    }

    fn payload(&mut self, header: &wire::BlockHeader) -> Bytes {
        if self.chance(self.plan.poison / 2.0) {
            return Bytes::from_static(b"this is no message");
        }
        let count = self.random.usize(1..=self.plan.transactions.max(1));
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            let mut transaction = transaction::make(
                &mut self.random,
                &mut self.market,
                &self.plan,
                self.transactions,
            );
            if self.chance(self.plan.poison / 2.0) {
                transaction.signature.truncate(63);
            }
            self.transactions += 1;
            transactions.push(transaction);
        }
        encode::block(header, &transactions, self.plan.ballast, &mut self.random)
    }
}

impl Iterator for Generator {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if let Some(again) = self.again.take() {
            return Some(again);
        }
        let last = self.message + 1 >= self.plan.messages_per_block;
        let begun = self.plan.start.0.saturating_add(self.elapsed());
        let header = wire::BlockHeader {
            slot: self.slot.0,
            timestamp: if last { begun.div_euclid(1000) } else { 0 },
            ..Default::default()
        };
        let payload = self.payload(&header);
        let part =
            SLOT_MILLIS * i64::from(self.message) / i64::from(self.plan.messages_per_block.max(1));
        let (slot, timestamp) = (self.slot, UnixMillis(begun.saturating_add(part)));
        let record = self.record(payload.clone(), timestamp, slot);
        if self.chance(self.plan.duplicates) {
            self.again = Some(self.record(payload, timestamp, slot));
        }
        if last {
            self.slot = Slot(self.slot.0 + 1);
            (self.message, self.transactions) = (0, 0);
        } else {
            self.message += 1;
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests;
