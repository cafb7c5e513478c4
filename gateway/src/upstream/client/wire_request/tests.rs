use http::Method;

use super::*;
use crate::trace::HttpRequestId;
use crate::upstream::testing::settings;

fn endpoint() -> Endpoint {
    Endpoint::bare(&settings("a", "https://a.example/base")).unwrap()
}

fn request(method: Method, target: &str, body: &'static str) -> ApiRequest {
    ApiRequest {
        method,
        target: target.to_owned(),
        fields: vec![("accept", Bytes::from_static(b"*/*"))],
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn written(request: &ApiRequest) -> String {
    let mut out = Vec::new();
    request.write(&endpoint(), (RequestId::from(1), None), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_written_as_it_is() {
    let text = written(&request(Method::GET, "/quote?a=1&b=%20", ""));
    let begin = "GET /quote?a=1&b=%20 HTTP/1.1\r\nhost: a.example\r\nuser-agent: perijove/";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.ends_with("\r\naccept: */*\r\n\r\n"), "{text}");
    assert!(!text.contains("content-length"), "{text}");
    let text = written(&request(Method::POST, "/swap", "{}"));
    assert!(
        text.ends_with("\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}"),
        "{text}"
    );
    let text = written(&request(Method::DELETE, "/order", ""));
    assert!(text.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{text}");
}

#[test]
fn over_http_2_it_has_the_same_verb_target_fields_and_body() {
    let frames = |request: ApiRequest| {
        request
            .frames(&endpoint(), (RequestId::from(1), None))
            .unwrap()
    };
    let (head, body) = frames(request(Method::GET, "/quote?a=1&b=%20", ""));
    assert_eq!(head.method(), Method::GET);
    assert_eq!(head.uri(), "https://a.example/quote?a=1&b=%20");
    let headers = head.headers();
    assert_eq!(headers["accept"], "*/*");
    assert!(headers.contains_key("user-agent") && !headers.contains_key("host"));
    assert!(!headers.contains_key("content-length") && !headers.contains_key("content-type"));
    assert!(body.is_empty());
    let (head, body) = frames(request(Method::POST, "/swap", "{}"));
    assert_eq!((head.method(), &body[..]), (&Method::POST, &b"{}"[..]));
    assert_eq!(head.headers()["content-length"], "2");
}

#[test]
fn what_an_upstream_is_told_of_the_request_stands_behind_its_fields() {
    let told = CorrelationHeaders {
        id: Some(HttpRequestId::of(Some(b"order-7"))),
        ..CorrelationHeaders::default()
    };
    let request = request(Method::GET, "/quote", "");
    let ids = || (RequestId::from(1), Some(&told));
    let mut out = Vec::new();
    request.write(&endpoint(), ids(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.ends_with("\r\naccept: */*\r\nx-request-id: order-7\r\n\r\n"),
        "{text}"
    );
    let (head, _) = request.frames(&endpoint(), ids()).unwrap();
    assert_eq!(head.headers()["x-request-id"], "order-7");
}

#[test]
fn what_a_url_must_not_have_is_escaped_over_http_2() {
    let (head, _) = request(Method::GET, "/a<b>?q=\"x y\"&z=%22", "")
        .frames(&endpoint(), (RequestId::from(1), None))
        .unwrap();
    assert_eq!(head.uri(), "https://a.example/a%3Cb%3E?q=%22x%20y%22&z=%22");
}

#[test]
fn only_what_is_the_clients_business_is_handed_on() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nX-RateLimit-Remaining: 3\r\n\
                 connection: close\r\nX-Api-Gateway-Request-Id: abc\r\n\r\n";
    let expected = [
        ("content-type", Bytes::from_static(b"text/x")),
        ("x-api-gateway-request-id", Bytes::from_static(b"abc")),
    ];
    assert_eq!(ApiRequest::fields_of_head(head), expected);
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/x"));
    headers.insert("x-ratelimit-remaining", HeaderValue::from_static("3"));
    headers.insert("x-api-gateway-request-id", HeaderValue::from_static("abc"));
    assert_eq!(ApiRequest::fields_of(&headers), expected);
}
