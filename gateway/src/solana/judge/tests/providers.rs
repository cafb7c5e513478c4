//! What providers say, in the shapes they were seen to say it.

#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use std::time::Duration;

use super::{NOW, error, hold_off, judged, read, verdict};
use crate::solana::{
    Blame, FaultKind as F, Penalty as P, ReplyHints, Retry as R, Scope, Verdict, classify,
};

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
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32007,"message":"50/second request limit reached - reduce calls per second or upgrade your account"},"id":1}"#,
            Method,
        ),
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"You've exceeded the RPS limit available on the current plan."},"id":1}"#,
            Upstream,
        ),
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
        (
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32003,"message":"daily request limit reached - upgrade your account"},"id":1}"#,
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
        (Some(0), None, None),
        (Some(0), Some(NOW + 60), Some(60)),
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
    for (status, hints, body, penalty) in [
        (410, ReplyHints::default(), disabled, P::Refusal),
        (200, ReplyHints::default(), disabled, P::Refusal),
        (410, ReplyHints::default(), "Gone", P::Refusal),
        (429, zero, limited, P::CloseMethod),
        (200, zero, limited, P::CloseMethod),
        (403, zero, "", P::CloseMethod),
        (
            200,
            ReplyHints::default(),
            &*error(-32005, "Method not allowed", "null"),
            P::Refusal,
        ),
    ] {
        let found = judged(status, hints, body, &read()).unwrap();
        let expected = (F::MethodDisabled, R::Elsewhere, penalty);
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

fn key_refused(scope: Scope) -> P {
    P::KeyRefused {
        scope,
        at_least: Duration::from_secs(5),
    }
}

#[test]
fn a_date_names_the_wait_too_unless_it_is_over() {
    let limited = |hints| judged(429, hints, "", &read()).unwrap().penalty;
    for (retry_at, reset, expected) in [
        (NOW + 30, None, Some(30)),
        (NOW + 30, Some(NOW + 60), Some(30)),
        (NOW, None, None),
        (NOW - 30, None, None),
        (NOW - 30, Some(NOW + 60), Some(60)),
        (0, None, None),
    ] {
        let hints = ReplyHints {
            retry_at_unix: Some(retry_at),
            ratelimit_reset_unix: reset,
            ..ReplyHints::default()
        };
        let expected = hold_off(Scope::Method, expected, false);
        assert_eq!(limited(hints), expected, "{hints:?}");
    }
}

#[test]
fn a_refused_key_outranks_the_body() {
    let good = r#"{"jsonrpc":"2.0","result":1,"id":1}"#;
    for body in [good, "", &*error(-32602, "Invalid params", "null")] {
        let found = verdict(401, body);
        assert_eq!((found.kind, found.retry), (F::Unauthorized, R::Elsewhere));
        assert_eq!(found.penalty, key_refused(Scope::Upstream));
        let found = verdict(403, body);
        assert_eq!((found.kind, found.retry), (F::Forbidden, R::Elsewhere));
        assert_eq!(found.penalty, key_refused(Scope::Method));
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
        let expected = (F::PolicyRefused, R::Elsewhere, P::Refusal);
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
        assert_eq!(found.kind, F::InvalidParams, "{message}");
        assert_eq!(found.penalty, P::Refusal, "{message}: others will tell");
    }
    let logs = r#"{"err":{"InstructionError":[0,{"Custom":1}]},"logs":["too many requests"]}"#;
    let simulate = classify("simulateTransaction", Some(b"[\"AAAA\"]"));
    let spoken = error(-32002, "Program log: too many requests", logs);
    let found = judged(200, ReplyHints::default(), &spoken, &simulate).unwrap();
    assert_eq!(found.kind, F::SimulationFailed);
}

#[test]
fn a_page_that_speaks_of_months_does_not_use_up_any_credits() {
    for (status, kind) in [
        (502, F::ServerError),
        (503, F::ServerError),
        (404, F::UnexpectedStatus),
        (429, F::CreditsExhausted),
    ] {
        let found = verdict(status, "<p>See our monthly usage limit report.</p>");
        assert_eq!(found.kind, kind, "{status}");
    }
    let json = r#"{"message":"monthly usage limit reached"}"#;
    assert_eq!(verdict(400, json).kind, F::CreditsExhausted);
}

#[test]
fn a_key_that_is_not_known_is_one_in_every_shape() {
    for (status, body) in [
        (200, error(-32401, "Invalid API key", "null")),
        (200, error(-32000, "Invalid API key", "null")),
        (200, "Invalid API key".to_owned()),
        (200, r#"{"error":"missing api key"}"#.to_owned()),
        (400, "api key not found".to_owned()),
    ] {
        let found = verdict(status, &body);
        assert_eq!(found.kind, F::Unauthorized, "{status} {body}");
    }
    let page = "<html>invalid api key? Read on</html>";
    assert_eq!(verdict(200, page).kind, F::BadJson);
}

#[test]
fn cleartext_at_a_port_for_tls_is_told() {
    for body in [
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>",
        "Client sent an HTTP request to an HTTPS server.\n",
        "You're speaking plain HTTP to an SSL-enabled server port.",
    ] {
        let found = verdict(400, body);
        assert_eq!((found.kind, found.penalty), (F::SpeaksTls, P::Refusal));
    }
}
