use super::*;
use crate::jsonrpc::{Answer, fixtures};

fn fits(method: &str, params: &str, result: &str) -> bool {
    let method = Method::from_name(method);
    is_as_long_as_asked(method, Some(params.as_bytes()), result.as_bytes())
}

/// A list of so many of these.
fn list(item: &str, items: usize) -> String {
    format!("[{}]", vec![item; items].join(","))
}

fn wrapped(value: &str) -> String {
    format!(r#"{{"context":{{"apiVersion":"4.2.2","slot":5}},"value":{value}}}"#)
}

const ACCOUNT: &str = r#"{"data":["AAAA","base64"],"executable":false,"lamports":5,"owner":"11111111111111111111111111111111","rentEpoch":18446744073709551615,"space":3}"#;
const PARSED: &str = r#"{"data":{"parsed":{"info":{"name":"},\"executable\":1}","more":[null,{"a":[]}]},"type":"mint"},"program":"spl-token-2022","space":82},"executable":false,"lamports":5,"owner":"x","rentEpoch":0,"space":82}"#;
/// By another writer than Agave.
const OTHER: &str = r#"{"lamports":5,"owner":"x","data":["","base64"],"executable":false}"#;
const STATUS: &str = r#"{"confirmationStatus":"finalized","confirmations":null,"err":{"InstructionError":[0,{"Custom":1}]},"slot":5,"status":{"Err":{"InstructionError":[0,{"Custom":1}]}}}"#;
const REWARD: &str =
    r#"{"amount":5,"commission":null,"effectiveSlot":5,"epoch":5,"postBalance":5}"#;
const TOKENS: &str =
    r#"{"address":"x","amount":"5","decimals":0,"uiAmount":5.0,"uiAmountString":"5"}"#;
const SIGNATURE: &str = r#"{"blockTime":5,"confirmationStatus":"finalized","err":null,"memo":"[9] \"signature\":\"x\"","signature":"x","slot":5}"#;
const SAMPLE: &str = r#"{"numSlots":5,"numTransactions":5,"samplePeriodSecs":60,"slot":5}"#;

#[test]
fn one_item_is_needed_for_each_thing_that_was_asked_for() {
    let accounts = |n: usize| format!(r#"[{},{{"encoding":"base64"}}]"#, list("\"k\"", n));
    for asked in [0, 1, 2, 3, 100] {
        for given in [0, 1, 2, 3, 99, 100, 101] {
            let same = asked == given;
            for item in [ACCOUNT, PARSED, OTHER, "null"] {
                let result = wrapped(&list(item, given));
                let fits = fits("getMultipleAccounts", &accounts(asked), &result);
                assert_eq!(fits, same, "{asked} {given} {item}");
            }
            for item in [STATUS, "null"] {
                let result = wrapped(&list(item, given));
                let params = format!("[ {} ]", list("\"s\"", asked));
                assert_eq!(fits("getSignatureStatuses", &params, &result), same);
            }
            for item in [REWARD, "null"] {
                let params = accounts(asked);
                assert_eq!(
                    fits("getInflationReward", &params, &list(item, given)),
                    same
                );
            }
            let leaders = list("\"l\"", given);
            assert_eq!(
                fits("getSlotLeaders", &format!("[5,{asked}]"), &leaders),
                same
            );
            let config = format!(r#"{{"accounts":{{"addresses":{}}}}}"#, list("\"k\"", asked));
            let value = format!(r#"{{"accounts":{},"err":null}}"#, list(ACCOUNT, given));
            let params = format!(r#"["AAAA",{config}]"#);
            assert_eq!(fits("simulateTransaction", &params, &wrapped(&value)), same);
        }
    }
}

#[test]
fn no_more_comes_than_was_asked_for_or_a_node_gives() {
    for (method, params, item, most) in [
        (
            "getSignaturesForAddress",
            r#"["k",{"limit":2}]"#,
            SIGNATURE,
            2,
        ),
        ("getBlocksWithLimit", "[5,2]", "5", 2),
        ("getBlocks", "[5,7]", "5", 3),
        ("getRecentPerformanceSamples", "[2]", SAMPLE, 2),
        ("getRecentPerformanceSamples", "[]", SAMPLE, 720),
        ("getTokenLargestAccounts", r#"["k"]"#, TOKENS, 20),
        (
            "getLargestAccounts",
            "[]",
            r#"{"address":"x","lamports":5}"#,
            20,
        ),
    ] {
        let wrap = Method::from_name(method).profile().wrapped;
        for (given, expected) in [(0, true), (1, true), (most, true), (most + 1, false)] {
            let mut result = list(item, given);
            if wrap {
                result = wrapped(&result);
            }
            assert_eq!(fits(method, params, &result), expected, "{method} {given}");
        }
    }
}

#[test]
fn blocks_lie_where_they_were_asked_for() {
    for (method, params, result, expected) in [
        ("getBlocks", "[5,9]", "[5,6,9]", true),
        ("getBlocks", "[5,9]", "[4,6]", false),
        ("getBlocks", "[5,9]", "[6,10]", false),
        ("getBlocks", "[5,4]", "[]", true),
        ("getBlocks", "[5,4]", "[5]", false),
        ("getBlocks", "[5]", "[5,600]", true),
        ("getBlocks", "[5,null]", "[4]", false),
        (
            "getBlocks",
            r#"[5,{"commitment":"confirmed"}]"#,
            "[5,6]",
            true,
        ),
        ("getBlocksWithLimit", "[5,2]", "[700,900]", true),
        ("getBlocksWithLimit", "[5,2]", "[4,5]", false),
        ("getBlocksWithLimit", "[5,0]", "[]", true),
    ] {
        assert_eq!(
            fits(method, params, result),
            expected,
            "{method} {params} {result}"
        );
    }
}

#[test]
fn of_what_a_call_does_not_say_the_upstream_knows_best() {
    for (method, params, result) in [
        ("getMultipleAccounts", "[]", wrapped("[]")),
        ("getMultipleAccounts", r#"["k"]"#, wrapped("[null]")),
        ("getSlotLeaders", r#"["5"]"#, list("\"l\"", 3)),
        (
            "getSignaturesForAddress",
            r#"["k"]"#,
            list(SIGNATURE, 1_000),
        ),
        (
            "getSignaturesForAddress",
            r#"["k",{"limit":1000}]"#,
            list(SIGNATURE, 1_000),
        ),
        (
            "getRecentPrioritizationFees",
            r#"[["k"]]"#,
            list(SAMPLE, 150),
        ),
        (
            "simulateTransaction",
            r#"["AAAA"]"#,
            wrapped(r#"{"accounts":null,"err":null}"#),
        ),
        ("getProgramAccounts", r#"["k"]"#, list("{}", 3_000)),
        ("getBalance", r#"["k"]"#, wrapped("5")),
    ] {
        assert!(fits(method, params, &result), "{method} {params}");
    }
}

#[test]
fn a_list_that_cannot_be_read_is_of_no_length() {
    let two = r#"[["a","b"]]"#;
    for value in [
        "[null,,null]",
        "[null null]",
        "[null,null",
        "{}",
        "[nul,null]",
    ] {
        for method in ["getMultipleAccounts", "getSignatureStatuses"] {
            assert!(!fits(method, two, &wrapped(value)), "{method} {value}");
        }
    }
}

#[test]
fn recorded_answers_fit_their_questions() {
    for (name, body) in fixtures::ALL {
        let answer = Answer::scan(bytes::Bytes::from_static(body.as_bytes())).unwrap();
        let Some(result) = answer.result() else {
            continue;
        };
        let params = match Method::from_name(name) {
            Method::GetMultipleAccounts | Method::GetSignatureStatuses => {
                let (_, value) = crate::solana::wrapped_parts(result).unwrap();
                let items: Vec<serde_json::Value> = serde_json::from_slice(value).unwrap();
                format!("[{}]", list("\"k\"", items.len()))
            }
            Method::GetSlotLeaders => {
                let items: Vec<serde_json::Value> = serde_json::from_slice(result).unwrap();
                format!("[5,{}]", items.len())
            }
            _ => continue,
        };
        assert!(
            fits(name, &params, std::str::from_utf8(result).unwrap()),
            "{name}"
        );
    }
}
