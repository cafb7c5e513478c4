mod long;
mod refused;

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
