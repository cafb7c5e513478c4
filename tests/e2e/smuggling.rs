//! Requests on whose framing two servers could disagree: refused, with nothing reaching an
//! upstream and the connection closed.

use perijove_tests::client::raw::{RawConnection, post};
use perijove_tests::gateway::loopback;
use perijove_tests::proxy::Proxy;
use perijove_tests::tls::Identity;
use serde_json::json;

use crate::scene::Scene;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["x"]}"#;

/// What is hidden behind the first request.
fn hidden() -> String {
    post(CALL, "")
}

/// A gateway that listens in clear and with TLS.
struct Edge {
    scene: Scene,
    own: Identity,
}

impl Edge {
    async fn start() -> Self {
        let own = Identity::of("localhost");
        let listener = json!([{
            "address": loopback(),
            "certificate": own.certificate_file().display().to_string(),
            "key": own.key_file().display().to_string(),
        }]);
        let scene = Scene::equals_with(1, |config| config.set("listen.tls", listener)).await;
        Self { scene, own }
    }

    async fn connect(&self, tls: bool) -> RawConnection {
        if tls {
            RawConnection::open_tls(self.scene.gateway.tls_address(), &self.own).await
        } else {
            self.scene.gateway.raw().await
        }
    }

    /// Sends the bytes on a fresh connection, and behind a good call; in clear, and within TLS. The
    /// connection must be closed, and no upstream asked for anything.
    async fn refuses(&self, what: &str, bytes: &str) {
        let good = post(r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#, "");
        for tls in [false, true] {
            let mut raw = self.connect(tls).await;
            raw.send(bytes).await;
            self.ends_in_a_refusal(what, raw).await;

            let mut raw = self.connect(tls).await;
            raw.send(&good).await;
            assert_eq!(raw.reply().await.unwrap().status, 200);
            raw.send(format!("{good}{bytes}")).await;
            assert_eq!(raw.reply().await.unwrap().status, 200);
            self.ends_in_a_refusal(what, raw).await;
        }
    }

    async fn ends_in_a_refusal(&self, what: &str, mut raw: RawConnection) {
        let mut said = Vec::new();
        while let Some(reply) = raw.reply().await {
            said.push(reply.status);
        }
        assert!(said == [400] || said == [431], "{what}: answered {said:?}");
        assert_eq!(self.scene.hits("getBalance"), [0], "{what}");
    }
}

fn headed(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{lines}\r\n{body}")
}

#[tokio::test]
async fn conflicting_lengths_are_refused() {
    let edge = Edge::start().await;
    let length = CALL.len();
    let chunked = format!("{length:x}\r\n{CALL}\r\n0\r\n\r\n");
    for (what, lines, body) in [
        (
            "length and chunked",
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            chunked.clone(),
        ),
        (
            "chunked and length",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            chunked.clone(),
        ),
        (
            "the same length twice",
            format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "two lengths",
            format!("content-length: {length}\r\ncontent-length: 0\r\n"),
            CALL.to_owned(),
        ),
        (
            "a list of lengths",
            format!("content-length: {length}, {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a signed length",
            format!("content-length: +{length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a negative length",
            "content-length: -1\r\n".to_owned(),
            CALL.to_owned(),
        ),
        (
            "a length in hexadecimal",
            format!("content-length: 0x{length:x}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a length beyond 64 bits",
            "content-length: 99999999999999999999\r\n".to_owned(),
            CALL.to_owned(),
        ),
        (
            "an unknown coding",
            "transfer-encoding: gzip, chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "identity",
            format!("transfer-encoding: identity\r\ncontent-length: {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a disguised coding",
            "transfer-encoding: xchunked\r\n".to_owned(),
            chunked,
        ),
    ] {
        edge.refuses(what, &(headed(&lines, &body) + &hidden()))
            .await;
    }
}

#[tokio::test]
async fn malformed_header_lines_are_refused() {
    let edge = Edge::start().await;
    let length = CALL.len();
    for (what, lines) in [
        (
            "a folded header",
            format!("x: a\r\n b\r\ncontent-length: {length}\r\n"),
        ),
        (
            "a folded length",
            format!("content-length:\r\n {length}\r\n"),
        ),
        (
            "a bare line feed",
            format!("x: a\ncontent-length: {length}\r\n"),
        ),
        (
            "a bare carriage return",
            format!("x: a\rb\r\ncontent-length: {length}\r\n"),
        ),
        (
            "space before the colon",
            format!("content-length : {length}\r\n"),
        ),
        (
            "no colon",
            format!("nonsense\r\ncontent-length: {length}\r\n"),
        ),
        (
            "a zero byte",
            format!("x: a\0b\r\ncontent-length: {length}\r\n"),
        ),
    ] {
        edge.refuses(what, &(headed(&lines, CALL) + &hidden()))
            .await;
    }
    let bare = format!(
        "POST / HTTP/1.1\nhost: a\ncontent-type: application/json\ncontent-length: {length}\n\n\
         {CALL}"
    );
    edge.refuses("bare line feeds throughout", &bare).await;
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let edge = Edge::start().await;
    let length = CALL.len();
    let whole = format!("{length:x}\r\n{CALL}\r\n");
    let end = "0\r\n\r\n";
    for (what, body) in [
        ("no number", format!("xyz\r\n{CALL}\r\n{end}")),
        ("a negative size", format!("-{whole}{end}")),
        ("a signed size", format!("+{whole}{end}")),
        ("a prefixed size", format!("0x{whole}{end}")),
        ("a size after white space", format!(" {whole}{end}")),
        (
            "white space after a size",
            format!("{length:x} \r\n{CALL}\r\n{end}"),
        ),
        (
            "a size beyond 64 bits",
            format!("ffffffffffffffffff\r\n{CALL}\r\n{end}"),
        ),
        (
            "a size that overflows to the right one",
            format!("1{length:016x}\r\n{CALL}\r\n{end}"),
        ),
        (
            "a chunk longer than its size",
            format!("2\r\n{CALL}\r\n{end}"),
        ),
        (
            "a chunk without its end",
            format!("{length:x}\r\n{CALL}{end}"),
        ),
        (
            "a chunk that ends in a bare LF",
            format!("{length:x}\r\n{CALL}\n{end}"),
        ),
        (
            "a size that ends in a bare LF",
            format!("{length:x}\n{CALL}\r\n{end}"),
        ),
        ("an empty line as the last size", format!("{whole}\r\n\r\n")),
        (
            "an extension as the last size",
            format!("{whole};a\r\n\r\n"),
        ),
        (
            "an extension that ends in a bare LF",
            format!("{length:x};a\nb\r\n{CALL}\r\n{end}"),
        ),
        (
            "a last size that ends in a bare LF",
            format!("{whole}0\n\r\n"),
        ),
        (
            "a last extension that ends in a bare LF",
            format!("{whole}0;a\n\r\n"),
        ),
        ("a bare LF as the end", format!("{whole}0\r\n\n")),
        (
            "a trailer that ends in a bare LF",
            format!("{whole}0\r\na: b\n\r\n"),
        ),
        (
            "a trailer that is no field",
            format!("{whole}0\r\nPOST / HTTP/1.1\r\n\r\n"),
        ),
    ] {
        let request = headed("transfer-encoding: chunked\r\n", &body) + &hidden();
        edge.refuses(what, &request).await;
    }
}

#[tokio::test]
async fn chunks_by_the_grammar_are_read() {
    let edge = Edge::start().await;
    let (first, second) = CALL.split_at(20);
    let chunks = format!(
        "14;a;b=c;d=\"e;\\\"f\"\r\n{first}\r\n{:04X}\r\n{second}\r\n000;x\r\nTrailer: y\r\n\r\n",
        second.len()
    );
    let request = headed("Transfer-Encoding: Chunked\r\n", &chunks);
    for tls in [false, true] {
        let mut raw = edge.connect(tls).await;
        raw.send(format!("{request}{request}")).await;
        for _ in 0..2 {
            assert_eq!(raw.reply().await.unwrap().status, 200);
        }
    }
    assert_eq!(edge.scene.hits("getBalance"), [4]);
}

#[tokio::test]
async fn one_empty_line_before_a_request_is_ignored_and_more_are_not() {
    let edge = Edge::start().await;
    let good = hidden();
    for tls in [false, true] {
        let mut raw = edge.connect(tls).await;
        for request in [
            format!("\r\n{good}"),
            good.clone(),
            // As old clients end a body.
            format!("{good}\r\n"),
            good.replace("content-length", "expect: x\r\ncontent-length") + "\r\n",
            good.clone(),
        ] {
            raw.send(&request).await;
            let reply = raw.reply().await.unwrap();
            assert_eq!(reply.status, 200, "{tls} {request:?}");
        }
        let mut raw = edge.connect(tls).await;
        for byte in format!("\r\n{good}").bytes() {
            raw.send([byte]).await;
        }
        assert_eq!(raw.reply().await.unwrap().status, 200);
    }
    edge.scene.cluster.reset_counts();
    let length = CALL.len();
    let chunked = format!("{length:x}\r\n{CALL}\r\n0\r\n\r\n");
    let both = format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n");
    let ambiguous = headed(&both, &chunked) + &good;
    for lines in ["\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\n", "\n\n", "\r\n\n"] {
        let what = format!("{lines:?} and two lengths");
        edge.refuses(&what, &format!("{lines}{ambiguous}")).await;
        if lines != "\r\n" {
            edge.refuses(&format!("{lines:?}"), &format!("{lines}{good}"))
                .await;
        }
    }
}

#[tokio::test]
async fn targets_and_hosts_that_can_be_read_in_two_ways_are_refused() {
    let edge = Edge::start().await;
    let good = hidden();
    for target in [
        "/a b",
        "/a\tb",
        "/\0",
        "/a\u{1}",
        "/\u{7f}",
        "/#a",
        "",
        " /",
        "/ ",
        "a",
        "http://b/",
        "http://u@test/",
        "\\\\a",
    ] {
        let request = good.replace("POST / ", &format!("POST {target} "));
        edge.refuses(&format!("target {target:?}"), &request).await;
    }
    for hosts in [
        "",
        "host: test\r\nhost: test\r\n",
        "host: test\r\nHost: other\r\n",
        "host: a b\r\n",
        "host: user@test\r\n",
        "host: test/x\r\n",
        "host : test\r\n",
    ] {
        let request = good.replace("host: test\r\n", hosts);
        edge.refuses(&format!("hosts {hosts:?}"), &request).await;
    }
    let mut raw = edge.connect(false).await;
    raw.send(good.replace("POST / ", "POST http://test/x?y "))
        .await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn two_connection_fields_count_together() {
    let edge = Edge::start().await;
    for fields in [
        "connection: keep-alive\r\nconnection: close\r\n",
        "connection: close\r\nconnection: keep-alive\r\n",
        "connection: keep-alive\r\nconnection: x, close\r\n",
    ] {
        let mut raw = edge.connect(false).await;
        raw.send(post(CALL, fields)).await;
        let reply = raw.reply().await.unwrap();
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("connection"), Some("close"), "{fields:?}");
        assert!(raw.closed().await.is_empty(), "{fields:?}");
    }
    let mut raw = edge.connect(false).await;
    for _ in 0..2 {
        let fields = "connection: keep-alive\r\nconnection: x\r\n";
        raw.send(post(CALL, fields)).await;
        assert_eq!(raw.reply().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let edge = Edge::start().await;
    for bytes in [
        "\0\0\0\0",
        "\u{16}\u{3}\u{1}\0",
        "hello\r\n\r\n",
        "POST / HTTP/9.9\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "PRI / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r.",
    ] {
        edge.refuses(&format!("{bytes:?}"), bytes).await;
    }
    assert_eq!(edge.scene.hits("sandboxEcho"), [0]);
}

/// Whatever is sent through a proxy, those who come after it over the proxy's connections get their
/// own answers.
async fn leaves_others_alone(proxy: &Proxy) {
    let echo = |mark: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"sandboxEcho","params":["{mark}"]}}"#);
        post(&body, "")
    };
    let smuggled = echo("smuggled");
    let length = CALL.len();
    let chunked = format!("{length:x}\r\n{CALL}\r\n0\r\n\r\n");
    let coded = "transfer-encoding: chunked\r\n";
    let attacks = [
        headed(&format!("content-length: 5\r\n{coded}"), &chunked),
        headed(&format!("{coded}content-length: {length}\r\n"), &chunked),
        headed("content-length: 0\r\ncontent-length: 5\r\n", ""),
        headed("content-length: 5\r\ncontent-length: 0\r\n", ""),
        headed("content-length: +5\r\n", CALL),
        headed("content-length : 5\r\n", CALL),
        headed("transfer-encoding: xchunked\r\n", &chunked),
        headed(
            "transfer-encoding:\tchunked\r\ncontent-length: 5\r\n",
            &chunked,
        ),
        headed("transfer-encoding: gzip, chunked\r\n", &chunked),
        headed(&format!("x: y\n{coded}content-length: 5\r\n"), &chunked),
        headed(coded, "\r\n\r\n"),
        headed(coded, ";a\r\n\r\n"),
        headed(coded, &format!("{length:x};a\nb\r\n{CALL}\r\n0\r\n\r\n")),
        headed(coded, &format!("{length:x};a\n{CALL}\r\n0\r\n\r\n")),
        headed(coded, "0\n\r\n"),
        headed(coded, "00000000000000000\r\n\r\n"),
        format!(
            "\r\n\r\n{}",
            headed(&format!("content-length: 5\r\n{coded}"), &chunked)
        ),
        format!(
            "\r\n{}",
            headed(&format!("{coded}content-length: 5\r\n"), &chunked)
        ),
        headed(
            &format!("upgrade: h2c\r\nconnection: upgrade\r\n{coded}"),
            &chunked,
        ),
        headed("expect: 100-continue\r\ncontent-length: 500\r\n", ""),
        format!("GET /health HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{CALL}"),
        format!("GET /health HTTP/1.1\r\nhost: a\r\n{coded}\r\n{chunked}"),
    ];
    for (number, attack) in attacks.iter().enumerate() {
        let mut attacker = RawConnection::open(proxy.address()).await;
        attacker.send(format!("{attack}{smuggled}")).await;
        attacker.finish().await;
        while attacker.reply().await.is_some() {}
        for victim in 0..3 {
            let mark = format!("victim {number}.{victim}");
            let mut raw = RawConnection::open(proxy.address()).await;
            raw.send(echo(&mark)).await;
            let reply = raw
                .reply()
                .await
                .unwrap_or_else(|| panic!("{mark}: {attack:?}"));
            assert_eq!(reply.status, 200, "{mark}: {attack:?}");
            assert!(reply.text().contains(&mark), "{attack:?}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn behind_nginx_nobody_gets_anothers_answer() {
    let edge = Edge::start().await;
    let gateway = edge.scene.gateway.address();
    leaves_others_alone(&Proxy::nginx(gateway).await).await;
    leaves_others_alone(&Proxy::nginx_keeping_connections(gateway).await).await;
}

#[tokio::test]
async fn behind_haproxy_nobody_gets_anothers_answer() {
    let edge = Edge::start().await;
    leaves_others_alone(&Proxy::haproxy(edge.scene.gateway.address()).await).await;
}
