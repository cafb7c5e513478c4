#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{ReplyHints, judge};
use crate::{
    jsonrpc::Answer,
    solana::{Blame, Class, FaultKind as F, Penalty as P, Retry as R, Scope, Verdict, classify},
};

mod codes;
mod providers;

const NOW: u64 = 1_795_226_555;

fn read() -> Class {
    classify("getBalance", Some(b"[\"k\"]"))
}

fn judged(status: u16, hints: ReplyHints, body: &str, class: &Class) -> Option<Verdict> {
    let answer = Answer::scan(Bytes::copy_from_slice(body.as_bytes()));
    judge(status, &hints, answer.as_ref(), class, NOW)
}

fn verdict(status: u16, body: &str) -> Verdict {
    judged(status, ReplyHints::default(), body, &read()).unwrap_or_else(|| panic!("{body}"))
}

fn error(code: i64, message: &str, data: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!(
        r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":{message},"data":{data}}},"id":1}}"#
    )
}

fn hold_off(scope: Scope, at_least: Option<u64>, credits: bool) -> P {
    P::HoldOff {
        scope,
        at_least: at_least.map(Duration::from_secs),
        credits,
    }
}

#[test]
fn results_that_the_method_can_have_are_delivered_even_when_null() {
    for (method, body) in [
        ("getBlock", r#"{"jsonrpc":"2.0","result":null,"id":1}"#),
        (
            "getAccountInfo",
            r#"{"jsonrpc":"2.0","result":{"context":{"slot":1},"value":null},"id":1}"#,
        ),
        (
            "getGenesisHash",
            r#"{"jsonrpc":"2.0","result":"too many requests","id":1}"#,
        ),
        ("getAsset", r#"{"id":1,"result":{"error":{"code":429}}}"#),
        ("getAsset", r#"{"jsonrpc":"2.0","result":null,"id":1}"#),
    ] {
        let class = classify(method, None);
        let verdict = judged(200, ReplyHints::default(), body, &class);
        assert_eq!(verdict, None, "{method} {body}");
    }
}

#[test]
fn a_result_that_the_method_cannot_have_is_the_upstreams_failure() {
    for (method, result) in [
        ("getBalance", "null"),
        ("getBalance", r#"{"context":{"slot":1},"value":null}"#),
        ("getSlot", "null"),
        ("getSlot", "\"5\""),
        ("getSlot", "-1"),
        ("getEpochInfo", "{}"),
        ("getEpochInfo", r#"{"error":"busy"}"#),
        ("getLatestBlockhash", "null"),
        (
            "getMultipleAccounts",
            r#"{"context":{"slot":1},"value":{}}"#,
        ),
        ("sendTransaction", "null"),
    ] {
        let class = classify(method, None);
        let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
        let verdict = judged(200, ReplyHints::default(), &body, &class).expect(method);
        assert_eq!(
            (verdict.kind, verdict.retry, verdict.penalty),
            (F::BadResult, R::Elsewhere, P::Failure.of(&class)),
            "{method} {result}"
        );
    }
}

#[test]
fn statuses_without_a_telling_body() {
    for (status, body, kind, penalty) in [
        (500, "", F::ServerError, P::Failure),
        (502, "<html>Bad Gateway</html>", F::ServerError, P::Failure),
        (503, "upgrade in progress", F::ServerError, P::Failure),
        (
            500,
            r#"{"jsonrpc":"2.0","result":1,"id":1}"#,
            F::ServerError,
            P::Failure,
        ),
        (
            502,
            r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"x"},"id":1}"#,
            F::ServerError,
            P::Failure,
        ),
        (408, "", F::ServerError, P::Failure),
        (404, "Not Found", F::UnexpectedStatus, P::Refusal),
        (405, "", F::UnexpectedStatus, P::Refusal),
        (410, "Gone", F::MethodDisabled, P::Refusal),
        (411, "", F::UnexpectedStatus, P::Refusal),
        (414, "", F::UnexpectedStatus, P::Refusal),
        (415, "", F::UnexpectedStatus, P::Refusal),
        (422, "", F::UnexpectedStatus, P::Refusal),
        (431, "", F::UnexpectedStatus, P::Refusal),
        (302, "", F::UnexpectedStatus, P::Failure),
        (400, "Bad Request", F::UnexpectedStatus, P::Refusal),
        (413, "", F::BodyTooLarge, P::Refusal),
        (200, "", F::BadJson, P::Failure),
        (200, "{}", F::BadJson, P::Failure),
        (204, "", F::BadJson, P::Failure),
        (200, "<html>", F::BadJson, P::Failure),
    ] {
        let found = verdict(status, body);
        assert_eq!(
            (found.kind, found.penalty),
            (kind, penalty),
            "{status} {body}"
        );
        assert_eq!(
            (found.retry, found.blame),
            (R::Elsewhere, Blame::Upstream),
            "{status}"
        );
    }
}

#[test]
fn an_answer_is_one_behind_every_status_that_is_no_refusal_itself() {
    let result = r#"{"jsonrpc":"2.0","result":{"context":{"slot":1},"value":5},"id":1}"#;
    for status in [200, 400, 404, 405, 408, 410, 413, 422, 500, 503] {
        let found = judged(status, ReplyHints::default(), result, &read());
        assert_eq!(found, None, "{status}");
    }
    for (status, kind) in [
        (401, F::Unauthorized),
        (402, F::CreditsExhausted),
        (403, F::Forbidden),
        (429, F::RateLimited),
        (302, F::UnexpectedStatus),
    ] {
        assert_eq!(verdict(status, result).kind, kind, "{status}");
    }
    let impossible = r#"{"jsonrpc":"2.0","result":"x","id":1}"#;
    assert_eq!(verdict(404, impossible).kind, F::UnexpectedStatus);
}

#[test]
fn agaves_own_codes_count_in_any_status() {
    for status in [200, 400, 404, 410, 413, 422, 500, 503] {
        let found = verdict(status, &error(-32005, "Node is unhealthy", "null"));
        assert_eq!(found.kind, F::NodeUnhealthy, "{status}");
        let found = verdict(status, &error(-32602, "Invalid params: x", "null"));
        assert_eq!(found.kind, F::InvalidParams, "{status}");
    }
}

#[test]
fn a_transaction_goes_elsewhere_unless_every_node_would_say_the_same() {
    let class = classify("sendTransaction", Some(b"[\"AAAA\"]"));
    let blockhash = include_str!("../../../tests/fixtures/answers/err_preflight_blockhash.json");
    let retry = |status, body: &str| {
        judged(status, ReplyHints::default(), body, &class).map(|verdict| verdict.retry)
    };
    for (status, body, expected) in [
        (429, "", R::Elsewhere),
        (
            200,
            &*error(
                -32005,
                "Node is behind by 42 slots",
                r#"{"numSlotsBehind":42}"#,
            ),
            R::Elsewhere,
        ),
        (
            200,
            &*error(-32601, "Method not found", "null"),
            R::Elsewhere,
        ),
        (401, "", R::Elsewhere),
        (403, "", R::Elsewhere),
        (410, "", R::Elsewhere),
        (200, blockhash, R::Elsewhere),
        (
            200,
            &*error(-32016, "Minimum context slot has not been reached", "null"),
            R::ElsewhereLater,
        ),
        (200, &*error(-32603, "Internal error", "null"), R::Elsewhere),
        (
            200,
            &*error(-32002, "Transaction simulation failed", "{}"),
            R::Final,
        ),
        (
            200,
            &*error(-32003, "Transaction signature verification failure", "null"),
            R::Final,
        ),
        (200, &*error(-32000, "Server error", "null"), R::Elsewhere),
        (200, &*error(-1, "tip too low", "null"), R::Elsewhere),
        (502, "", R::Elsewhere),
        (503, "", R::Elsewhere),
        (504, "", R::Elsewhere),
        (200, "garbage", R::Elsewhere),
    ] {
        assert_eq!(retry(status, body), Some(expected), "{status} {body}");
    }
    assert_eq!(
        retry(200, r#"{"jsonrpc":"2.0","result":"sig","id":1}"#),
        None
    );
}

#[test]
fn what_is_done_twice_goes_elsewhere_only_when_it_was_not_done() {
    for method in ["requestAirdrop", "sendBundle"] {
        let class = classify(method, Some(b"[\"k\",5]"));
        let retry = |status, body: &str| {
            judged(status, ReplyHints::default(), body, &class).map(|verdict| verdict.retry)
        };
        for (status, body) in [
            (502, ""),
            (200, &*error(-32603, "Internal error", "null")),
            (200, &*error(-1, "tip too low", "null")),
            (200, "garbage"),
        ] {
            assert_eq!(
                retry(status, body),
                Some(R::Final),
                "{method} {status} {body}"
            );
        }
        assert_eq!(retry(429, ""), Some(R::Elsewhere), "{method}");
    }
}

#[test]
fn a_processed_transaction_is_known_by_whatever_code_it_is_said_with() {
    let class = classify("sendTransaction", Some(b"[\"AAAA\"]"));
    let agaves = "Transaction simulation failed: This transaction has already been processed";
    for (code, message, data) in [
        (
            -32002,
            "Transaction simulation failed",
            r#"{"err":"AlreadyProcessed"}"#,
        ),
        (-32002, agaves, "null"),
        (-32603, agaves, "null"),
        (-32000, "rpc: AlreadyProcessed", "null"),
    ] {
        let body = error(code, message, data);
        let found = judged(200, ReplyHints::default(), &body, &class).unwrap();
        assert_eq!(found.kind, F::AlreadyProcessed, "{code} {message}");
    }
    let read = judged(
        200,
        ReplyHints::default(),
        &error(-32603, agaves, "null"),
        &read(),
    );
    assert_eq!(read.unwrap().kind, F::InternalError);
    // Where the node says what failed, that decides.
    for data in [
        r#"{"err":"AlreadyProcessedElsewhere"}"#,
        r#"{"err":"AccountInUse"}"#,
        r#"{"err":{"InstructionError":[0,{"Custom":1}]}}"#,
    ] {
        let found = judged(
            200,
            ReplyHints::default(),
            &error(-32002, agaves, data),
            &class,
        );
        assert_eq!(found.unwrap().kind, F::SimulationFailed, "{data}");
    }
}

#[test]
fn only_agaves_own_words_on_a_transaction_are_final() {
    let class = classify("sendTransaction", Some(b"[\"AAAA\"]"));
    let retry = |message: &str| {
        let body = error(-32602, message, "null");
        let found = judged(200, ReplyHints::default(), &body, &class).unwrap();
        assert_eq!(found.penalty, P::Refusal, "{message}");
        found.retry
    };
    for message in [
        "unsupported",
        "Invalid params",
        "Invalid params: the transaction was not accepted",
        "invalid request parameters",
        "invalid transaction",
        "expected a signed transaction",
        "Method does not support this",
        "",
    ] {
        assert_eq!(retry(message), R::Elsewhere, "{message}");
    }
    for message in [
        "base64 encoded solana_transaction::versioned::VersionedTransaction too large: 1700 bytes \
         (max: encoded/raw 1644/1232)",
        "decoded solana_transaction::versioned::VersionedTransaction too large: 1300 bytes (max: \
         1232 bytes)",
        "failed to deserialize solana_transaction::versioned::VersionedTransaction: io error",
        "invalid base58 encoding: InvalidCharacter",
        "invalid base64 encoding: InvalidLength",
        "invalid transaction: Transaction failed to sanitize accounts offsets correctly",
        "unsupported encoding: binary. Supported encodings: base58, base64",
        "Invalid params: invalid type: integer `5`, expected a string.",
        "`params` should have at least 1 argument(s)",
    ] {
        assert_eq!(retry(message), R::Final, "{message}");
    }
}

#[test]
fn the_result_of_what_must_not_be_done_twice_is_one_behind_any_status() {
    let good = r#"{"jsonrpc":"2.0","result":"5sig","id":1}"#;
    for status in [401, 402, 403, 429] {
        let retry = |method: &str, body: &str| {
            let class = classify(method, Some(b"[\"k\",5]"));
            judged(status, ReplyHints::default(), body, &class).map(|found| found.retry)
        };
        for method in ["requestAirdrop", "sendBundle"] {
            assert_eq!(retry(method, good), None, "{method} {status}");
            let refused = error(429, "Too many requests", "null");
            assert_eq!(
                retry(method, &refused),
                Some(R::Elsewhere),
                "{method} {status}"
            );
            assert_eq!(retry(method, ""), Some(R::Elsewhere), "{method} {status}");
        }
        assert_eq!(
            retry("getGenesisHash", good),
            Some(R::Elsewhere),
            "{status}"
        );
    }
}

#[test]
fn a_scan_that_failed_goes_on() {
    let class = classify("getProgramAccounts", Some(b"[\"k\"]"));
    for (status, body) in [
        (200, &*error(-32603, "Internal error", "null")),
        (504, ""),
        (200, ""),
    ] {
        let found = judged(status, ReplyHints::default(), body, &class).unwrap();
        assert_eq!(found.retry, R::Elsewhere, "{status} {body}");
    }
}

#[test]
fn what_an_error_without_id_says_of_the_upstream_is_believed() {
    for (status, code, message, kind) in [
        (200, -32429, "rate limited", F::RateLimited),
        (200, -32005, "Node is unhealthy", F::NodeUnhealthy),
        (502, -32603, "bad gateway", F::ServerError),
        (401, -32000, "unauthorized", F::Unauthorized),
        (200, -32602, "wrong", F::WrongId),
        (200, -32016, "Minimum context slot", F::WrongId),
        (200, -32000, "odd", F::WrongId),
        (200, -32600, "Invalid request", F::WrongId),
    ] {
        let body = format!(r#"{{"error":{{"code":{code},"message":"{message}"}}}}"#);
        let found = verdict(status, &body);
        assert_eq!((found.kind, found.retry), (kind, R::Elsewhere), "{body}");
        let null = body.replace("}}", r#"},"id":null}"#);
        let kind = if code == -32600 {
            F::InvalidRequest
        } else {
            kind
        };
        assert_eq!(verdict(status, &null).kind, kind, "{null}");
    }
}

proptest! {
    #[test]
    fn no_reply_makes_the_judge_panic(
        status in 100_u16..600,
        code: i64,
        message in "\\PC{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        for method in ["getBalance", "sendTransaction", "requestAirdrop", "sendBundle"] {
            let class = classify(method, None);
            let body = Answer::scan(Bytes::from(body.clone()));
            let verdict = judge(status, &ReplyHints::default(), body.as_ref(), &class, NOW);
            prop_assert!(verdict.is_some() || body.is_ok());
            let spoken = error(code, &message, "null");
            prop_assert!(judged(status, ReplyHints::default(), &spoken, &class).is_some());
        }
    }
}
