use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::{Answer, ErrorObject, MalformedKind};
use crate::jsonrpc::{Id, RequestId};

fn scan(body: &str) -> Answer {
    Answer::scan(Bytes::copy_from_slice(body.as_bytes())).unwrap_or_else(|_| panic!("{body}"))
}

fn spliced(answer: &Answer, id: &str) -> String {
    let id = Id::from_raw(Bytes::copy_from_slice(id.as_bytes()));
    String::from_utf8(answer.splice(&id).concat()).unwrap()
}

#[test]
fn only_the_id_and_the_newline_change() {
    for (body, expected) in [
        (
            "{\"jsonrpc\":\"2.0\",\"result\":{\"a\":[1]},\"id\":1}\n",
            r#"{"jsonrpc":"2.0","result":{"a":[1]},"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":5,"id":1}"#,
            r#"{"jsonrpc":"2.0","result":5,"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
            r#"{"jsonrpc":"2.0","result":null,"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":"a"}"#,
            r#"{"jsonrpc":"2.0","id":"x","result":"a"}"#,
        ),
        (
            r#"{"id":1,"result":[],"jsonrpc":"2.0"}"#,
            r#"{"id":"x","result":[],"jsonrpc":"2.0"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "result": {"id": 1}, "id": 1}"#,
            r#"{"jsonrpc": "2.0", "result": {"id": 1}, "id": "x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"m"},"id":null}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32005,"message":"m"},"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code": 429,"message":"m"}, "id": 1 }"#,
            r#"{"jsonrpc":"2.0","error":{"code": 429,"message":"m"}, "id": "x" }"#,
        ),
        // Helius leaves the id out when it limits.
        (
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"rate limited"}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32429,"message":"rate limited"},"id":"x"}"#,
        ),
    ] {
        assert_eq!(spliced(&scan(body), "\"x\""), expected, "{body}");
    }
}

#[test]
fn the_result_is_found_in_every_shape() {
    for (body, result) in [
        (
            r#"{"jsonrpc":"2.0","result":{"context":{"slot":1},"value":5},"id":1}"#,
            r#"{"context":{"slot":1},"value":5}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":18446744073709551615}"#,
            "18446744073709551615",
        ),
        (
            r#"{"jsonrpc":"2.0","result":"a,\"id\":1","id":1}"#,
            r#""a,\"id\":1""#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":[1],"usage":{"id":1},"id":1}"#,
            "[1]",
        ),
        (r#"{"result":null,"error":null,"id":1}"#, "null"),
    ] {
        let answer = scan(body);
        assert_eq!(answer.result(), Some(result.as_bytes()), "{body}");
        assert_eq!(answer.error(), None, "{body}");
    }
}

#[test]
fn an_error_that_is_null_is_left_out_of_a_result() {
    let long = format!("[{}0]", "5,".repeat(5_000));
    for (body, expected) in [
        (
            r#"{"jsonrpc":"2.0","result":5,"error":null,"id":1}"#,
            r#"{"jsonrpc":"2.0","result":5,"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","error":null,"result":{"a":null},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"a":null},"id":"x"}"#,
        ),
        (
            r#"{"error" : null , "result":null,"id":1}"#,
            r#"{ "result":null,"id":"x"}"#,
        ),
        (
            r#"{"id":1,"result":[] , "error":null }"#,
            r#"{"id":"x","result":[] }"#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":{"error":null},"id":1}"#,
            r#"{"jsonrpc":"2.0","result":{"error":null},"id":"x"}"#,
        ),
        (
            &format!(r#"{{"jsonrpc":"2.0","result":{long},"error":null,"id":1}}"#),
            &format!(r#"{{"jsonrpc":"2.0","result":{long},"id":"x"}}"#),
        ),
        (
            &format!(r#"{{"jsonrpc":"2.0","id":1,"error":null,"result":{long}}}"#),
            &format!(r#"{{"jsonrpc":"2.0","id":"x","result":{long}}}"#),
        ),
    ] {
        let answer = scan(body);
        assert_eq!(answer.error(), None, "{body}");
        assert_eq!(spliced(&answer, "\"x\""), expected, "{body}");
    }
}

#[test]
fn a_null_result_beside_an_error_is_an_error() {
    for body in [
        r#"{"jsonrpc":"2.0","result":null,"error":{"code":7,"message":"m"},"id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":7,"message":"m"}}"#,
    ] {
        let answer = scan(body);
        assert_eq!(answer.result(), None);
        assert_eq!(answer.error().map(|error| error.code), Some(7));
    }
}

#[test]
fn errors_are_read_as_leniently_as_providers_write_them() {
    for (error, code, message, data) in [
        (
            r#"{"code":-32016,"message":"M","data":{"contextSlot":1936}}"#,
            -32016,
            "M",
            Some(r#"{"contextSlot":1936}"#),
        ),
        (
            r#"{"code":-32005,"message":"a \"b\" é","data":null}"#,
            -32005,
            "a \"b\" é",
            None,
        ),
        (r#"{"message":"M","code":"429"}"#, 429, "M", None),
        (r#"{"message":"M"}"#, 0, "M", None),
        (r#""rate limited""#, 0, "rate limited", None),
    ] {
        let answer = scan(&format!(r#"{{"jsonrpc":"2.0","error":{error},"id":1}}"#));
        let expected = ErrorObject {
            code,
            message: message.to_owned(),
            data: data.map(|data| Bytes::from_static(data.as_bytes())),
        };
        assert_eq!(answer.error(), Some(&expected), "{error}");
    }
}

#[test]
fn what_is_no_answer_is_refused_with_its_beginning() {
    for (body, kind) in [
        ("", MalformedKind::Empty),
        (" \n", MalformedKind::Empty),
        ("<html>challenge</html>", MalformedKind::NotJson),
        (
            r#"{"jsonrpc":"2.0","result":{"a":1,"id":1}"#,
            MalformedKind::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","result":"abc,"id":1}"#,
            MalformedKind::NotJson,
        ),
        (r#"{"jsonrpc":"2.0","result":[1,2"#, MalformedKind::NotJson),
        (
            r#"{"jsonrpc":"2.0","result":1,"id":1} x"#,
            MalformedKind::NotJson,
        ),
        (
            r#"{"code":429,"message":"Too many requests"}"#,
            MalformedKind::NotAnAnswer,
        ),
        ("[]", MalformedKind::NotAnAnswer),
    ] {
        let scanned = Answer::scan(Bytes::from_static(body.as_bytes()));
        let malformed = scanned.expect_err(body);
        assert_eq!(malformed.kind, kind, "{body}");
        assert_eq!(malformed.excerpt, body.as_bytes());
    }
    let long = Answer::scan(Bytes::from(vec![b'x'; 9000])).unwrap_err();
    assert_eq!(long.excerpt.len(), 512);
}

#[test]
fn an_answer_belongs_to_its_request() {
    let asked = RequestId::from(7_000_000_001);
    for (body, belongs) in [
        (r#"{"jsonrpc":"2.0","result":5,"id":7000000001}"#, true),
        (r#"{"jsonrpc":"2.0","id":7000000001,"result":5}"#, true),
        (r#"{"id":7000000001,"result":5}"#, true),
        (r#"{"result":5,"id":7000000001,"jsonrpc":"2.0"}"#, true),
        (r#"{"jsonrpc":"2.0","result":5,"id":"7000000001"}"#, true),
        (r#"{"jsonrpc":"2.0","result":5,"id":7000000000}"#, false),
        (r#"{"jsonrpc":"2.0","id":7000000002,"result":5}"#, false),
        (r#"{"jsonrpc":"2.0","result":5,"id":1}"#, false),
        (r#"{"jsonrpc":"2.0","result":5,"id":777}"#, false),
        (r#"{"jsonrpc":"2.0","result":5,"id":"x"}"#, false),
        (r#"{"jsonrpc":"2.0","result":5,"id":null}"#, false),
        (r#"{"jsonrpc":"2.0","result":5}"#, false),
        (r#"{"jsonrpc":"2.0","result":null,"id":null}"#, false),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1},"id":7000000001}"#,
            true,
        ),
        (r#"{"jsonrpc":"2.0","error":{"code":1},"id":777}"#, false),
        // Servers that could not read the request, and what stands before them, do not know it.
        (r#"{"jsonrpc":"2.0","error":{"code":1},"id":null}"#, true),
        (r#"{"jsonrpc":"2.0","error":{"code":1}}"#, true),
    ] {
        let scanned = Answer::scan_reply(Bytes::from_static(body.as_bytes()), asked);
        let kind = scanned.map_err(|malformed| malformed.kind).map(drop);
        let expected = if belongs {
            Ok(())
        } else {
            Err(MalformedKind::WrongId)
        };
        assert_eq!(kind, expected, "{body}");
    }
}

#[test]
fn what_contradicts_itself_is_no_answer() {
    for (body, kind) in [
        (
            r#"{"jsonrpc":"2.0","result":1,"error":{"code":1},"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","result":{"a":1},"error":{"code":1},"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":1},"error":{"code":1}}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","result":1,"result":2,"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1},"error":{"code":2},"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":1,"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","error":5,"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","error":[],"id":1}"#,
            MalformedKind::NotAnAnswer,
        ),
        (
            r#"{"jsonrpc":"2.0","result":[1,,2],"id":1}"#,
            MalformedKind::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","result":{"a":01},"id":1}"#,
            MalformedKind::NotJson,
        ),
        (
            r#"{"jsonrpc":"2.0","result":1,"id":1}{"jsonrpc":"2.0","result":2,"id":2}"#,
            MalformedKind::NotJson,
        ),
        ("\"rate limited\"", MalformedKind::NotAnAnswer),
    ] {
        let scanned = Answer::scan(Bytes::from_static(body.as_bytes()));
        assert_eq!(scanned.expect_err(body).kind, kind, "{body}");
    }
}

/// A string in a short answer, and in ones too long to be read token by token.
fn with_string(raw: &[u8]) -> Vec<Vec<u8>> {
    let pads = [0, 2000, 100_000];
    let bodies = pads.iter().flat_map(|pad| {
        let pad = vec![b'A'; *pad];
        let parts: [&[&[u8]]; 3] = [
            &[
                br#"{"jsonrpc":"2.0","result":[""#,
                raw,
                br#"",""#,
                &pad,
                br#""],"id":1}"#,
            ],
            &[
                br#"{"jsonrpc":"2.0","result":[""#,
                &pad,
                raw,
                b"\"],\"id\":1}\n",
            ],
            &[
                br#"{"jsonrpc":"2.0","id":1,"result":{""#,
                raw,
                br#"":""#,
                &pad,
                br#""}}"#,
            ],
        ];
        parts.map(<[&[u8]]>::concat)
    });
    bodies.collect()
}

#[test]
fn bytes_that_no_string_may_have_are_found_at_every_size() {
    for raw in [
        &b"a\nb"[..],
        b"\x00",
        b"\x1f",
        b"a\tb",
        b"a\rb",
        b"\\x",
        b"\\u12",
        b"\\u12g4",
        b"\\ud800",
        b"\\ud800\\u0041",
        b"\\udc00",
        b"\xff",
        b"\xc3",
        b"\xc3(",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
    ] {
        for body in with_string(raw) {
            let length = body.len();
            let scanned = Answer::scan(Bytes::from(body)).map(drop);
            let kind = scanned.map_err(|malformed| malformed.kind);
            assert_eq!(kind, Err(MalformedKind::NotJson), "{raw:?} of {length}");
        }
    }
}

#[test]
fn whatever_a_string_may_have_passes_at_every_size() {
    for raw in [
        "",
        "plain",
        "\\n",
        "\\\\",
        "\\\"",
        "\\u0000",
        "\\u00e9",
        "\\ud83d\\ude00",
        "é",
        "日本",
        "😀",
        "\u{7f}",
        "{[",
        "}]",
        "\\\\\\\"",
    ] {
        for body in with_string(raw.as_bytes()) {
            let length = body.len();
            assert!(Answer::scan(Bytes::from(body)).is_ok(), "{raw} of {length}");
        }
    }
}

#[test]
fn a_long_answer_with_a_result_and_an_error_is_none() {
    let pad = "A".repeat(5000);
    for body in [
        format!(
            r#"{{"jsonrpc":"2.0","result":["{pad}"],"error":{{"code":1,"message":"}}"}},"id":1}}"#
        ),
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"a":"{pad}"}},"error":{{"code":1}}}}"#),
        format!(r#"{{"jsonrpc":"2.0","result":["{pad}"],"result":[2],"id":1}}"#),
    ] {
        let kind = Answer::scan(Bytes::from(body)).unwrap_err().kind;
        assert_eq!(kind, MalformedKind::NotAnAnswer);
    }
}

#[test]
fn a_long_answer_may_be_written_with_white_space() {
    let items = "  1,\n".repeat(5000);
    let body = format!("{{\"jsonrpc\":\"2.0\",\"result\":[\n{items}  2\n],\"id\":1}}");
    assert!(Answer::scan(Bytes::from(body)).is_ok());
}

#[test]
fn real_answers_keep_every_byte_but_the_id() {
    for (name, body) in crate::jsonrpc::fixtures::ALL {
        let answer = scan(body);
        let expected = body.trim_end().replace(r#","id":1}"#, r#","id":"0"}"#);
        assert_eq!(spliced(&answer, "\"0\""), expected, "{name}");
        let value: Value = serde_json::from_str(body).unwrap();
        match answer.result() {
            Some(result) => assert_eq!(
                serde_json::from_slice::<Value>(result).unwrap(),
                value["result"],
                "{name}"
            ),
            None => assert_eq!(
                answer.error().unwrap().code,
                value["error"]["code"],
                "{name}"
            ),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_scan_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Answer::scan(Bytes::from(body)));
    }

    #[test]
    fn splicing_changes_nothing_but_the_id(
        body in crate::jsonrpc::fixtures::answers(),
        id in any::<u64>(),
    ) {
        let answer = scan(&body);
        let before: Value = serde_json::from_str(&body).unwrap();
        let text = spliced(&answer, &id.to_string());
        let mut after: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(after["id"].as_u64(), Some(id));
        let difference = text.len().abs_diff(body.trim_end().len());
        prop_assert!(difference < 30, "{} became {}", body, text);
        match before.get("id") {
            Some(old) => after["id"] = old.clone(),
            None => drop(after.as_object_mut().unwrap().remove("id")),
        }
        prop_assert_eq!(before, after);
    }

    #[test]
    fn splicing_in_place_gives_the_same_bytes_and_leaves_other_holders_alone(
        body in crate::jsonrpc::fixtures::answers(),
        id in any::<u64>(),
    ) {
        let expected = spliced(&scan(&body), &id.to_string());
        let id = Id::from(id);
        let alone = scan(&body).into_spliced(&id);
        prop_assert_eq!(&alone[..], expected.as_bytes());
        let shared = scan(&body);
        let holder = shared.body().clone();
        let copied = shared.into_spliced(&id);
        prop_assert_eq!(&copied[..], expected.as_bytes());
        prop_assert_eq!(&holder[..], body.as_bytes());
    }
}

#[test]
fn the_usual_answer_is_spliced_without_being_copied() {
    let answer = scan(r#"{"jsonrpc":"2.0","result":5,"id":1}"#);
    let place = answer.body().as_ptr();
    assert_eq!(answer.into_spliced(&Id::from(2)).as_ptr(), place);
}

#[test]
fn a_long_result_ends_where_its_own_container_ends() {
    let long = r#"{"a":"x","b":[1,{"c":"]"}]},"#.repeat(30);
    let rest = r#""z":"#;
    for (result, whole) in [
        (format!(r#"{{"y":[{long}5],{rest}{{"d":"}}{{"}}}}"#), true),
        (format!(r#"{{"y":[{long}5],{rest}"\\\"}}"}}"#), true),
        (format!(r#"[{long}{{"e":[]}}]"#), true),
        // A brace is missing somewhere before the last container.
        (format!(r#"{{"y":[{long}5],{rest}{{"d":"e"}}"#), false),
        // Another member follows.
        (format!(r#"{{"y":[{long}5]}},"error":{{"code":5}}"#), false),
        (
            format!(r#"{{"y":[{long}5]}} , "error" : {{"code":"\\"}}"#),
            false,
        ),
        (format!(r#"[{long}5],{rest}["]"]"#), false),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":7}}"#);
        let found = super::usual_shape(body.as_bytes());
        assert_eq!(found.is_some(), whole, "{result}");
    }
}

#[test]
fn a_long_result_with_a_comma_or_a_colon_too_many_is_no_answer() {
    let many = vec!["12345"; 200].join(",");
    let body = |result: &str| {
        let result = result.replace("MANY", &many);
        Bytes::from(format!(r#"{{"jsonrpc":"2.0","result":{result},"id":7}}"#))
    };
    for wrong in [
        "[MANY,,1]",
        "[,MANY]",
        "[MANY,]",
        r#"{"a":[MANY],,"b":1}"#,
        r#"{"a":[MANY],"b":}"#,
        r#"{"a":[MANY],"b":[1,]}"#,
        r#"{,"a":[MANY]}"#,
        r#"{"a":[MANY],}"#,
        r#"{"memo":"a,,b","a":[MANY,,5]}"#,
    ] {
        assert!(Answer::scan(body(wrong)).is_err(), "{wrong}");
    }
    for right in [
        "[MANY]",
        r#"{"memo":"a,,b[,{,:},]","a":[MANY]}"#,
        r#"{"a":[MANY],"b":{},"c":[[],{}]}"#,
    ] {
        assert!(Answer::scan(body(right)).is_ok(), "{right}");
    }
}
