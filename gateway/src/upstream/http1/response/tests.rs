//! Heads as a table, and that the split of the byte stream never matters.

use proptest::prelude::*;

use super::*;

fn head(text: &str) -> Result<Parsed, BadResponse> {
    parse_head(text.as_bytes())
}

fn final_head(headers: &str) -> ResponseHead {
    let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    match head(&text) {
        Ok(Parsed::Final { head, length }) => {
            assert_eq!(length, text.len());
            head
        }
        other => panic!("{headers:?} gave {other:?}"),
    }
}

#[test]
fn the_framing_is_read_from_the_headers() {
    for (headers, framing) in [
        ("content-length: 12\r\n", Framing::Length(12)),
        (
            "Content-Length: 5\r\ncontent-length: 5\r\n",
            Framing::Length(5),
        ),
        ("content-length: 5, 5\r\n", Framing::Length(5)),
        ("transfer-encoding: Chunked\r\n", Framing::Chunked),
        ("server: x\r\n", Framing::UntilClose),
    ] {
        assert_eq!(final_head(headers).framing, framing, "{headers}");
    }
    let empty = head("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(matches!(
        empty,
        Ok(Parsed::Final {
            head: ResponseHead {
                framing: Framing::Length(0),
                keep_alive: true,
                ..
            },
            ..
        })
    ));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for (text, expected) in [
        (
            "content-length: 5\r\ncontent-length: 6\r\n",
            BadResponse::Length,
        ),
        ("content-length: 5, 6\r\n", BadResponse::Length),
        ("content-length: +5\r\n", BadResponse::Length),
        ("content-length: \r\n", BadResponse::Length),
        (
            "content-length: 99999999999999999999\r\n",
            BadResponse::Length,
        ),
        (
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            BadResponse::Length,
        ),
        (
            "transfer-encoding: gzip, chunked\r\n",
            BadResponse::Transfer,
        ),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            BadResponse::Transfer,
        ),
        ("content-encoding: br\r\n", BadResponse::Encoded),
        ("content-encoding: gzip, gzip\r\n", BadResponse::Encoded),
        (
            "content-encoding: gzip\r\ncontent-encoding: deflate\r\n",
            BadResponse::Encoded,
        ),
        ("x: a\r\n b\r\n", BadResponse::Head),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{text}\r\n");
        assert_eq!(head(&text), Err(expected), "{text}");
    }
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(head(old), Err(BadResponse::Transfer));
    let switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    assert_eq!(head(switched), Err(BadResponse::Switched));
    assert_eq!(head("SSH-2.0-OpenSSH_9.2\r\n"), Err(BadResponse::Head));
    let alert = "\x15\x03\x03\0\x02\x02\x32";
    assert_eq!(head(alert), Err(BadResponse::Tls));
}

#[test]
fn interim_responses_are_recognised() {
    let text = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let interim = Parsed::Interim { length: text.len() };
    assert_eq!(head(&format!("{text}HTTP/1.1 200 OK\r\n")), Ok(interim));
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let mut text = String::from("HTTP/1.1 200 OK\r\nx-filler: ");
    assert_eq!(head(&text), Ok(Parsed::Partial));
    text.push_str(&"a".repeat(MOST_HEAD));
    assert_eq!(head(&text), Err(BadResponse::HeadTooLarge));
}

#[test]
fn keep_alive_follows_version_header_and_framing() {
    for (text, keep_alive) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n",
            false,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n",
            true,
        ),
    ] {
        match head(text) {
            Ok(Parsed::Final { head, .. }) => assert_eq!(head.keep_alive, keep_alive, "{text}"),
            other => panic!("{text} gave {other:?}"),
        }
    }
    let kept = final_head("Keep-Alive: timeout=5, max=100\r\ncontent-length: 0\r\n");
    assert_eq!(kept.keep_for, Some(Duration::from_secs(5)));
}

#[test]
fn hints_are_what_providers_send_with_a_refusal() {
    let hints = final_head(
        "content-type: Application/JSON; charset=utf-8\r\nRetry-After: 10\r\n\
         x-ratelimit-method-limit: 0\r\nx-ratelimit-reset: 1790000000\r\ncf-mitigated: challenge\r\n",
    )
    .hints;
    assert_eq!(
        hints,
        ReplyHints {
            retry_after: Some(Duration::from_secs(10)),
            retry_at_unix: None,
            ratelimit_reset_unix: Some(1_790_000_000),
            method_limit: Some(0),
            challenge: true,
            content_type_json: true,
            content_type: Some("application/json; charset=utf-8"),
        }
    );
    let dated = final_head("retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n").hints;
    assert_eq!(dated.retry_at_unix, Some(1_792_567_680));
    let negative = final_head("x-ratelimit-method-limit: -3\r\n").hints;
    assert_eq!(negative.method_limit, Some(-3));
}

proptest! {
    #[test]
    fn every_beginning_of_a_head_is_partial(at in any::<prop::sample::Index>()) {
        let text = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 20\r\nretry-after: 3\r\n\r\n";
        let beginning = &text.as_bytes()[..at.index(text.len())];
        prop_assert_eq!(parse_head(beginning), Ok(Parsed::Partial));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _parsed = parse_head(&bytes);
    }
}
