//! Requests on whose framing two servers could disagree: refused, with nothing reaching an
//! upstream and the connection closed.

mod bodies;

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
        "host: test:x\r\n",
        "host: test:99999\r\n",
        "host: test:80:80\r\n",
        "host: [::1\r\n",
        "host: ::1\r\n",
        "host: %zz\r\n",
        "host: [zz]\r\n",
        "host: test,other\r\n",
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
