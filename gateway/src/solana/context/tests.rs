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
