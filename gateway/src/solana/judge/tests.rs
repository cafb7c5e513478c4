use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{ReplyHints, judge, reached_slot};
use crate::{
    jsonrpc::Answer,
    solana::{
        Blame, Capability, Class, FaultKind as F, Penalty as P, Retry as R, Scope, Verdict,
        classify,
    },
};

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
fn results_are_delivered_even_when_null() {
    for body in [
        r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
        r#"{"jsonrpc":"2.0","result":"too many requests","id":1}"#,
        r#"{"id":1,"result":{"error":{"code":429}}}"#,
    ] {
        assert_eq!(
            judged(200, ReplyHints::default(), body, &read()),
            None,
            "{body}"
        );
    }
}

#[test]
fn every_error_code_of_agave_has_its_verdict() {
    use Blame::{Client, Cluster, Upstream};
    let archive = R::Capable(Capability::Archive);
    for (code, message, data, kind, blame, retry, penalty) in [
        (
            -32700,
            "Parse error",
            "null",
            F::ParseError,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32600,
            "Invalid request",
            "null",
            F::InvalidRequest,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32601,
            "Method not found",
            "null",
            F::MethodNotFound,
            Upstream,
            R::Elsewhere,
            P::CloseMethod,
        ),
        (
            -32602,
            "Invalid param: WrongSize",
            "null",
            F::InvalidParams,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32603,
            "Internal error",
            "null",
            F::InternalError,
            Upstream,
            R::Elsewhere,
            P::Failure,
        ),
        (
            -32001,
            "Block 5 cleaned up, does not exist on node. First available block: 9",
            "null",
            F::BlockCleanedUp,
            Upstream,
            archive,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: custom program error: 0x1",
            r#"{"err":{"InstructionError":[0,{"Custom":1}]},"logs":["rate limit"]}"#,
            F::SimulationFailed,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: Blockhash not found",
            r#"{"accounts":null,"err":"BlockhashNotFound","logs":[]}"#,
            F::BlockhashNotFound,
            Cluster,
            R::ElsewhereOnce,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed: This transaction has already been processed",
            r#"{"err":"AlreadyProcessed"}"#,
            F::AlreadyProcessed,
            Cluster,
            R::Final,
            P::None,
        ),
        (
            -32002,
            "Transaction simulation failed",
            "null",
            F::SimulationFailed,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32003,
            "Transaction signature verification failure",
            "null",
            F::SignatureVerification,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32004,
            "Block not available for slot 5",
            "null",
            F::BlockNotAvailable,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32005,
            "Node is behind by 42 slots",
            r#"{"numSlotsBehind":42}"#,
            F::NodeBehind,
            Upstream,
            R::Elsewhere,
            P::Lagging { slots: Some(42) },
        ),
        (
            -32005,
            "Node is unhealthy",
            r#"{"numSlotsBehind":null}"#,
            F::NodeUnhealthy,
            Upstream,
            R::Elsewhere,
            P::Lagging { slots: None },
        ),
        (
            -32006,
            "Transaction precompile verification failure InvalidAccountIndex",
            "null",
            F::PrecompileVerification,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32007,
            "Slot 5 was skipped, or missing due to ledger jump to recent snapshot",
            "null",
            F::SlotSkipped,
            Cluster,
            R::ElsewhereOnce,
            P::None,
        ),
        (
            -32008,
            "No snapshot",
            "null",
            F::NoSnapshot,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32009,
            "Slot 5 was skipped, or missing in long-term storage",
            "null",
            F::LongTermSlotSkipped,
            Cluster,
            archive,
            P::None,
        ),
        (
            -32010,
            "k excluded from account secondary indexes; this RPC method unavailable for key",
            "null",
            F::KeyExcluded,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32011,
            "Transaction history is not available from this node",
            "null",
            F::NoHistory,
            Upstream,
            R::Capable(Capability::History),
            P::Lacks(Capability::History),
        ),
        (
            -32012,
            "scan aborted",
            "null",
            F::ScanError,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32013,
            "Transaction signature length mismatch",
            "null",
            F::SignatureLength,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32014,
            "Block status not yet available for slot 5",
            "null",
            F::BlockStatusUnavailable,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32015,
            "Transaction version (0) is not supported by the requesting client.",
            "null",
            F::UnsupportedVersion,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32016,
            "Minimum context slot has not been reached",
            r#"{"contextSlot":1936}"#,
            F::MinContextSlot,
            Cluster,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32017,
            "Epoch rewards period still active at slot 5",
            r#"{"slot":5}"#,
            F::EpochRewardsActive,
            Cluster,
            R::Final,
            P::None,
        ),
        (
            -32018,
            "Rewards cannot be found because slot 5 is not the epoch boundary.",
            r#"{"slot":5}"#,
            F::NotEpochBoundary,
            Upstream,
            archive,
            P::None,
        ),
        (
            -32019,
            "Failed to query long-term storage; please try again",
            "null",
            F::LongTermUnreachable,
            Upstream,
            R::ElsewhereLater,
            P::None,
        ),
        (
            -32020,
            "Transaction s not found",
            "null",
            F::FilterTransactionNotFound,
            Client,
            R::ElsewhereOnce,
            P::None,
        ),
        (
            -32021,
            "No slot history",
            "null",
            F::NoSlotHistory,
            Upstream,
            R::Elsewhere,
            P::None,
        ),
        (
            -32022,
            "Node k was not in the leader schedule",
            "null",
            F::NotInLeaderSchedule,
            Client,
            R::Final,
            P::None,
        ),
        (
            -32000,
            "Server error",
            "null",
            F::UnknownError,
            Upstream,
            R::ElsewhereOnce,
            P::None,
        ),
        (
            0,
            "",
            "null",
            F::UnknownError,
            Upstream,
            R::ElsewhereOnce,
            P::None,
        ),
    ] {
        let expected = Verdict {
            kind,
            blame,
            retry,
            penalty,
        };
        assert_eq!(
            verdict(200, &error(code, message, data)),
            expected,
            "{code} {message}"
        );
    }
}

#[test]
fn a_rate_limit_is_one_in_every_status_and_shape() {
    use Scope::{Method, Upstream};
    for (status, body, scope) in [
        (
            429,
            r#"{"jsonrpc":"2.0","error":{"code": 429,"message":"Too many requests for a specific RPC call"}, "id": 1 }"#,
            Method,
        ),
        (
            429,
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"rate limited"}}"#,
            Method,
        ),
        (
            429,
            r#"{"jsonrpc":"2.0","error":{"code":429,"message":"The requests per second (RPS) of your requests are higher than your plan allows."},"id":1}"#,
            Upstream,
        ),
        (
            429,
            r#"{"code":429,"message":"[API Gateway] Too many requests"}"#,
            Method,
        ),
        (429, "<html>Too Many Requests</html>", Method),
        (429, "", Method),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":429,"message":"slow down"},"id":1}"#,
            Method,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32029,"message":"slow down"},"id":1}"#,
            Method,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"rate limited"},"id":1}"#,
            Method,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"Too many requests, please retry"},"id":1}"#,
            Method,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"Too many requests from your IP"},"id":1}"#,
            Upstream,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":"rate limit exceeded","id":1}"#,
            Method,
        ),
        (200, r#"{"message":"Too many requests"}"#, Method),
        (
            503,
            r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"request rate limited"},"id":1}"#,
            Method,
        ),
        (503, "rate limit", Method),
        (
            400,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Too many requests"},"id":1}"#,
            Method,
        ),
    ] {
        let expected = Verdict {
            kind: F::RateLimited,
            blame: Blame::Upstream,
            retry: R::Elsewhere,
            penalty: hold_off(scope, None, false),
        };
        assert_eq!(verdict(status, body), expected, "{status} {body}");
    }
}

#[test]
fn used_up_credits_are_no_mere_rate_limit() {
    for (status, body) in [
        (
            429,
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"max usage reached"}}"#,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"max usage reached"},"id":1}"#,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"daily request count exceeded, request rate limited"},"id":1}"#,
        ),
        (402, "Payment Required"),
    ] {
        let found = verdict(status, body);
        assert_eq!(found.kind, F::CreditsExhausted, "{body}");
        assert_eq!(
            found.penalty,
            hold_off(Scope::Upstream, None, true),
            "{body}"
        );
    }
}

#[test]
fn the_wait_is_what_the_headers_say() {
    let limited = |hints| judged(429, hints, "", &read()).unwrap().penalty;
    for (retry_after, reset, expected) in [
        (Some(10), None, Some(10)),
        (Some(10), Some(NOW + 60), Some(10)),
        (None, Some(NOW + 60), Some(60)),
        (None, Some((NOW + 60) * 1000), Some(60)),
        (None, Some(45), Some(45)),
        (None, Some(NOW - 5), None),
        (None, Some(0), None),
        (None, Some(NOW + 1_000_000), None),
        (None, Some(u64::MAX), None),
        (None, None, None),
    ] {
        let hints = ReplyHints {
            retry_after: retry_after.map(Duration::from_secs),
            ratelimit_reset_unix: reset,
            ..ReplyHints::default()
        };
        assert_eq!(
            limited(hints),
            hold_off(Scope::Method, expected, false),
            "{hints:?}"
        );
    }
}

#[test]
fn closed_methods_are_closed_and_the_upstream_goes_on() {
    let disabled = r#"{"jsonrpc":"2.0","error":{"code":410,"message":"The RPC call or parameters have been disabled."},"id":1}"#;
    let zero = ReplyHints {
        method_limit: Some(0),
        ..ReplyHints::default()
    };
    let limited = r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}"#;
    for (status, hints, body) in [
        (410, ReplyHints::default(), disabled),
        (200, ReplyHints::default(), disabled),
        (410, ReplyHints::default(), "Gone"),
        (429, zero, limited),
        (200, zero, limited),
        (403, zero, ""),
        (
            200,
            ReplyHints::default(),
            &*error(-32005, "Method not allowed", "null"),
        ),
    ] {
        let found = judged(status, hints, body, &read()).unwrap();
        let expected = (F::MethodDisabled, R::Elsewhere, P::CloseMethod);
        assert_eq!(
            (found.kind, found.retry, found.penalty),
            expected,
            "{status} {body}"
        );
    }
    let open = ReplyHints {
        method_limit: Some(100),
        ..ReplyHints::default()
    };
    assert_eq!(
        judged(429, open, limited, &read()).unwrap().kind,
        F::RateLimited
    );
}

#[test]
fn a_refused_key_outranks_the_body() {
    let good = r#"{"jsonrpc":"2.0","result":1,"id":1}"#;
    for body in [good, "", &*error(-32602, "Invalid params", "null")] {
        let found = verdict(401, body);
        assert_eq!((found.kind, found.retry), (F::Unauthorized, R::Elsewhere));
        assert_eq!(found.penalty, hold_off(Scope::Upstream, Some(60), false));
        let found = verdict(403, body);
        assert_eq!((found.kind, found.retry), (F::Forbidden, R::Elsewhere));
        assert_eq!(found.penalty, hold_off(Scope::Method, Some(60), false));
    }
    assert_eq!(
        verdict(200, &error(403, "Access forbidden", "null")).kind,
        F::Forbidden
    );
    assert_eq!(
        verdict(200, &error(401, "invalid api key", "null")).kind,
        F::Unauthorized
    );
}

#[test]
fn a_challenge_is_an_outage_not_a_bad_key() {
    let hints = ReplyHints {
        challenge: true,
        ..ReplyHints::default()
    };
    for status in [403, 503, 200] {
        let found = judged(status, hints, "<html>Just a moment...</html>", &read()).unwrap();
        assert_eq!(
            (found.kind, found.penalty),
            (F::Challenge, P::Failure),
            "{status}"
        );
    }
}

#[test]
fn a_plan_that_lacks_the_method_is_the_upstreams_policy() {
    for (code, message) in [
        (-32602, "Indexed requests require a personal token"),
        (-32602, "getProgramAccounts is not included in your plan"),
        (-32600, "Please upgrade to use this method"),
    ] {
        let found = verdict(200, &error(code, message, "null"));
        let expected = (F::PolicyRefused, R::Elsewhere, P::CloseMethod);
        assert_eq!(
            (found.kind, found.retry, found.penalty),
            expected,
            "{message}"
        );
    }
}

#[test]
fn a_caller_cannot_have_an_upstream_punished_by_what_it_sends() {
    for message in [
        "Invalid params: unknown variant `your plan`, expected one of `base58`",
        "Invalid params: invalid type: string \"too many requests\", expected u64",
        "Invalid param: not a Token account",
        "Invalid param: Token mint could not be unpacked",
        "Too many inputs provided; max 100",
        "expected `rate limit`",
    ] {
        let found = verdict(200, &error(-32602, message, "null"));
        let expected = (F::InvalidParams, R::Final, P::None);
        assert_eq!(
            (found.kind, found.retry, found.penalty),
            expected,
            "{message}"
        );
    }
    let logs = r#"{"err":{"InstructionError":[0,{"Custom":1}]},"logs":["too many requests"]}"#;
    let found = verdict(200, &error(-32002, "Program log: too many requests", logs));
    assert_eq!(found.kind, F::SimulationFailed);
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
        (404, "Not Found", F::UnexpectedStatus, P::Failure),
        (302, "", F::UnexpectedStatus, P::Failure),
        (400, "Bad Request", F::UnexpectedStatus, P::None),
        (413, "", F::BodyTooLarge, P::None),
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
fn agaves_own_codes_count_in_any_status() {
    for status in [200, 400, 404, 500, 503] {
        let found = verdict(status, &error(-32005, "Node is unhealthy", "null"));
        assert_eq!(found.kind, F::NodeUnhealthy, "{status}");
        let found = verdict(status, &error(-32602, "Invalid params: x", "null"));
        assert_eq!(found.kind, F::InvalidParams, "{status}");
    }
}

#[test]
fn a_transaction_goes_elsewhere_only_when_it_was_not_taken() {
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
        (200, blockhash, R::ElsewhereOnce),
        (
            200,
            &*error(-32016, "Minimum context slot has not been reached", "null"),
            R::ElsewhereLater,
        ),
        (200, &*error(-32603, "Internal error", "null"), R::Final),
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
        (200, &*error(-1, "tip too low", "null"), R::Final),
        (502, "", R::Final),
        (503, "", R::Final),
        (504, "", R::Final),
        (200, "garbage", R::Final),
    ] {
        assert_eq!(retry(status, body), Some(expected), "{status} {body}");
    }
    assert_eq!(
        retry(200, r#"{"jsonrpc":"2.0","result":"sig","id":1}"#),
        None
    );
}

#[test]
fn a_node_without_a_faucet_lacks_the_capability() {
    let class = classify("requestAirdrop", Some(b"[\"k\",5]"));
    let found = judged(
        200,
        ReplyHints::default(),
        &error(-32600, "Invalid request", "null"),
        &class,
    );
    let found = found.unwrap();
    assert_eq!(found.kind, F::NoFaucet);
    assert_eq!(found.retry, R::Capable(Capability::Airdrop));
    assert_eq!(found.penalty, P::Lacks(Capability::Airdrop));
}

#[test]
fn a_scan_that_failed_is_tried_once_more_only() {
    let class = classify("getProgramAccounts", Some(b"[\"k\"]"));
    for (status, body) in [
        (200, &*error(-32603, "Internal error", "null")),
        (504, ""),
        (200, ""),
    ] {
        let found = judged(status, ReplyHints::default(), body, &class).unwrap();
        assert_eq!(found.retry, R::ElsewhereOnce, "{status} {body}");
    }
}

#[test]
fn a_node_that_is_behind_says_how_far_it_is() {
    let body = include_str!("../../../tests/fixtures/answers/err_min_context_slot.json");
    let answer = Answer::scan(Bytes::from_static(body.as_bytes())).unwrap();
    assert_eq!(
        reached_slot(answer.error().unwrap()).map(|slot| slot.0),
        Some(1936)
    );
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
