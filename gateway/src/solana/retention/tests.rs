#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use bytes::Bytes;
use perijove_core::Slot;
use proptest::prelude::*;

use super::{DatedRetention, Retention, keep};
use crate::{
    jsonrpc::{Answer, fixtures},
    solana::{Method, classify},
};

mod methods;

const NEVER: Retention = Retention::Never;
const ONE: Retention = Retention::Head { slots: 1 };
const TWO: Retention = Retention::Head { slots: 2 };
const EPOCH: Retention = Retention::Epoch { slots: 2 };
const fn pinned(about: u64, slots: u32) -> Retention {
    Retention::Pinned {
        about: Slot(about),
        slots,
    }
}

fn judge(method: &str, params: &str, body: String) -> DatedRetention {
    let class = classify(method, Some(params.as_bytes()));
    let answer = Answer::scan(Bytes::from(body)).unwrap();
    keep(&class, Some(params.as_bytes()), &answer)
}

fn judge_result(method: &str, params: &str, result: &str) -> DatedRetention {
    let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    judge(method, params, body)
}

fn recorded(method: &str) -> String {
    let found = fixtures::ALL.iter().find(|(name, _)| *name == method);
    found.expect(method).1.to_owned()
}

#[test]
fn a_list_with_nulls_in_it_is_an_answer() {
    let accounts = recorded("getMultipleAccounts");
    assert!(accounts.contains("null]"));
    let dated = judge("getMultipleAccounts", r#"[["a","b"]]"#, accounts);
    assert_eq!(dated.keep, TWO);
}

#[test]
fn a_blockhash_that_is_not_valid_is_not_kept() {
    for (value, expected) in [("true", TWO), ("false", NEVER), ("null", ONE), ("1", NEVER)] {
        let result = format!(r#"{{"context":{{"slot":5}},"value":{value}}}"#);
        let dated = judge_result("isBlockhashValid", r#"["h"]"#, &result);
        assert_eq!(dated.keep, expected, "{value}");
    }
}

#[test]
fn a_transaction_is_about_the_slot_it_names() {
    for (result, expected) in [
        (r#"{"slot":7,"transaction":{},"blockTime":5}"#, pinned(7, 4)),
        (
            r#"{"blockTime":5,"meta":{"slot":1,"logMessages":["\"slot\":2"]},"slot":18446744073709551615}"#,
            pinned(u64::MAX, 4),
        ),
        (r#"{"slot":7,"transaction":{}}"#, pinned(7, 4)),
        // The node has not written its time down yet.
        (r#"{"blockTime":null,"slot":7}"#, ONE),
        (r#"{"slot":7,"meta":null,"blockTime":null}"#, ONE),
        (r#"{"blockTime":5}"#, NEVER),
        (r#"{"slot":"7"}"#, NEVER),
        (r#"{"slot":7.5}"#, NEVER),
        ("[7]", NEVER),
        ("7", NEVER),
    ] {
        let dated = judge_result("getTransaction", r#"["s"]"#, result);
        assert_eq!(dated.keep, expected, "{result}");
        assert_eq!(dated.read_at, None, "{result}");
    }
}

#[test]
fn a_block_is_about_the_slot_in_the_call() {
    for (method, params, result, expected) in [
        ("getBlock", "[430]", r#"{"parentSlot":429}"#, pinned(430, 4)),
        ("getBlock", "[430,\"base64\"]", "{}", pinned(430, 4)),
        ("getBlock", "[\"430\"]", "{}", NEVER),
        ("getBlock", "[430]", "[]", NEVER),
        (
            "getBlockTime",
            "[430]",
            "1574721591",
            Retention::Rooted {
                about: Slot(430),
                slots: 1,
            },
        ),
        ("getBlockTime", "[430]", "\"now\"", NEVER),
        ("getBlockTime", "[]", "1574721591", NEVER),
    ] {
        let dated = judge_result(method, params, result);
        assert_eq!(dated.keep, expected, "{method} {params} {result}");
    }
}

#[test]
fn rewards_of_a_named_epoch_are_settled_when_the_last_is_paid() {
    let reward = |slot: u64| format!(r#"{{"amount":2500,"effectiveSlot":{slot},"epoch":2}}"#);
    let all = format!("[{},{},{}]", reward(224), reward(230), reward(226));
    let some = format!("[{},null]", reward(224));
    for (params, result, expected) in [
        (r#"[["a","b","c"],{"epoch":2}]"#, &all, pinned(230, 1)),
        (r#"[["a","b"],{"epoch":2}]"#, &some, TWO),
        (
            r#"[["a","b"],{"epoch":2,"commitment":"confirmed"}]"#,
            &some,
            ONE,
        ),
        // The last epoch, whichever that is.
        (r#"[["a","b","c"]]"#, &all, TWO),
        (r#"[["a","b","c"],{"epoch":null}]"#, &all, TWO),
        (r#"[["a","b","c"],{"epoch":"2"}]"#, &all, TWO),
        (r#"[["a"],{"epoch":2}]"#, &"[{}]".to_owned(), TWO),
        (r#"[[],{"epoch":2}]"#, &"[]".to_owned(), TWO),
    ] {
        let dated = judge_result("getInflationReward", params, result);
        assert_eq!(dated.keep, expected, "{params} {result}");
    }
}

#[test]
fn a_leader_schedule_is_of_the_epoch_of_its_slot_or_of_the_present_one() {
    for (params, result, expected) in [
        ("[430]", r#"{"i":[0]}"#, pinned(430, 2)),
        ("[430,{\"identity\":\"i\"}]", r#"{"i":[0]}"#, pinned(430, 2)),
        ("[]", r#"{"i":[0]}"#, EPOCH),
        ("[null]", r#"{"i":[0]}"#, EPOCH),
        ("[{\"identity\":\"i\"}]", r#"{"i":[0]}"#, EPOCH),
        ("[430]", "null", ONE),
        ("[]", "null", ONE),
        ("[430]", "5", NEVER),
    ] {
        let dated = judge_result("getLeaderSchedule", params, result);
        assert_eq!(dated.keep, expected, "{params} {result}");
    }
}

#[test]
fn of_errors_only_a_skipped_slot_is_kept() {
    let absent = Retention::Absent {
        about: Slot(430),
        slots: 150,
    };
    for method in Method::ALL {
        for code in (-32022..=-32001).chain([-32700, -32603, -32602, -32601, -32600, 0, 429]) {
            let body =
                format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"x"}},"id":1}}"#);
            let dated = judge(method.label(), "[430]", body);
            let skipped = matches!(method, Method::GetBlock | Method::GetBlockTime)
                && matches!(code, -32007 | -32009);
            let expected = if skipped { absent } else { NEVER };
            assert_eq!(dated.keep, expected, "{method:?} {code}");
            assert_eq!(dated.read_at, None, "{method:?} {code}");
        }
    }
    let body = r#"{"jsonrpc":"2.0","error":{"code":-32007,"message":"x"},"id":1}"#.to_owned();
    assert_eq!(judge("getBlock", "[\"430\"]", body).keep, NEVER);
    for id in ["", r#","id":null"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","error":{{"code":-32007,"message":"x"}}{id}}}"#);
        assert_eq!(judge("getBlock", "[430]", body).keep, NEVER, "{id}");
    }
}

#[test]
fn a_method_of_a_provider_is_not_kept() {
    assert_eq!(
        judge_result("getAsset", r#"[{"id":"x"}]"#, "{}").keep,
        NEVER
    );
}

#[test]
fn a_wrapped_result_without_a_value_is_not_kept() {
    for result in ["5", "[]", "{}", r#"{"context":{"slot":5}}"#, "\"x\""] {
        let dated = judge_result("getBalance", r#"["k"]"#, result);
        assert_eq!(dated.keep, NEVER, "{result}");
    }
}

#[test]
fn an_answer_is_dated_by_its_context_or_by_being_a_slot() {
    for (method, params, result, slot) in [
        ("getAccountInfo", r#"["k"]"#, "", Some(1936)),
        ("getMultipleAccounts", r#"[["k"]]"#, "", Some(1936)),
        ("getBlockProduction", "[]", "", Some(1967)),
        ("getEpochInfo", "[]", "", Some(1967)),
        ("getSlot", "[]", "1967", Some(1967)),
        ("getSlot", "[]", "\"1967\"", None),
        // Numbers that are no slots.
        ("getBlockHeight", "[]", "1937", None),
        ("getTransactionCount", "[]", "8", None),
        ("getLatestBlockhash", "[]", "", Some(1936)),
        (
            "getProgramAccounts",
            r#"["p",{"withContext":true}]"#,
            r#"{"context":{"slot":9},"value":[]}"#,
            Some(9),
        ),
        ("getProgramAccounts", r#"["p"]"#, "[]", None),
        ("getBlocks", "[1958]", "", None),
        ("getBlockTime", "[1960]", "", None),
        ("getVoteAccounts", "[]", r#"{"current":[]}"#, None),
        // A null is read at a slot as well.
        (
            "getAccountInfo",
            r#"["k"]"#,
            r#"{"context":{"slot":9},"value":null}"#,
            Some(9),
        ),
    ] {
        let dated = if result.is_empty() {
            judge(method, params, recorded(method))
        } else {
            judge_result(method, params, result)
        };
        assert_eq!(dated.read_at, slot.map(Slot), "{method} {result}");
    }
}

proptest! {
    #[test]
    fn no_result_makes_it_panic(
        method in proptest::sample::select(Method::ALL.to_vec()),
        params in r#"[\[](1|null|\{"epoch":[0-9]\}|,|"x"){0,4}\]?"#,
        result in r#"[\[{](1|null|"(slot|blockTime|context|value|effectiveSlot)"|[:,{}]|\[|\]){0,12}[\]}]"#,
    ) {
        let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
        let class = classify(method.label(), Some(params.as_bytes()));
        if let Ok(answer) = Answer::scan(Bytes::from(body)) {
            let dated = keep(&class, Some(params.as_bytes()), &answer);
            prop_assert!(dated.keep != Retention::Forever || method.profile().finality == crate::solana::Finality::Genesis);
        }
    }
}
