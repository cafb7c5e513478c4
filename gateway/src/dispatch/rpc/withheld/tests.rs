use bytes::Bytes;
use perijove_core::Secret;

use super::{LONGEST_PAGE, withheld_error, withheld_page};
use crate::config::UpstreamSettings;
use crate::dispatch::AnswerPayload;
use crate::error::{RefusedPage, TEXT};
use crate::jsonrpc::Answer;
use crate::upstream::testing;

fn upstream() -> UpstreamSettings {
    let url = "https://rpc.example.com/v2/aB%2Fc9_k=Y7?api-key=hunter2-hunter2";
    let mut settings = testing::settings("paid", url);
    let secret = Secret::new("Bearer tok-5f2d91\n".to_owned());
    settings.headers.insert("authorization".to_owned(), secret);
    settings
}

fn passes(body: &str, content_type: &'static str) -> bool {
    let page = RefusedPage {
        status: 404,
        content_type,
        body: Bytes::from(body.to_owned()),
    };
    let passed = withheld_page(page.clone(), &upstream());
    assert_eq!(passed.status, 404);
    passed == page
}

#[test]
fn a_page_that_repeats_a_part_of_the_address_or_a_header_is_withheld() {
    for body in [
        "Cannot POST /v2/aB%2Fc9_k=Y7",
        "Cannot POST /v2/aB/c9_k=Y7?api-key=x",
        "Cannot POST &#x2F;v2&#47;aB%252Fc9_k&#61;Y7",
        "no such key: C9_K",
        r#"{"path":"\/v2\/aB\/c9_k=Y7"}"#,
        r#"{"path":"\u002fv2\u002FaB\u002Fc9_k=Y7"}"#,
        "key hunter2-hunter2 is unknown",
        "key hunter2%2Dhunter2 is unknown",
        "Bearer tok-5f2d91 has no access",
    ] {
        assert!(!passes(body, TEXT), "{body}");
        assert!(!passes(body, "application/json"), "{body}");
    }
}

#[test]
fn other_pages_are_passed_on_if_they_are_short_and_plain() {
    for body in [
        "Bad Request: account is not base58",
        r#"{"error":"bad api-key or token"}"#,
        "100% of \\ and & are no escapes; %zz &nope; \\uzzzz é",
    ] {
        assert!(passes(body, TEXT), "{body}");
    }
    assert!(!passes("<h1>Not Found</h1>", "text/html"));
    assert!(!passes(&"x".repeat(LONGEST_PAGE), TEXT), "cut off");
}

fn told(error: &str) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","error":{error},"id":1}}"#);
    let answer = Answer::scan(Bytes::from(body)).unwrap();
    match withheld_error(AnswerPayload::Whole(answer), &upstream()) {
        AnswerPayload::Whole(answer) => {
            let error = answer.error().unwrap();
            let data = String::from_utf8_lossy(error.data.as_deref().unwrap_or_default());
            format!("{} {} {data}", error.code, error.message)
        }
        AnswerPayload::Stream { .. } => panic!("it was whole"),
    }
}

#[test]
fn an_error_keeps_its_code_and_loses_the_key() {
    let ours = "-32000 The upstream answered error -32000 to this call. ";
    for error in [
        r#"{"code":-32000,"message":"no route /v2/aB%2Fc9_k=Y7"}"#,
        r#"{"code":-32000,"message":"key hunter2-hunter2"}"#,
        r#"{"code":-32000,"message":"odd","data":{"token":"tok-5f2d91"}}"#,
    ] {
        assert_eq!(told(error), ours);
    }
    let odd = r#"{"code":-32000,"message":"the token of v2 is odd","data":{"err":null}}"#;
    assert_eq!(told(odd), "-32000 the token of v2 is odd {\"err\":null}");
}
