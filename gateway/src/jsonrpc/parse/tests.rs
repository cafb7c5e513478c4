//! The tables hold what jsonrpc-core 18, the server within Agave, was seen to answer.

#![allow(clippy::too_many_lines, reason = "tables, one case per row")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{Batch, KEPT, ParseError, parse};
use crate::jsonrpc::{Call, RequestEntry, RequestId, RequestPayload, encode, error_reply};

fn read(body: &str) -> Result<RequestPayload, ParseError> {
    parse(&Bytes::copy_from_slice(body.as_bytes()), 100)
}

fn call(body: &str) -> Call {
    match read(body) {
        Ok(RequestPayload::Single(RequestEntry::Call(call))) => call,
        other => panic!("{body}: {other:?}"),
    }
}

/// What an entry is answered with before any method runs: `call <id>`, nothing, or an error.
fn shown(entry: &RequestEntry) -> String {
    match entry {
        RequestEntry::Call(call) => call.id.as_ref().map_or("notification".to_owned(), |id| {
            format!("call {}", String::from_utf8_lossy(id.as_bytes()))
        }),
        RequestEntry::Invalid(invalid) => {
            let reply = error_reply(&invalid.id, &invalid.error, invalid.versionless);
            String::from_utf8_lossy(&reply).into_owned()
        }
    }
}

const VERSIONLESS: &str =
    r#"{"error":{"code":-32600,"message":"Unsupported JSON-RPC protocol version"},"id":1}"#;
const INVALID: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request"},"id":1}"#;
const INVALID_NULL: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request"},"id":null}"#;

#[test]
fn single_objects_are_read_as_agave_reads_them() {
    for (body, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#, "call 1"),
        (
            r#" { "method" : "getSlot" , "params" : [ ] , "id" : 1 , "jsonrpc" : "2.0" } "#,
            "call 1",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":null}"#,
            "call 1",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"getAsset","params":{"id":"x"}}"#,
            "call 1",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"getSlot"}"#,
            "call null",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"7","method":"getSlot"}"#,
            "call \"7\"",
        ),
        (
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"m"}"#,
            "call 18446744073709551615",
        ),
        (
            r#"{"jsonrpc":"\u0032.0","\u0069d":1,"method":"m"}"#,
            "call 1",
        ),
        (r#"{"jsonrpc":"2.0","method":"getSlot"}"#, "notification"),
        (r#"{"method":"getSlot"}"#, "notification"),
        (r#"{"id":1,"method":"getSlot"}"#, VERSIONLESS),
        (r#"{"jsonrpc":null,"id":1,"method":"getSlot"}"#, VERSIONLESS),
        (r#"{"jsonrpc":"1.0","id":1,"method":"getSlot"}"#, INVALID),
        (r#"{"jsonrpc":2.0,"id":1,"method":"getSlot"}"#, INVALID),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","extra":1}"#,
            INVALID,
        ),
        (r#"{"id":1,"method":"getSlot","extra":1}"#, INVALID),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"m"}"#,
            INVALID,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null,"params":[]}"#,
            INVALID,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, INVALID),
        (r#"{"jsonrpc":"2.0","id":1}"#, INVALID),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":5}"#,
            INVALID,
        ),
        (r#"{"jsonrpc":"1.0","method":"getSlot"}"#, INVALID_NULL),
        (
            r#"{"jsonrpc":"2.0","method":"getSlot","extra":1}"#,
            INVALID_NULL,
        ),
        ("{}", INVALID_NULL),
    ] {
        match read(body) {
            Ok(RequestPayload::Single(entry)) => assert_eq!(shown(&entry), expected, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn bodies_without_a_request_are_parse_errors() {
    for body in [
        "",
        " ",
        "5",
        "null",
        "\"x\"",
        "{",
        "{]",
        "[1]",
        "[[]]",
        r#"[{"jsonrpc":"2.0","id":-1,"method":"m"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":-1,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1.0,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1e2,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m",}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":["\ud800"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[01]}"#,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\nb\"}",
    ] {
        assert_eq!(read(body), Err(ParseError::Json), "{body}");
    }
}

#[test]
fn a_body_that_is_no_utf8_is_told_apart() {
    let body = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}");
    assert_eq!(parse(&body, 100), Err(ParseError::Utf8 { valid_up_to: 34 }));
}

#[test]
fn batches_keep_their_order_and_their_invalid_entries() {
    let body = r#"[{"foo":"bar"},{"jsonrpc":"2.0","id":"a","method":"m"},
        {"jsonrpc":"2.0","method":"m"},{"id":1,"method":"m"}]"#;
    let Ok(RequestPayload::Batch(entries)) = read(body) else {
        panic!("no batch")
    };
    let shown: Vec<_> = entries.map(|entry| shown(&entry)).collect();
    assert_eq!(
        shown,
        [INVALID_NULL, "call \"a\"", "notification", VERSIONLESS]
    );
}

#[test]
fn an_empty_batch_is_a_batch() {
    for body in ["[]", " [ ] \n"] {
        assert_eq!(read(body), Ok(RequestPayload::Batch(Batch::default())));
    }
}

#[test]
fn the_entries_of_a_long_batch_are_read_when_their_turn_comes() {
    let calls = 3 * KEPT;
    let entries: Vec<_> = (0..calls)
        .map(|id| match id % 3 {
            0 => format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":[{id}]}}"#),
            1 => "{}".to_owned(),
            _ => format!(r#" {{"jsonrpc":"2.0","id":"{id}","method":"m"}} "#),
        })
        .collect();
    let body = Bytes::from(format!("[{}]", entries.join(" ,\n")));
    let Ok(RequestPayload::Batch(batch)) = parse(&body, usize::MAX) else {
        panic!("no batch")
    };
    assert_eq!((batch.len(), batch.kept.len()), (calls, KEPT));
    let mut count = 0;
    for (entry, text) in batch.zip(entries) {
        let alone = parse(&Bytes::from(text), 1);
        assert_eq!(alone, Ok(RequestPayload::Single(entry)), "{count}");
        count += 1;
    }
    assert_eq!(count, calls);
    // One that spoils the whole body does so wherever it stands.
    let spoilt = format!("[{}{{\"id\":-1}}]", "{},".repeat(2 * KEPT));
    assert_eq!(
        parse(&Bytes::from(spoilt), usize::MAX),
        Err(ParseError::Json)
    );
}

#[test]
fn a_batch_over_the_limit_is_counted_to_its_end() {
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
    let body = |calls| Bytes::from(format!("[{}]", vec![one; calls].join(",")));
    assert!(matches!(parse(&body(3), 3), Ok(RequestPayload::Batch(entries)) if entries.len() == 3));
    assert_eq!(
        parse(&body(7), 3),
        Err(ParseError::TooManyCalls { calls: 7, limit: 3 })
    );
}

#[test]
fn parameters_and_ids_stay_the_callers_bytes() {
    let body =
        r#"{"jsonrpc":"2.0","id":"a\u0041","method":"m","params":[ 18446744073709551615, 1.50 ]}"#;
    let call = call(body);
    assert_eq!(call.params(), Some(&b"[ 18446744073709551615, 1.50 ]"[..]));
    assert_eq!(call.id.unwrap().as_bytes(), br#""a\u0041""#);
}

/// A call as an upstream gets it, with 7 for its id.
fn sent(call: &Call) -> Vec<u8> {
    let mut open = BytesMut::new();
    encode(call, &mut open);
    let mut sent = open.to_vec();
    RequestId::from(7).close(&mut sent);
    sent
}

#[test]
fn an_escaped_method_is_unescaped_for_us_and_verbatim_for_the_upstream() {
    let call = call(r#"{"jsonrpc":"2.0","id":1,"method":"get\u0053lot"}"#);
    assert_eq!(call.method(), "getSlot");
    assert_eq!(
        sent(&call),
        br#"{"jsonrpc":"2.0","method":"get\u0053lot","id":7}"#
    );
}

#[test]
fn equal_calls_are_equal_bytes_whatever_their_id_and_spacing_between_members() {
    let first = call(r#"{"jsonrpc":"2.0","id":"x","method":"getBalance","params":["k"]}"#);
    let second = call(r#"{"params":["k"], "method":"getBalance", "jsonrpc":"2.0", "id":9}"#);
    assert_eq!(sent(&first), sent(&second));
    assert_eq!(
        sent(&first),
        br#"{"jsonrpc":"2.0","method":"getBalance","params":["k"],"id":7}"#
    );
}

#[test]
fn null_parameters_are_not_sent_on() {
    let call = call(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#);
    assert_eq!(sent(&call), br#"{"jsonrpc":"2.0","method":"m","id":7}"#);
}

/// A call as serde reads it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read, not used")]
struct Request<'a> {
    jsonrpc: &'a str,
    id: u64,
    method: &'a str,
    #[serde(borrow)]
    params: Vec<&'a serde_json::value::RawValue>,
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&Bytes::from(body), 4));
    }

    #[test]
    fn no_near_request_makes_the_parser_panic(
        body in r#"[\[{]?("(jsonrpc|id|method|params)":("2\.0"|1|null|\[|\{|"\\u[0-9a-f]{2,4}"),?){0,6}[}\]]?"#
    ) {
        drop(read(&body));
    }

    #[test]
    fn every_number_reaches_the_upstream_unchanged(number: u64, id: u64, text in "\\PC{0,20}") {
        let body = serde_json::json!({
            "jsonrpc": "2.0", "id": id, "method": "m", "params": [number, text],
        });
        let body = body.to_string();
        let call = call(&body);
        let sent: serde_json::Value = serde_json::from_slice(&sent(&call)).unwrap();
        prop_assert_eq!(&sent["params"][0], &serde_json::json!(number));
        prop_assert_eq!(&sent["params"][1], &serde_json::json!(text));
        prop_assert_eq!(call.id, Some(crate::jsonrpc::Id::from(id)));
    }

    #[test]
    fn the_parser_takes_as_json_what_serde_takes(
        value in prop_oneof![r#"[\[\]{}":,0-9a-z\\ .eE+-]{0,24}"#, "\\PC{0,12}"]
    ) {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":[{value}]}}"#);
        let call_only = matches!(read(&body), Ok(RequestPayload::Single(RequestEntry::Call(_))));
        prop_assert_eq!(call_only, serde_json::from_str::<Request<'_>>(&body).is_ok());
    }
}
