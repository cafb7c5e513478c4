//! Counts the parts of a protobuf message before memory is allocated for them: two bytes on the
//! wire may become a struct of hundreds.

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::decode::error::DecodeError;

/// What a message may have at most. Kafka's own limit is 1 MB, and Bitquery splits a block at 250
/// transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub bytes: usize,
    pub transactions: usize,
    /// Trades, transfers with changes of balances, or instructions of all transactions together.
    pub items: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            transactions: 5_000,
            items: 50_000,
        }
    }
}

impl Limits {
    pub(super) fn check(&self, transactions: usize, items: usize) -> Result<(), DecodeError> {
        for (what, found, limit) in [
            ("transactions", transactions, self.transactions),
            ("items", items, self.items),
        ] {
            if found > limit {
                return Err(DecodeError::TooMany { what, limit });
            }
        }
        Ok(())
    }
}

/// The field of every block message that repeats its transactions.
const TRANSACTIONS: u32 = 2;

/// Counts the transactions, and within them the repeated fields of their items. What cannot be
/// parsed is left to the decoder, which reports what is wrong.
pub(super) fn check(payload: &[u8], items: &[u32], limits: &Limits) -> Result<(), DecodeError> {
    let (mut transactions, mut all) = (0, 0);
    each(payload, |field, transaction| {
        if field == TRANSACTIONS {
            transactions += 1;
            each(transaction, |field, _| {
                all += usize::from(items.contains(&field));
            });
        }
    });
    limits.check(transactions, all)
}

/// Calls with each length-delimited field of a message, up to the first fault.
fn each(mut message: &[u8], mut call: impl FnMut(u32, &[u8])) {
    while let Some((field, wire, rest)) = key(message) {
        let length = match wire {
            WireType::Varint => {
                let mut after = rest;
                if decode_varint(&mut after).is_err() {
                    return;
                }
                rest.len() - after.len()
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let mut after = rest;
                let Ok(length) = decode_varint(&mut after) else {
                    return;
                };
                let content = usize::try_from(length)
                    .ok()
                    .and_then(|length| after.get(..length));
                let Some(content) = content else { return };
                call(field, content);
                rest.len() - after.len() + content.len()
            }
            WireType::StartGroup | WireType::EndGroup => return,
        };
        let Some(next) = rest.get(length..) else {
            return;
        };
        message = next;
    }
}

fn key(mut message: &[u8]) -> Option<(u32, WireType, &[u8])> {
    let (field, wire) = decode_key(&mut message).ok()?;
    Some((field, wire, message))
}
