//! What is no answer, or not the one to this request.

use super::*;

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
