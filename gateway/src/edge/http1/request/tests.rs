//! Heads as a table: what passes, and what two servers could read in two ways.

use super::*;

fn read(head: &str) -> Result<ParsedRequest, Rejection> {
    ParsedRequest::read(Bytes::copy_from_slice(head.as_bytes()))
}

fn with(fields: &str) -> Result<ParsedRequest, Rejection> {
    read(&format!("POST /rpc HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn target(target: &str) -> Result<ParsedRequest, Rejection> {
    read(&format!("POST {target} HTTP/1.1\r\nHost: a:1\r\n\r\n"))
}

#[test]
fn ordinary_heads_pass() {
    for (fields, framing) in [
        ("Content-Length: 12\r\n", Framing::Length(12)),
        ("content-length:12 \r\n", Framing::Length(12)),
        ("Content-Length: 0012\r\n", Framing::Length(12)),
        ("Transfer-Encoding: \tChunked\r\n", Framing::Chunked),
        (
            "X-Content-Length: 1\r\nContent-Length: 2\r\n",
            Framing::Length(2),
        ),
        ("X: \tfolded looking\r\nY:\r\n", Framing::Length(0)),
        ("X: caf\u{e9}\r\n", Framing::Length(0)),
        ("", Framing::Length(0)),
    ] {
        let request = with(fields).unwrap_or_else(|bad| panic!("{fields:?}: {bad}"));
        assert_eq!(request.framing, framing, "{fields:?}");
        assert!(request.keeps_alive && request.is_current);
    }
    let request = with("X-Api-Key:  k \r\nOrigin: o\r\n").unwrap();
    assert_eq!(request.fields().api_key, Some(&b"k"[..]));
    assert_eq!(request.fields().origin, Some(&b"o"[..]));
}

#[test]
fn every_ambiguous_framing_is_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length:\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n folded\r\n",
        "X: a\r\n\tfolded\r\n",
        "X: a\rContent-Length: 5\r\n",
        "no colon here\r\n",
        ": no name\r\n",
        "X\u{e9}: a\r\n",
        "X: a\0b\r\n",
        "X: a\u{7f}b\r\n",
        "Host: a\r\n",
        "host: b\r\n",
    ] {
        assert!(with(fields).is_err(), "{fields:?}");
    }
}

#[test]
fn there_is_one_host_and_it_is_the_targets() {
    for host in ["a", "a:80", "127.0.0.1:8899", "[::1]:8899", "a_b.c", ""] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(read(&head).is_ok(), "{host}");
    }
    for host in ["a b", "u@a", "a/b", "a\\b", "a#", "a?b", "\"a\"", "<a>"] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(read(&head).is_err(), "{host}");
    }
    assert!(read("GET / HTTP/1.1\r\n\r\n").is_err());
    assert!(read("GET / HTTP/1.1\r\nX: y\r\n\r\n").is_err());
    // HTTP/1.0 had none.
    assert!(read("GET / HTTP/1.0\r\n\r\n").is_ok());
    assert!(read("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n").is_err());
    assert_eq!(target("http://a:1/rpc?x").unwrap().path, "/rpc");
    assert_eq!(target("HTTPS://a:1").unwrap().path, "/");
    for other in [
        "http://b/rpc",
        "http://a/rpc",
        "http://u@a:1/",
        "http:///",
        "http://[a/rpc",
        "http:/a:1/",
        "http://a:1\\b/",
        "http://a:1?x",
        "ftp://a:1/",
        "a:1",
        "rpc",
        "*",
        "",
    ] {
        assert!(target(other).is_err(), "{other}");
    }
}

#[test]
fn targets_hold_visible_characters_only() {
    let request = target("/a/b%20c?d=e&f?g").unwrap();
    assert_eq!(request.path, "/a/b%20c");
    assert_eq!(request.query.as_deref(), Some("d=e&f?g"));
    for good in ["/", "//a", "/a\\b", "/a|b", "/{}", "/%zz"] {
        assert!(target(good).is_ok(), "{good}");
    }
    for bad in [
        "/a b", "/a\tb", "/a\0b", "/a\u{1}b", "/a\u{7f}", "/a#b", "/a<b", "/?a=\"b", "/`",
        "/\u{e9}", "/a\rb", " /", "/ ", "/a\u{b}",
    ] {
        assert!(target(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn request_lines_are_three_words() {
    for line in [
        "POST / HTTP/1.1",
        "post / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "M-SEARCH / HTTP/1.0",
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert!(read(&head).is_ok(), "{line}");
    }
    for line in [
        "",
        "POST",
        "POST /",
        "POST / ",
        "POST  / HTTP/1.1",
        "POST /  HTTP/1.1",
        " POST / HTTP/1.1",
        "POST / HTTP/1.1 ",
        "POST\t/ HTTP/1.1",
        "P(ST / HTTP/1.1",
        "POST / http/1.1",
        "POST / HTTP/1.2",
        "POST / HTTP/2.0",
        "POST / HTTP/0.9",
        "POST / HTTP/1",
        "POST / HTTP/01.1",
        "POST / HTTPS/1.1",
        "POST * HTTP/1.1",
        "PRI * HTTP/2.0",
        "\r\nPOST / HTTP/1.1",
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert!(read(&head).is_err(), "{line:?}");
    }
}

#[test]
fn connection_fields_count_together() {
    for (fields, keeps_alive) in [
        ("Connection: keep-alive\r\n", true),
        ("Connection: close\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: close\r\nConnection: keep-alive\r\n", false),
        ("Connection: x, CLOSE ,y\r\n", false),
        ("Connection: Upgrade, HTTP2-Settings\r\n", true),
        ("Connection: closed\r\n", true),
    ] {
        assert_eq!(with(fields).unwrap().keeps_alive, keeps_alive, "{fields}");
    }
    let old = read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
    assert!(!old.keeps_alive && !old.is_current);
}

#[test]
fn of_all_upgrades_only_websocket_is_none_that_can_be_ignored() {
    for (fields, websocket) in [
        ("Upgrade: websocket\r\n", true),
        ("Upgrade: WebSocket\r\nConnection: upgrade\r\n", true),
        ("Upgrade: websocket/13\r\n", true),
        ("Upgrade: websocket, websocket\r\n", true),
        ("Upgrade: h2c\r\n", false),
        ("Upgrade: h2c, websocket\r\n", false),
        ("Upgrade: websocket\r\nUpgrade: h2c\r\n", false),
        ("Upgrade: TLS/1.0\r\n", false),
        ("Upgrade: TLS/1.0, HTTP/1.1, foo/2\r\n", false),
        ("Upgrade: websockets\r\n", false),
        ("Upgrade:\r\n", false),
        ("Upgrade: ,,\r\n", false),
    ] {
        let asks = with(fields).unwrap().asks_for_websocket;
        assert_eq!(asks, websocket, "{fields:?}");
    }
    let old = read("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert!(!old.asks_for_websocket);
    // Of several it is the one that is spoken here, if the client has said what opening one needs.
    for upgrade in [
        "h2c, WebSocket",
        "websocket, h2c",
        "websocket\r\nUpgrade: TLS/1.0",
    ] {
        for (method, asks) in [("GET", true), ("POST", false)] {
            let head = format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Key: x\r\n\r\n"
            );
            assert_eq!(read(&head).unwrap().asks_for_websocket, asks, "{head}");
        }
    }
}

#[test]
fn expectations_are_those_of_the_present() {
    assert!(with("Expect: 100-Continue\r\n").unwrap().expects_continue);
    assert!(!with("Expect: 200-ok\r\n").unwrap().expects_continue);
    let old = read("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").unwrap();
    assert!(!old.expects_continue);
    assert!(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
}

#[test]
fn heads_of_too_many_fields_are_refused() {
    let most = "a: b\r\n".repeat(MOST_FIELDS - 1);
    assert!(with(&most).is_ok());
    let refused = with(&format!("{most}a: b\r\n")).unwrap_err();
    assert_eq!(refused, Rejection::HeadTooLarge);
}

fn seek(bytes: &[u8]) -> Result<Option<usize>, Rejection> {
    HeadEndSeeker::default().seek(bytes)
}

#[test]
fn the_end_of_a_head_is_found_however_it_comes() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\n\r\nPOST";
    let length = head.len() - 4;
    for step in 1..head.len() {
        let mut seeker = HeadEndSeeker::default();
        let mut ends = (0..=head.len()).step_by(step).chain([head.len()]);
        let found = ends.find_map(|end| seeker.seek(&head[..end]).unwrap());
        assert_eq!(found, Some(length), "{step}");
    }
}

#[test]
fn what_can_be_no_head_is_told_at_once() {
    for bytes in [
        "POST / HTTP/1.1\n",
        "\n",
        "a\r\nb\n",
        "\0",
        "\u{16}\u{3}\u{1}",
        "POST / HTTP/1.1\r\nX: \u{1b}",
    ] {
        assert!(seek(bytes.as_bytes()).is_err(), "{bytes:?}");
    }
    let endless = vec![b'a'; MOST_HEAD + 1];
    assert_eq!(seek(&endless), Err(Rejection::HeadTooLarge));
    assert_eq!(seek(&endless[..MOST_HEAD]), Ok(None));
}
