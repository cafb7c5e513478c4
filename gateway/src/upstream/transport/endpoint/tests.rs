//! The request's bytes, for every part of a URL and every kind of header.

use perijove_core::Secret;

use super::*;
use crate::trace::{HttpRequestId, TraceContext};
use crate::upstream::testing::settings;

fn request(settings: &config::UpstreamSettings, body: &str) -> String {
    let mut out = Vec::new();
    let endpoint = Endpoint::new(settings).unwrap();
    endpoint.request(
        body.as_bytes(),
        RequestId::from(7),
        (Purpose::Call, None),
        &mut out,
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn head_and_body_are_one_piece_of_bytes() {
    let text = request(&settings("a", "http://node:8899/"), "{\"id\":");
    let agent = concat!("user-agent: perijove/", env!("CARGO_PKG_VERSION"), "\r\n");
    let (name, instance) = mark();
    let agent = format!("{agent}{name}: {instance}\r\n");
    assert_eq!(
        text,
        format!(
            "POST / HTTP/1.1\r\nhost: node:8899\r\ncontent-type: application/json\r\n\
             accept: application/json\r\n{agent}content-length: 8\r\n\r\n{{\"id\":7}}"
        )
    );
}

#[test]
fn path_query_and_host_are_those_of_the_url() {
    for (url, line, host) in [
        (
            "https://rpc.example/k/1?api-key=x",
            "POST /k/1?api-key=x HTTP/1.1",
            "rpc.example",
        ),
        ("https://rpc.example:443/", "POST / HTTP/1.1", "rpc.example"),
        ("http://rpc.example", "POST / HTTP/1.1", "rpc.example"),
        ("http://[::1]:8899/", "POST / HTTP/1.1", "[::1]:8899"),
        ("http://h/a b\r\nx: y", "POST /a%20bx:%20y HTTP/1.1", "h"),
    ] {
        let text = request(&settings("a", url), "");
        let mut lines = text.split("\r\n");
        assert_eq!(lines.next(), Some(line), "{url}");
        assert_eq!(
            lines.next(),
            Some(format!("host: {host}").as_str()),
            "{url}"
        );
    }
}

#[test]
fn configured_headers_are_sent_and_replace_the_defaults() {
    let mut settings = settings("a", "http://node/");
    let mut set = |name: &str, value: &str| {
        settings.headers.insert(name.into(), Secret::new(value));
    };
    set("x-api-key", "secret\n");
    set("user-agent", "mine");
    let text = request(&settings, "");
    assert!(text.contains("\r\nx-api-key: secret\r\n"), "{text}");
    assert!(text.contains("\r\nuser-agent: mine\r\n"), "{text}");
    assert_eq!(text.matches("user-agent").count(), 1, "{text}");
}

#[test]
fn headers_that_would_break_the_request_are_refused() {
    for (name, value) in [
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("x-key", "a\r\nb: c"),
        ("x key", "a"),
        ("", "a"),
    ] {
        let mut settings = settings("a", "http://node/");
        let value = Secret::new(value);
        settings.headers.insert(name.to_owned(), value);
        let refused = Endpoint::new(&settings).map(|_| ());
        assert_eq!(
            refused,
            Err(BadHeader {
                upstream: "a".into(),
                name: name.into()
            })
        );
    }
}

#[test]
fn the_peer_has_the_address_it_is_given_and_the_name_of_the_url() {
    let mut settings = settings("a", "https://rpc.example/");
    let address: SocketAddr = "192.0.2.7:443".parse().unwrap();
    let peer = Endpoint::new(&settings).unwrap().peer(address);
    assert_eq!(peer._address.as_inet(), Some(&address));
    assert_eq!(peer.sni, "rpc.example");
    assert!(peer.options.verify_cert && peer.options.verify_hostname && peer.is_tls());

    settings.tls.sni = Some("other.example".into());
    settings.tls.verify = false;
    let peer = Endpoint::new(&settings).unwrap().peer(address);
    assert_eq!(peer.sni, "other.example");
    assert!(!peer.options.verify_cert && !peer.options.verify_hostname);
}

#[test]
fn what_an_upstream_is_told_of_a_request_stands_in_its_head() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = CorrelationHeaders {
        id: Some(HttpRequestId::of(Some(b"order-7"))),
        trace: TraceContext::of(parent.as_bytes(), &[b"a=1"]),
        hops: None,
    };
    let endpoint = Endpoint::new(&settings("a", "http://node:8899/")).unwrap();
    let told = (Purpose::LedgerOnly, Some(&headers));
    let mut out = Vec::new();
    endpoint.request(b"{\"id\":", RequestId::from(7), told, &mut out);
    let text = String::from_utf8(out).unwrap();
    let block = format!(
        "\r\nx-bigtable: disabled\r\nx-request-id: order-7\r\ntraceparent: {parent}\r\n\
         tracestate: a=1\r\ncontent-length: 8\r\n\r\n{{\"id\":7}}"
    );
    assert!(text.ends_with(&block), "{text}");
    let head = endpoint.request_head(8, Purpose::Call, Some(&headers));
    for (name, value) in [
        ("x-request-id", "order-7"),
        ("traceparent", parent),
        ("tracestate", "a=1"),
        ("content-length", "8"),
    ] {
        assert_eq!(head.headers()[name], value, "{name}");
    }
    let head = endpoint.request_head(8, Purpose::Call, None);
    assert!(!head.headers().contains_key("x-request-id"));
}
