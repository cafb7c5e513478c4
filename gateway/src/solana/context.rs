//! How fresh an answer is: the slot of its context, and numbers that must not go backwards for one
//! client.

use perijove_core::Slot;

use super::Method;
use crate::jsonrpc::Cursor;

/// No slot holds more transactions: ten times what the compute limit of a block allows in practice.
/// The count does not say how many slots lie between two of its values, but this keeps it from
/// going back without limit.
const MOST_TRANSACTIONS: u64 = 100_000;

/// Which of the cluster's counters a number is. Numbers of different counters cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadCounter {
    /// The current slot, or the one an answer was read at: a node takes both from the same bank.
    Slot,
    /// The current block height.
    BlockHeight,
    /// The height up to which the newest blockhash is valid.
    LastValidBlockHeight,
    /// Transactions since genesis.
    TransactionCount,
}

impl HeadCounter {
    /// All counters, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Slot,
        Self::BlockHeight,
        Self::LastValidBlockHeight,
        Self::TransactionCount,
    ];

    /// The highest value this counter can have in `slots` slots.
    pub const fn forth(self, number: u64, slots: u64) -> u64 {
        match self {
            Self::Slot | Self::BlockHeight | Self::LastValidBlockHeight => {
                number.saturating_add(slots)
            }
            Self::TransactionCount => {
                number.saturating_add(slots.saturating_mul(MOST_TRANSACTIONS))
            }
        }
    }

    /// The lowest value this counter had `slots` slots ago, as far as that can be known.
    pub const fn back(self, number: u64, slots: u64) -> u64 {
        match self {
            // No more blocks than slots.
            Self::Slot | Self::BlockHeight | Self::LastValidBlockHeight => {
                number.saturating_sub(slots)
            }
            Self::TransactionCount => {
                number.saturating_sub(slots.saturating_mul(MOST_TRANSACTIONS))
            }
        }
    }
}

/// What stands for a number that an answer does not name.
const UNNAMED: u64 = u64::MAX;

/// What one answer says about the head of the chain: numbers that only grow on an honest cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads([u64; 4]);

impl Default for Heads {
    fn default() -> Self {
        Self([UNNAMED; 4])
    }
}

impl Heads {
    /// An answer that was read at this slot and says no more.
    pub const fn at(slot: Slot) -> Self {
        Self([named(slot.0), UNNAMED, UNNAMED, UNNAMED])
    }

    /// The slot the answer was read at.
    pub fn slot(&self) -> Option<Slot> {
        self.get(HeadCounter::Slot).map(Slot)
    }

    /// The value of one counter, if the answer names it.
    pub fn get(&self, head: HeadCounter) -> Option<u64> {
        let number = self.0.get(head as usize).copied();
        number.filter(|number| *number != UNNAMED)
    }

    /// The counters that the answer names.
    pub fn named(&self) -> impl Iterator<Item = (HeadCounter, u64)> {
        let all = HeadCounter::ALL.into_iter().zip(self.0);
        all.filter(|(_, number)| *number != UNNAMED)
    }

    /// Whether any number is below `before` by more than `slots` slots can explain.
    pub fn is_below(&self, before: &Self, slots: u64) -> bool {
        self.named().any(|(head, number)| {
            let lowest = before.get(head).map(|before| head.back(before, slots));
            lowest.is_some_and(|lowest| number < lowest)
        })
    }

    /// Adopts the greater of each number.
    pub fn raise(&mut self, other: &Self) {
        for (known, other) in self.0.iter_mut().zip(other.0) {
            if *known == UNNAMED || (other != UNNAMED && other > *known) {
                *known = other;
            }
        }
    }

    /// Notes a number, if there is one.
    pub fn set(&mut self, head: HeadCounter, number: Option<u64>) {
        if let (Some(place), Some(number)) = (self.0.get_mut(head as usize), number) {
            *place = named(number);
        }
    }
}

/// No number is as great as the one that stands for none.
const fn named(number: u64) -> u64 {
    if number == UNNAMED {
        UNNAMED - 1
    } else {
        number
    }
}

/// The slot a wrapped result (`{"context":{…,"slot":N},"value":…}`) was read at. Looks at the
/// beginning only.
pub fn context_slot(result: &[u8]) -> Option<Slot> {
    if let Some(slot) = usual_context(result).and_then(trailing_slot) {
        return Some(slot);
    }
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'{') || cursor.key(true).ok()?? != b"context" {
        return None;
    }
    cursor.member(b"slot")?.unsigned().map(Slot)
}

/// The context of a wrapped result of the usual form: it comes first, is short and contains no
/// objects. A brace in one of its strings ends it early; then it does not end as a context does.
pub(super) fn usual_context(result: &[u8]) -> Option<&[u8]> {
    const BEGIN: &[u8] = br#"{"context":"#;
    const LONGEST: usize = 128;
    let rest = result
        .strip_prefix(BEGIN)
        .filter(|rest| rest.starts_with(b"{"))?;
    let beginning = rest.get(..rest.len().min(LONGEST))?;
    let end = memchr::memchr(b'}', beginning)?;
    let context = rest.get(..=end)?;
    (memchr::memrchr(b'{', context) == Some(0)).then_some(context)
}

/// The slot of a context whose last member it is, as nodes write it. In a string the quotes around
/// the name would be escaped. `None` if it is written in any other way, or may not fit 64 bits.
pub(super) fn trailing_slot(context: &[u8]) -> Option<Slot> {
    /// Any number of so many digits fits.
    const MOST_DIGITS: usize = 19;
    let inside = context.strip_suffix(b"}")?;
    let digits = inside.iter().rev().take_while(|byte| byte.is_ascii_digit());
    let (before, digits) = inside.split_at(inside.len() - digits.count());
    let before = before.strip_suffix(br#""slot":"#)?;
    let is_number = match digits {
        [] => false,
        [b'0', rest @ ..] => rest.is_empty(),
        _ => digits.len() <= MOST_DIGITS,
    };
    let number = || {
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    };
    (is_number && matches!(before.last(), Some(b'{' | b','))).then(|| Slot(number()))
}

/// Whether answers of a method say anything about the head of the chain.
pub const fn tells_head(method: Method) -> bool {
    matches!(
        method,
        Method::GetSlot
            | Method::GetBlockHeight
            | Method::GetTransactionCount
            | Method::GetEpochInfo
            // Wrapped when asked to be.
            | Method::GetProgramAccounts
    ) || method.profile().wrapped
}

/// What a result of this method says about the head of the chain. The result may be cut off after
/// its context.
pub fn heads(method: Method, result: &[u8]) -> Heads {
    let bare = |head| {
        let mut heads = Heads::default();
        heads.set(head, Cursor::new(result).unsigned());
        heads
    };
    match method {
        Method::GetSlot => bare(HeadCounter::Slot),
        Method::GetBlockHeight => bare(HeadCounter::BlockHeight),
        Method::GetTransactionCount => bare(HeadCounter::TransactionCount),
        Method::GetEpochInfo => epoch_info(result),
        _ if tells_head(method) => {
            let mut heads = context_slot(result).map(Heads::at).unwrap_or_default();
            if method == Method::GetLatestBlockhash {
                heads.set(HeadCounter::LastValidBlockHeight, last_valid(result));
            }
            heads
        }
        _ => Heads::default(),
    }
}

fn last_valid(result: &[u8]) -> Option<u64> {
    let mut cursor = Cursor::new(result);
    let value = cursor.member(b"value")?;
    value.member(b"lastValidBlockHeight")?.unsigned()
}

fn epoch_info(result: &[u8]) -> Heads {
    let member = |name: &[u8]| Cursor::new(result).member(name)?.unsigned();
    let mut heads = Heads::default();
    heads.set(HeadCounter::Slot, member(b"absoluteSlot"));
    heads.set(HeadCounter::BlockHeight, member(b"blockHeight"));
    heads.set(HeadCounter::TransactionCount, member(b"transactionCount"));
    heads
}

#[cfg(test)]
mod tests;
