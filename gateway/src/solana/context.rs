//! How fresh an answer says it is: the slot of its context, and numbers that must not go backwards
//! for one client.

use perijove_core::Slot;

use super::Method;
use crate::jsonrpc::Cursor;

/// Which of the cluster's counters a number is. Numbers of different counters do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Head {
    /// The current slot.
    Slot,
    /// The current block height.
    BlockHeight,
    /// The height up to which the newest blockhash is valid.
    LastValidBlockHeight,
    /// Transactions since genesis.
    TransactionCount,
}

/// A number that only grows on an honest cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadValue {
    /// Which counter.
    pub head: Head,
    /// Its value.
    pub number: u64,
}

/// The slot a wrapped result (`{"context":{…,"slot":N},"value":…}`) was read at. Looks at the
/// beginning only.
pub fn context_slot(result: &[u8]) -> Option<Slot> {
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'{') || cursor.key(true).ok()?? != b"context" {
        return None;
    }
    cursor.member(b"slot")?.unsigned().map(Slot)
}

/// The number in a result that must not go backwards, for the methods that answer with one.
pub fn head_value(method: Method, result: &[u8]) -> Option<HeadValue> {
    let mut cursor = Cursor::new(result);
    let head = match method {
        Method::GetSlot => Head::Slot,
        Method::GetBlockHeight => Head::BlockHeight,
        Method::GetTransactionCount => Head::TransactionCount,
        Method::GetEpochInfo => {
            cursor.member(b"absoluteSlot")?;
            Head::Slot
        }
        Method::GetLatestBlockhash => {
            cursor.member(b"value")?;
            cursor.member(b"lastValidBlockHeight")?;
            Head::LastValidBlockHeight
        }
        _ => return None,
    };
    let number = cursor.unsigned()?;
    Some(HeadValue { head, number })
}

#[cfg(test)]
mod tests {
    use super::{Head, HeadValue, context_slot, head_value};
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
    fn the_growing_number_of_each_method_is_found() {
        let blockhash =
            r#"{"context":{"slot":1},"value":{"blockhash":"x","lastValidBlockHeight":2057}}"#;
        for (method, result, expected) in [
            (Method::GetSlot, "1967", Some((Head::Slot, 1967))),
            (
                Method::GetBlockHeight,
                "1937",
                Some((Head::BlockHeight, 1937)),
            ),
            (
                Method::GetTransactionCount,
                "8",
                Some((Head::TransactionCount, 8)),
            ),
            (
                Method::GetEpochInfo,
                r#"{"absoluteSlot":3,"epoch":0}"#,
                Some((Head::Slot, 3)),
            ),
            (Method::GetEpochInfo, r#"{"epoch":0}"#, None),
            (
                Method::GetLatestBlockhash,
                blockhash,
                Some((Head::LastValidBlockHeight, 2057)),
            ),
            (Method::GetSlot, "\"1967\"", None),
            (Method::GetSlot, "19.5", None),
            (Method::GetBalance, "1967", None),
        ] {
            let expected = expected.map(|(head, number)| HeadValue { head, number });
            assert_eq!(head_value(method, result.as_bytes()), expected, "{result}");
        }
    }
}
