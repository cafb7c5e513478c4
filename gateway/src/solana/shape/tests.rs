use super::*;
use crate::jsonrpc::{Answer, fixtures};

#[test]
fn every_recorded_answer_is_possible() {
    for (name, body) in fixtures::ALL {
        let answer = Answer::scan(bytes::Bytes::from_static(body.as_bytes())).unwrap();
        if let Some(result) = answer.result() {
            let method = Method::from_name(name);
            assert_ne!(method, Method::Other, "{name}");
            assert!(is_possible(method, result), "{name}");
        }
    }
}

#[test]
fn the_value_is_found_behind_any_context() {
    let long = "x".repeat(200);
    for context in [
        r#"{"slot":5}"#,
        r#"{"apiVersion":"4.2.2","slot":5}"#,
        r#"{"apiVersion":"}","slot":5}"#,
        r#"{"slot":5,"more":{"a":1}}"#,
        &format!(r#"{{"apiVersion":"{long}","slot":5}}"#),
    ] {
        for space in ["", " "] {
            let of = |value: &str| format!(r#"{{"context":{context},{space}"value":{value}}}"#);
            assert!(
                is_possible(Method::GetBalance, of("5").as_bytes()),
                "{context}"
            );
            let wrong = of("[]");
            assert!(
                !is_possible(Method::GetBalance, wrong.as_bytes()),
                "{context}"
            );
        }
    }
}

#[test]
fn what_tells_of_a_failure_or_nothing_at_all_is_no_result() {
    for (method, result) in [
        (Method::GetSlot, "-1"),
        (Method::GetSlot, "1.5"),
        (Method::GetBlockTime, "-1"),
        (Method::GetEpochInfo, "{}"),
        (Method::GetEpochInfo, r#"{"error":"rate limited"}"#),
        (Method::GetTransaction, r#"{"message":"later","code":5}"#),
        (
            Method::GetBlock,
            r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
        ),
        (Method::GetProgramAccounts, r#"{"error":"busy"}"#),
        (Method::GetBlock, r#"{"detail":"not found","error":{}}"#),
        (Method::GetVersion, r#"{"status":"error"}"#),
        (Method::GetLeaderSchedule, r#"{"error":"busy"}"#),
        (Method::GetBlocks, r#"[{"error":"busy"}]"#),
        (Method::GetSignaturesForAddress, r#"["busy"]"#),
        (
            Method::GetAccountInfo,
            r#"{"context":{"slot":5},"value":{"error":"busy"}}"#,
        ),
        (
            Method::GetMultipleAccounts,
            r#"{"context":{"slot":5},"value":["busy"]}"#,
        ),
        (Method::GetBalance, r#"{"context":{},"value":5}"#),
        (Method::GetBalance, r#"{"context":{"slot":-1},"value":5}"#),
        (Method::GetBalance, r#"{"context":{"slot":"5"},"value":5}"#),
        (Method::GetBalance, r#"{"value":5}"#),
        (Method::GetSlot, "18446744073709551616"),
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{}}"#,
        ),
        (Method::GetAccountInfo, r#"{"context":null,"value":null}"#),
        (Method::GetBalance, r#"{"context":null,"value":0}"#),
        (Method::GetBalance, r#"{"context":{"slot":5},"value":-1}"#),
    ] {
        assert!(
            !is_possible(method, result.as_bytes()),
            "{method:?} {result}"
        );
    }
}

#[test]
fn what_lacks_what_its_method_promises_is_no_result() {
    for (method, result) in [
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{"blockhash":"x"}}"#,
        ),
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{"lastValidBlockHeight":5}}"#,
        ),
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{"blockhash":"x","lastValidBlockHeight":"5"}}"#,
        ),
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{"blockhash":"","lastValidBlockHeight":5}}"#,
        ),
        (Method::GetProgramAccounts, r#"{"context":{},"value":1}"#),
        (Method::GetProgramAccounts, r#"{"context":{},"value":[]}"#),
        (
            Method::GetProgramAccounts,
            r#"{"context":{"slot":5},"value":[{}]}"#,
        ),
        (Method::GetProgramAccounts, "[{}]"),
        (Method::GetProgramAccounts, r#"[{"pubkey":5}]"#),
        (Method::GetVoteAccounts, r#"{"current":1,"delinquent":1}"#),
        (Method::GetVoteAccounts, r#"{"current":[]}"#),
        (Method::GetVoteAccounts, r#"{"current":[],"delinquent":{}}"#),
        (Method::GetGenesisHash, r#""""#),
        (Method::GetSlotLeader, r#""""#),
        (Method::RequestAirdrop, r#""""#),
    ] {
        assert!(
            !is_possible(method, result.as_bytes()),
            "{method:?} {result}"
        );
    }
}

#[test]
fn nor_is_what_has_members_of_another_kind() {
    for (method, result) in [
        (Method::GetIdentity, r#"{"identity":5}"#),
        (Method::GetEpochInfo, r#"{"absoluteSlot":"x"}"#),
        (
            Method::GetAccountInfo,
            r#"{"context":{"slot":5},"value":{"lamports":"x"}}"#,
        ),
        (
            Method::GetMultipleAccounts,
            r#"{"context":{"slot":5},"value":[{}]}"#,
        ),
        (
            Method::GetSignatureStatuses,
            r#"{"context":{"slot":5},"value":[{}]}"#,
        ),
        (
            Method::GetTokenAccountBalance,
            r#"{"context":{"slot":5},"value":{"amount":5}}"#,
        ),
        (
            Method::GetTokenLargestAccounts,
            r#"{"context":{"slot":5},"value":[{}]}"#,
        ),
        (Method::GetSignaturesForAddress, "[{}]"),
        (Method::GetRecentPerformanceSamples, "[{}]"),
        (Method::GetRecentPrioritizationFees, "[{}]"),
        (Method::GetInflationReward, "[{}]"),
        (Method::GetClusterNodes, "[{}]"),
    ] {
        assert!(
            !is_possible(method, result.as_bytes()),
            "{method:?} {result}"
        );
    }
}

#[test]
fn results_that_are_small_odd_or_null_are_possible_where_a_node_gives_them() {
    for (method, result) in [
        (Method::GetLeaderSchedule, "{}"),
        (Method::GetBlockTime, "null"),
        (Method::GetInflationReward, "[null]"),
        (Method::GetProgramAccounts, "[]"),
        (
            Method::GetAccountInfo,
            r#"{"context":{"slot":5},"value":{"data":"","lamports":5}}"#,
        ),
        (
            Method::GetVoteAccounts,
            r#"{"current":[],"new":5,"delinquent":[]}"#,
        ),
        (
            Method::GetLatestBlockhash,
            r#"{"context":{"slot":5},"value":{"lastValidBlockHeight":5,"blockhash":"x"}}"#,
        ),
        (
            Method::GetGenesisHash,
            r#""11111111111111111111111111111111""#,
        ),
        (
            Method::GetInflationRate,
            r#"{"total":0.05,"validator":0.05,"foundation":0.0,"epoch":5}"#,
        ),
        (Method::GetSlot, "18446744073709551615"),
        (Method::GetVersion, r#"{"new":{"a":[1]},"solana-core":"9"}"#),
        (
            Method::GetProgramAccounts,
            r#"{"context":{"slot":5},"value":[]}"#,
        ),
        (Method::Extension, "-1"),
        (Method::Extension, r#"{"error":"theirs"}"#),
        (
            Method::GetAccountInfo,
            r#"{"context":{"slot":5},"value":null}"#,
        ),
    ] {
        assert!(
            is_possible(method, result.as_bytes()),
            "{method:?} {result}"
        );
    }
}

#[test]
fn every_object_has_members_that_are_known() {
    for method in Method::ALL {
        let (Shape::Plain(kind) | Shape::Wrapped(kind)) = shape(method);
        let object = kind == ValueKind::Object || kind == ValueKind::ObjectOrNull;
        let known = !members(method).is_empty() || method == Method::GetLeaderSchedule;
        assert_eq!(object, known, "{method:?}");
        let array = kind != ValueKind::Any && kind.takes(Token::Array);
        assert_eq!(array, items(method) != ValueKind::Any, "{method:?}");
        let objects = array && items(method).takes(Token::Object);
        assert_eq!(objects, !item_members(method).is_empty(), "{method:?}");
    }
}

#[test]
fn wrapped_is_what_the_method_table_says() {
    for method in Method::ALL {
        let wrapped = matches!(shape(method), Shape::Wrapped(_));
        let unknown = shape(method) == Shape::Plain(ValueKind::Any);
        assert!(wrapped == method.profile().wrapped || unknown, "{method:?}");
    }
}

#[test]
fn null_is_possible_only_for_what_may_not_be_there() {
    let mut may = Vec::new();
    for method in Method::ALL {
        let null = match shape(method) {
            Shape::Plain(ValueKind::Any) => continue,
            Shape::Plain(_) => "null",
            Shape::Wrapped(_) => {
                assert!(!is_possible(method, b"null"), "{method:?}");
                r#"{"context":{"slot":1},"value":null}"#
            }
        };
        if is_possible(method, null.as_bytes()) {
            may.push(method.label());
        }
    }
    assert_eq!(
        may,
        [
            "getAccountInfo",
            "getBlock",
            "getBlockTime",
            "getFeeForMessage",
            "getLeaderSchedule",
            "getTransaction",
        ]
    );
}

#[test]
fn results_of_another_kind_are_impossible() {
    for (method, result, possible) in [
        (Method::GetSlot, "5", true),
        (Method::GetSlot, "\"5\"", false),
        (Method::GetSlot, r#"{"slot":5}"#, false),
        (Method::GetBalance, "5", false),
        (Method::GetBalance, "{}", false),
        (
            Method::GetBalance,
            r#"{"context":{"slot":1},"value":5}"#,
            true,
        ),
        (
            Method::GetBalance,
            r#"{"value":5,"context":{"slot":1}}"#,
            true,
        ),
        (
            Method::GetBalance,
            r#"{"context":{"slot":1},"value":"5"}"#,
            false,
        ),
        (
            Method::GetMultipleAccounts,
            r#"{"context":{"slot":1},"value":null}"#,
            false,
        ),
        (Method::GetProgramAccounts, "[]", true),
        (
            Method::GetProgramAccounts,
            r#"{"context":{"slot":1},"value":[]}"#,
            true,
        ),
        (Method::GetProgramAccounts, "null", false),
        (Method::SendTransaction, "\"5x\"", true),
        (Method::SendTransaction, "null", false),
        (Method::GetBlocks, "{}", false),
        (Method::Other, "null", true),
    ] {
        assert_eq!(
            is_possible(method, result.as_bytes()),
            possible,
            "{method:?} {result}"
        );
    }
    assert!(!may_begin(Method::GetProgramAccounts, Token::String));
    assert!(may_begin(Method::GetBlock, Token::Object));
    assert!(!may_begin(Method::GetAccountInfo, Token::Array));
    assert!(may_begin(Method::Other, Token::Bool));
}
