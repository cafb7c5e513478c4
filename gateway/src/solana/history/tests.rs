//! Which answers leave something open, where, and what is one and the same question.

#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use bytes::Bytes;
use perijove_core::Slot;

use super::{
    AbsenceWording, History, HistoryGap, HistoryPosition, first_available, signature_subject,
};
use crate::jsonrpc::Answer;
use crate::solana::{SlotView, classify};

const SIGNATURE: &str =
    "5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv";

fn answer(members: &str) -> Answer {
    Answer::scan(Bytes::from(format!(
        r#"{{"jsonrpc":"2.0",{members},"id":1}}"#
    )))
    .unwrap()
}

fn lack(method: &str, params: &str, members: &str) -> Option<HistoryGap> {
    let view = SlotView {
        epoch_start: Some(Slot(432_000 * 700)),
        epoch_end: Some(Slot(432_000 * 701 - 1)),
        ..SlotView::default()
    };
    let class = classify(method, Some(params.as_bytes()));
    let history = History::of(&class, method)?;
    history.lack(Some(params.as_bytes()), &answer(members), Some(&view))
}

fn error(code: i64) -> String {
    format!(r#""error":{{"code":{code},"message":"said"}}"#)
}

fn from(slot: u64) -> HistoryPosition {
    HistoryPosition::From(Slot(slot))
}

#[test]
fn nothing_is_found_out_for_every_method() {
    let statuses = format!(r#"[["{SIGNATURE}","b"],{{"searchTransactionHistory":true}}]"#);
    let transaction = format!(r#"["{SIGNATURE}",{{"encoding":"json"}}]"#);
    for (method, params, result, place, found) in [
        (
            "getTransaction",
            transaction.as_str(),
            "null",
            HistoryPosition::Anywhere,
            0,
        ),
        (
            "getConfirmedTransaction",
            &transaction,
            "null",
            HistoryPosition::Anywhere,
            0,
        ),
        ("getBlock", "[7]", "null", from(7), 0),
        ("getConfirmedBlock", "[7]", "null", from(7), 0),
        ("getBlockTime", "[7]", "null", from(7), 0),
        (
            "getBlockCommitment",
            "[7]",
            r#"{"commitment":null,"totalStake":5}"#,
            from(7),
            0,
        ),
        ("getBlocks", "[7,9]", "[]", from(7), 0),
        ("getBlocks", "[7]", "[]", from(7), 0),
        ("getBlocks", "[7,90]", "[50,51]", from(7), 2),
        ("getBlocksWithLimit", "[7,2]", "[]", from(7), 0),
        ("getConfirmedBlocks", "[7,9]", "[]", from(7), 0),
        ("getConfirmedBlocksWithLimit", "[7,2]", "[8]", from(7), 1),
        (
            "getSignaturesForAddress",
            r#"["a"]"#,
            "[]",
            HistoryPosition::Anywhere,
            0,
        ),
        (
            "getSignaturesForAddress",
            r#"["a",{"limit":3}]"#,
            "[{},{}]",
            HistoryPosition::Anywhere,
            2,
        ),
        (
            "getSignaturesForAddress",
            r#"["a",{"before":"b","limit":null}]"#,
            "[{}]",
            HistoryPosition::Anywhere,
            1,
        ),
        (
            "getConfirmedSignaturesForAddress2",
            r#"["a",{"limit":3}]"#,
            "[{}]",
            HistoryPosition::Anywhere,
            1,
        ),
        (
            "getSignatureStatuses",
            &statuses,
            r#"{"context":{"slot":1},"value":[{"slot":5},null]}"#,
            HistoryPosition::Anywhere,
            1,
        ),
        (
            "getInflationReward",
            r#"[["a","b"],{"epoch":9}]"#,
            "[null,null]",
            from(4_320_000),
            0,
        ),
        (
            "getInflationReward",
            r#"[["a"]]"#,
            "[null]",
            from(432_000 * 700),
            0,
        ),
    ] {
        let lack = lack(method, params, &format!(r#""result":{result}"#));
        let lack = lack.unwrap_or_else(|| panic!("{method} {params} {result}"));
        assert_eq!(
            (lack.word, lack.place, lack.found),
            (AbsenceWording::Empty, place, found),
            "{method} {params} {result}"
        );
        assert_eq!(lack.subjects.len(), 1, "{method} {params} {result}");
    }
}

#[test]
fn what_is_whole_leaves_nothing_open() {
    for (method, params, result) in [
        ("getTransaction", r#"["s"]"#, r#"{"slot":5,"meta":null}"#),
        ("getBlock", "[7]", r#"{"blockhash":"x"}"#),
        ("getBlockTime", "[7]", "1700000000"),
        (
            "getBlockCommitment",
            "[7]",
            r#"{"commitment":[0,1],"totalStake":5}"#,
        ),
        ("getBlocks", "[7,9]", "[7,9]"),
        ("getSignaturesForAddress", r#"["a",{"limit":2}]"#, "[{},{}]"),
        (
            "getSignatureStatuses",
            r#"[["s"],{"searchTransactionHistory":true}]"#,
            r#"{"context":{"slot":1},"value":[{}]}"#,
        ),
        // The status cache is no history, and was not asked to be.
        (
            "getSignatureStatuses",
            r#"[["s"]]"#,
            r#"{"context":{"slot":1},"value":[null]}"#,
        ),
        (
            "getInflationReward",
            r#"[["a","b"],{"epoch":9}]"#,
            r#"[null,{"amount":5}]"#,
        ),
        ("getInflationReward", r#"[[],{"epoch":9}]"#, "[]"),
        // Not history at all.
        (
            "getAccountInfo",
            r#"["a"]"#,
            r#"{"context":{"slot":1},"value":null}"#,
        ),
        ("getLeaderSchedule", "[7]", "null"),
        ("getConfirmedSomething", "[7]", "null"),
        (
            "getTokenAccountsByOwner",
            r#"["a"]"#,
            r#"{"context":{"slot":1},"value":[]}"#,
        ),
    ] {
        let lack = lack(method, params, &format!(r#""result":{result}"#));
        assert_eq!(lack, None, "{method} {params} {result}");
    }
}

#[test]
fn refusals_for_want_of_history_are_told_from_others() {
    for (code, word, passing) in [
        (-32001, AbsenceWording::Refused, false),
        (-32004, AbsenceWording::Refused, true),
        (-32007, AbsenceWording::Skipped, false),
        (-32009, AbsenceWording::Skipped, false),
        (-32011, AbsenceWording::Refused, false),
        (-32014, AbsenceWording::Refused, true),
        (-32018, AbsenceWording::Refused, false),
        (-32019, AbsenceWording::Refused, true),
        (-32020, AbsenceWording::Refused, false),
    ] {
        let lack = lack("getBlock", "[7]", &error(code)).unwrap();
        assert_eq!((lack.word, lack.passing), (word, passing), "{code}");
        assert_eq!(lack.place, from(7), "{code}");
    }
    for code in [-32602, -32603, -32005, -32015, -32016, 429] {
        assert_eq!(lack("getBlock", "[7]", &error(code)), None, "{code}");
    }
    assert_eq!(lack("getBalance", r#"["a"]"#, &error(-32007)), None);
    let storage = r#""error":{"code":-32602,"message":"BigTable query failed (maybe timeout due to too large range?)"}"#;
    assert!(lack("getBlocks", "[7,9]", storage).unwrap().passing);
}

#[test]
fn a_list_that_begins_a_little_late_may_begin_there() {
    let at = |first: u64| {
        lack(
            "getBlocks",
            "[100,500]",
            &format!(r#""result":[{first},400]"#),
        )
    };
    assert_eq!(at(100), None);
    assert!(at(101).unwrap().slight);
    assert!(at(132).unwrap().slight);
    assert!(!at(133).unwrap().slight);
}

#[test]
fn the_beginning_of_a_long_list_says_whether_it_is_whole() {
    let head = |first: u64| format!(r#"{{"jsonrpc":"2.0","result":[{first},401,4"#);
    let lack = |history: History, first| {
        history.lack_of_head(Some(b"[100,500000]"), head(first).as_bytes())
    };
    assert_eq!(lack(History::Blocks, 100), None);
    assert_eq!(lack(History::Blocks, 400).unwrap().place, from(100));
    assert_eq!(lack(History::Page, 400), None);
}

#[test]
fn the_same_thing_asked_for_in_another_way_is_the_same() {
    let subject = |method: &str, params: &str, result: &str| {
        lack(method, params, &format!(r#""result":{result}"#))
            .unwrap()
            .subjects[0]
    };
    let one = format!(r#"["{SIGNATURE}","base64"]"#);
    let other = format!(r#"["{SIGNATURE}",{{"commitment":"confirmed"}}]"#);
    let transaction = subject("getTransaction", &one, "null");
    assert_eq!(transaction, subject("getTransaction", &other, "null"));
    assert_eq!(transaction, signature_subject(SIGNATURE.as_bytes()));
    let statuses = format!(r#"[["{SIGNATURE}"],{{"searchTransactionHistory":true}}]"#);
    let none = r#"{"context":{"slot":1},"value":[null]}"#;
    assert_eq!(
        transaction,
        subject("getSignatureStatuses", &statuses, none)
    );
    // Who follows an account names another signature each time.
    let page = |params: &str| subject("getSignaturesForAddress", params, "[]");
    let since = page(r#"["a",{"until":"x"}]"#);
    assert_eq!(since, page(r#"["a",{"until":"y"}]"#));
    for other in [
        r#"["a"]"#,
        r#"["b",{"until":"x"}]"#,
        r#"["a",{"until":"x","before":"z"}]"#,
    ] {
        assert_ne!(since, page(other), "{other}");
    }
    let block = subject("getBlock", "[7]", "null");
    assert_ne!(block, subject("getBlock", "[8]", "null"));
    assert_ne!(block, subject("getBlockTime", "[7]", "null"));
}

#[test]
fn an_epoch_of_another_length_has_no_known_place() {
    let view = SlotView {
        epoch_start: Some(Slot(524_256)),
        epoch_end: Some(Slot(956_255)),
        ..SlotView::default()
    };
    let rewards = |params: &[u8]| {
        let nothing = answer(r#""result":[null]"#);
        History::Rewards.lack(Some(params), &nothing, Some(&view))
    };
    assert_eq!(rewards(br#"[["a"],{"epoch":3}]"#), None);
    assert!(rewards(br#"[["a"]]"#).is_some());
    let refused = answer(&error(-32018));
    let lack = History::Rewards.lack(Some(br#"[["a"],{"epoch":3}]"#), &refused, None);
    assert_eq!(lack.unwrap().place, HistoryPosition::Anywhere);
}

#[test]
fn a_refusal_may_say_where_the_ledger_begins() {
    let said = |code: i64, message: &str| {
        let error = format!(r#""error":{{"code":{code},"message":"{message}"}}"#);
        first_available(answer(&error).error().unwrap())
    };
    let message = "Block 5 cleaned up, does not exist on node. First available block: 900";
    assert_eq!(said(-32001, message), Some(Slot(900)));
    assert_eq!(said(-32001, "First available block: 900."), Some(Slot(900)));
    assert_eq!(said(-32001, "Block 5 cleaned up"), None);
    assert_eq!(said(-32007, message), None);
}
