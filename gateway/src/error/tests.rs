use super::*;

#[test]
fn retry_after_is_a_whole_number_of_seconds_that_every_client_honours() {
    for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (7_200_000, 119)] {
        let rejection = Rejection::RateLimited {
            retry_after: Duration::from_millis(millis),
        };
        assert_eq!(rejection.retry_after(), Some(seconds), "{millis} ms");
    }
}

#[test]
fn no_upstream_is_an_agave_error_inside_a_200() {
    let none = Rejection::NoUpstream {
        reason: "none configured",
    };
    for (rejection, said) in [(none, "unhealthy"), (Rejection::Saturated, "connections")] {
        let (body, content_type) = rejection.body(&Id::null());
        assert_eq!(rejection.status(), 200);
        assert_eq!(content_type, JSON);
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(value["error"]["code"], -32005);
        assert!(value["error"]["message"].as_str().unwrap().contains(said));
        assert!(value["error"]["data"]["numSlotsBehind"].is_null());
        assert!(
            value["error"]["data"]
                .as_object()
                .unwrap()
                .contains_key("numSlotsBehind")
        );
    }
}

#[test]
fn plain_refusals_are_agaves_texts() {
    let (body, content_type) = Rejection::HttpMethod.body(&Id::null());
    assert_eq!(
        body,
        "Used HTTP Method is not allowed. POST or OPTIONS is required\n".as_bytes()
    );
    assert_eq!(content_type, TEXT);
}

#[test]
fn what_is_too_large_says_so_in_agaves_words_and_names_the_limit() {
    for (rejection, limit) in [
        (
            Rejection::BodyTooLarge { limit: 65_536 },
            "65536 bytes (limits.max_body)",
        ),
        (
            Rejection::TooManyCalls { calls: 6, limit: 5 },
            "holds 6 calls, at most 5 are allowed (max_batch)",
        ),
        (
            Rejection::OverBurst { calls: 6, burst: 5 },
            "counts as 6 calls, and your plan allows 5 at once (its burst)",
        ),
    ] {
        let (body, content_type) = rejection.body(&Id::null());
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!((rejection.status(), content_type), (413, TEXT), "{body}");
        assert!(
            body.starts_with("request body size exceeds allowed maximum: "),
            "{body}"
        );
        assert!(body.trim_end().ends_with(limit), "{body}");
    }
}

#[test]
fn behind_is_said_in_agaves_words() {
    let (body, _) = Rejection::Behind { slots: 42 }.body(&Id::null());
    assert_eq!(
        body,
        concat!(
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"Node is behind by 42 slots","#,
            r#""data":{"numSlotsBehind":42}},"id":null}"#
        )
        .as_bytes()
    );
}
