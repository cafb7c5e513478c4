//! Answers too long to be read token by token.

use crate::jsonrpc::answer::usual_shape;

use super::*;

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
        let found = usual_shape(body.as_bytes());
        assert_eq!(found.is_some(), whole, "{result}");
    }
}

#[test]
fn a_long_result_with_a_comma_or_a_colon_too_many_is_no_answer() {
    for items in [200, 20_000] {
        let many = vec!["12345"; items].join(",");
        misplaced_commas_are_noticed_among(&many);
    }
}

fn misplaced_commas_are_noticed_among(many: &str) {
    let body = |result: &str| {
        let result = result.replace("MANY", many);
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
        r#"{"a":[MANY]"b":1}"#,
        r#"{"a":[MANY],"b":"c""d":1}"#,
        "[[MANY][1]]",
        "[{}{},MANY]",
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
