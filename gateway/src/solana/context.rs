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
mod tests {
    use super::{HeadCounter, Heads, context_slot, heads, tells_head};
    use crate::solana::Method;
    use perijove_core::Slot;

    #[test]
    fn the_context_slot_is_found_at_the_beginning() {
        for (result, slot) in [
            (
                r#"{"context":{"apiVersion":"4.2.2","slot":1936},"value":5}"#,
                Some(1936),
            ),
            (
                r#"{"context":{"slot":18446744073709551615},"value":null}"#,
                Some(u64::MAX),
            ),
            (r#" { "context" : { "slot" : 7 } , "value" : 1 }"#, Some(7)),
            (
                r#"{"context":{"slot":7,"apiVersion":"4.2.2"},"value":1}"#,
                Some(7),
            ),
            (
                r#"{"context":{"apiVersion":"}","slot":7},"value":1}"#,
                Some(7),
            ),
            (
                r#"{"context":{"a":",\"slot\":5}","slot":7},"value":1}"#,
                Some(7),
            ),
            (r#"{"context":{"a":{"slot":5}},"value":1}"#, None),
            (r#"{"context":{"first slot":5},"value":1}"#, None),
            (r#"{"context":{"slot":9},"value":[cut off"#, Some(9)),
            (r#"{"value":{"context":{"slot":9}}}"#, None),
            (r#"{"context":{}}"#, None),
            (r#"{"context":{"slot":-1}}"#, None),
            (r#"{"context":5}"#, None),
            ("1967", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(context_slot(result.as_bytes()), slot.map(Slot), "{result}");
        }
    }

    #[test]
    fn the_growing_numbers_of_each_method_are_found() {
        let blockhash =
            r#"{"context":{"slot":1},"value":{"blockhash":"x","lastValidBlockHeight":2057}}"#;
        let epoch = r#"{"absoluteSlot":3,"blockHeight":2,"epoch":0,"transactionCount":9}"#;
        let balance = r#"{"context":{"slot":4},"value":5}"#;
        let list = r#"{"context":{"slot":6},"value":[]}"#;
        let none: &[(HeadCounter, u64)] = &[];
        for (method, result, expected) in [
            (Method::GetSlot, "1967", &[(HeadCounter::Slot, 1967)][..]),
            (
                Method::GetBlockHeight,
                "1937",
                &[(HeadCounter::BlockHeight, 1937)],
            ),
            (
                Method::GetTransactionCount,
                "8",
                &[(HeadCounter::TransactionCount, 8)],
            ),
            (
                Method::GetEpochInfo,
                epoch,
                &[
                    (HeadCounter::Slot, 3),
                    (HeadCounter::BlockHeight, 2),
                    (HeadCounter::TransactionCount, 9),
                ],
            ),
            (Method::GetEpochInfo, r#"{"epoch":0}"#, none),
            (
                Method::GetLatestBlockhash,
                blockhash,
                &[
                    (HeadCounter::Slot, 1),
                    (HeadCounter::LastValidBlockHeight, 2057),
                ],
            ),
            (Method::GetBalance, balance, &[(HeadCounter::Slot, 4)]),
            (Method::GetProgramAccounts, list, &[(HeadCounter::Slot, 6)]),
            (Method::GetProgramAccounts, "[]", none),
            (Method::GetSlot, "\"1967\"", none),
            (Method::GetSlot, "19.5", none),
            (Method::GetBalance, "1967", none),
            (Method::GetTransaction, list, none),
        ] {
            let found: Vec<_> = heads(method, result.as_bytes()).named().collect();
            assert_eq!(found, expected, "{result}");
        }
        assert_eq!(Heads::at(Slot(7)).slot(), Some(Slot(7)));
        assert_eq!(heads(Method::GetSlot, b"0").slot(), Some(Slot(0)));
        let greatest = heads(Method::GetSlot, b"18446744073709551615");
        assert_eq!(greatest.slot(), Some(Slot(u64::MAX - 1)));
        assert_eq!(Heads::default().slot(), None);
    }

    #[test]
    fn what_is_below_is_told_by_each_counter_and_only_by_those_that_are_named() {
        let told = |slot, count| {
            let mut heads = Heads::at(Slot(slot));
            heads.set(HeadCounter::TransactionCount, count);
            heads
        };
        let before = told(100, Some(1_000));
        assert!(!told(100, None).is_below(&before, 0));
        assert!(told(99, None).is_below(&before, 0));
        assert!(!told(98, None).is_below(&before, 2));
        assert!(told(97, None).is_below(&before, 2));
        assert!(told(101, Some(999)).is_below(&before, 0));
        assert!(!told(5, Some(5)).is_below(&Heads::default(), 0));
        let mut greatest = before;
        greatest.raise(&told(99, Some(1_001)));
        assert_eq!(greatest, told(100, Some(1_001)));
    }

    #[test]
    fn a_count_of_transactions_may_be_as_old_as_the_slot_it_comes_with() {
        let told = |slot, count| {
            let mut heads = Heads::at(Slot(slot));
            heads.set(HeadCounter::TransactionCount, Some(count));
            heads
        };
        let before = told(100, 1_000_000);
        assert!(!told(98, 990_000).is_below(&before, 2));
        assert!(told(97, 990_000).is_below(&before, 2));
        assert!(told(100, 999_999).is_below(&before, 0));
        assert!(
            told(100, 100_000).is_below(&before, 2),
            "that is many slots"
        );
        assert!(!told(99, 0).is_below(&told(100, 5), 1));
    }

    #[test]
    fn methods_that_tell_nothing_of_the_head_are_known_by_name() {
        for method in [Method::GetSupply, Method::GetSignatureStatuses] {
            assert!(tells_head(method), "{method:?}");
        }
        for method in [Method::GetTransaction, Method::GetBlock, Method::Other] {
            assert!(!tells_head(method), "{method:?}");
        }
    }
}
