//! WebSocket towards clients: the handshake, calls over a socket, its bounds, and its end.

mod compression;

use futures::{SinkExt, StreamExt};
use perijove_tests::client::raw::RawConnection;
use perijove_tests::client::socket::Socket;
use perijove_tests::client::websocket::WebSocket;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Settings};
use perijove_tests::wait::until;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::scene::{KEY, Scene, ranked};
use crate::subscriptions::Watched;

/// A handshake as it should be, with changes.
fn handshake(path: &str, change: impl Fn(&str) -> Option<&'static str>) -> Vec<u8> {
    let fields = [
        ("host", "host: gateway"),
        ("connection", "connection: keep-alive, Upgrade"),
        ("upgrade", "upgrade: websocket"),
        ("version", "sec-websocket-version: 13"),
        ("key", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut text = format!("GET {path} HTTP/1.1\r\n");
    for (name, usual) in fields {
        let line = change(name).unwrap_or(usual);
        if !line.is_empty() {
            text += line;
            text += "\r\n";
        }
    }
    (text + "\r\n").into_bytes()
}

#[tokio::test]
async fn a_connection_is_upgraded_on_any_path() {
    let scene = Scene::equals(1).await;
    for path in ["/", "/any/path?api-key=x"] {
        let mut stream = TcpStream::connect(scene.gateway.address()).await.unwrap();
        stream.write_all(&handshake(path, |_| None)).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The example of RFC 6455 §1.3.
        assert!(
            head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused_and_the_connection_goes_on() {
    let scene = Scene::equals(1).await;
    for (field, line, status) in [
        ("connection", "connection: keep-alive", 400),
        ("key", "", 400),
        ("key", "sec-websocket-key: c2hvcnQ=", 400),
        ("version", "", 400),
        ("version", "sec-websocket-version: 8", 426),
    ] {
        let mut raw = scene.gateway.raw().await;
        for _ in 0..2 {
            let change = |name: &str| (name == field).then_some(line);
            raw.send(handshake("/", change)).await;
            let reply = raw.reply().await.unwrap();
            assert_eq!(reply.status, status, "{line}: {}", reply.text());
            let version = reply.header("sec-websocket-version");
            assert_eq!(version.is_some(), status == 426);
        }
    }
}

#[tokio::test]
async fn keys_count_as_over_http() {
    let scene = Scene::ranked_with(|config| {
        config.set(
            "consumers",
            json!([{ "id": "bot", "keys": ["0123456789abcdef"] }]),
        )
    })
    .await;
    let address = scene.gateway.address();
    let refused = Socket::try_open(address, "/wrong").await.unwrap_err();
    assert!(refused.to_string().contains("401"), "{refused}");
    for path in ["/0123456789abcdef", "/?api-key=0123456789abcdef"] {
        let mut socket = Socket::open(address, path).await;
        let answer = socket.call("getHealth", json!([])).await;
        assert_eq!(answer["result"], "ok");
    }
}

#[tokio::test]
async fn calls_over_a_socket_take_the_way_of_calls_over_http() {
    let scene = Scene::ranked().await;
    let mut socket = Socket::open(scene.gateway.address(), "/").await;
    let over_http = scene.balance().await.json();
    let over_socket = socket.call("getBalance", json!([KEY])).await;
    assert_eq!(
        over_socket["result"]["value"].is_u64(),
        over_http["result"]["value"].is_u64(),
        "{over_socket}"
    );
    // It fails over as any call does.
    scene.v(0).fault(Fault::status(503));
    let over_socket = socket.call("getBalance", json!([KEY])).await;
    assert!(over_socket["result"]["value"].is_u64(), "{over_socket}");
    // Ids keep their types; batches keep their order.
    socket
        .say(
            r#"[{"jsonrpc":"2.0","id":"7","method":"getHealth"},{"jsonrpc":"2.0","method":"ping"},
               {"jsonrpc":"2.0","id":7,"method":"getHealth"}]"#,
        )
        .await;
    let batch = socket.hear().await.unwrap();
    assert_eq!(
        (&batch[0]["id"], &batch[1]["id"]),
        (&json!("7"), &json!(7)),
        "{batch}"
    );
    let metrics = scene.gateway.metrics().await;
    let calls = metrics.sum("perijove_rpc_calls_total", &[]);
    assert!(calls >= 5.0, "{calls}");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_socket_and_no_other() {
    let scene = Scene::ranked_with(|config| config.set("websocket.max_message", "4KiB")).await;
    let mut other = Socket::open(scene.gateway.address(), "/").await;
    let mut socket = Socket::open(scene.gateway.address(), "/").await;
    socket.say("x".repeat(5000)).await;
    assert_eq!(socket.closes().await, 1009);
    let answer = other.call("getHealth", json!([])).await;
    assert_eq!(answer["result"], "ok");
}

#[tokio::test]
async fn frames_that_are_none_end_their_socket_with_1002() {
    let scene = Scene::ranked().await;
    for frame in [
        // Unmasked, of a reserved kind, a fragment of nothing.
        &b"\x81\x02{}"[..],
        b"\x83\x80\x01\x02\x03\x04",
        b"\x80\x80\x01\x02\x03\x04",
    ] {
        let mut socket = Socket::open(scene.gateway.address(), "/").await;
        socket.stream().write_all(frame).await.unwrap();
        assert_eq!(socket.closes().await, 1002, "{frame:?}");
    }
}

/// It counts on numeric ids and pongs, ends at an answer to what it did not ask, and at a handshake with
/// 429 waits for as many seconds as it is told, if they are a number below 120.
#[tokio::test]
async fn the_rules_of_solanas_rust_client_hold() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.clients", 2)
    })
    .await;
    let address = scene.gateway.address();
    let url = format!("ws://{address}/");
    WebSocket::open(&url).await.unwrap().ping().await;
    let mut socket = Socket::open(address, "/").await;
    for unasked in [r#"{"jsonrpc":"2.0","method":"ping"}"#, "ping"] {
        socket.say(unasked).await;
    }
    let id = socket.subscribe("slotSubscribe", json!([])).await;
    for _ in 0..3 {
        let told = socket.hear().await.unwrap();
        assert_eq!(told["params"]["subscription"], id, "{told}");
    }
    let ended = socket.call("slotUnsubscribe", json!([id])).await;
    assert_eq!(ended["result"], true, "{ended}");
    let _other = Socket::open(address, "/").await;
    let mut raw = scene.gateway.raw().await;
    raw.send(handshake("/", |_| None)).await;
    let refused = raw.reply().await.unwrap();
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..120).contains(&wait), "{wait}");
}

#[tokio::test]
async fn there_are_only_so_many_sockets() {
    let scene = Scene::ranked_with(|config| config.set("websocket.clients", 1)).await;
    let first = Socket::open(scene.gateway.address(), "/").await;
    let refused = Socket::try_open(scene.gateway.address(), "/").await;
    assert!(refused.unwrap_err().to_string().contains("429"));
    drop(first);
    until("the place to be free", || async {
        Socket::try_open(scene.gateway.address(), "/").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_tells_its_clients_to_connect_again() {
    let scene = Scene::ranked_with(|config| config.set("websocket.close_over", "300ms")).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let mut socket = Socket::open(scene.gateway.address(), "/").await;
        socket.call("getHealth", json!([])).await;
        sockets.push(socket);
    }
    scene.gateway.process.signal("TERM");
    for socket in &mut sockets {
        assert_eq!(socket.closes().await, 1012);
    }
}

#[tokio::test]
async fn the_next_port_serves_websocket_and_nothing_else_before_and_after_an_upgrade() {
    let port = perijove_tests::ports::take_two();
    let cluster = perijove_tests::sandbox::Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .set("listen.rpc", json!([format!("127.0.0.1:{port}")]))
        .set("listen.next_port", true)
        .upstream(cluster.validator(0));
    let gateway = Gateway::start(config).await;
    let next = std::net::SocketAddr::from(([127, 0, 0, 1], port + 1));
    let serves = async |gateway: &Gateway| {
        let mut socket = Socket::open(next, "/key").await;
        assert_eq!(socket.call("getHealth", json!([])).await["result"], "ok");
        let mut raw = gateway.raw_to(next).await;
        raw.send(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let reply = raw.reply().await.unwrap();
        assert_eq!(reply.status, 426, "{}", reply.text());
        socket
    };
    let mut socket = serves(&gateway).await;
    let new = gateway.upgrade().await;
    assert_eq!(socket.closes().await, 1012);
    Box::pin(serves(&new)).await;
}

#[tokio::test]
async fn the_port_after_one_of_tls_serves_websocket_over_tls_before_and_after_an_upgrade() {
    let identity = perijove_tests::tls::Identity::of("localhost");
    let port = perijove_tests::ports::take_two();
    let cluster = perijove_tests::sandbox::Sandbox::start(1).await.unwrap();
    let listener = json!({
        "address": format!("127.0.0.1:{port}"),
        "certificate": identity.certificate_file().display().to_string(),
        "key": identity.key_file().display().to_string(),
    });
    let rpc = format!("127.0.0.1:{}", perijove_tests::ports::take_two());
    let config = GatewayConfig::new()
        .set("listen.rpc", json!([rpc]))
        .set("listen.tls", json!([listener]))
        .set("listen.next_port", true)
        .upstream(cluster.validator(0));
    let gateway = Gateway::start(config).await;
    let next = std::net::SocketAddr::from(([127, 0, 0, 1], port + 1));
    let serves = async |gateway: &Gateway| {
        for address in [gateway.tls_address(), next] {
            let stream = TcpStream::connect(address).await.unwrap();
            let stream = identity.dial(stream).await;
            let opening = tokio_tungstenite::client_async("wss://localhost/key", stream);
            let opened = Box::pin(opening).await;
            let (mut socket, _) = opened.unwrap();
            let call = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
            // The new process may know nothing of its upstream yet.
            loop {
                socket.send(Message::text(call)).await.unwrap();
                let answer = socket.next().await.unwrap().unwrap();
                if answer.to_text().unwrap().contains(r#""result":"ok""#) {
                    break;
                }
                assert!(answer.to_text().unwrap().contains("-32005"), "{answer}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        let mut raw = RawConnection::open_tls(next, &identity).await;
        raw.send(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(raw.reply().await.unwrap().status, 426);
    };
    Box::pin(serves(&gateway)).await;
    let new = gateway.upgrade().await;
    serves(&new).await;
}

#[tokio::test]
async fn the_next_port_speaks_no_http2() {
    let port = perijove_tests::ports::take_two();
    let cluster = perijove_tests::sandbox::Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .set("listen.rpc", json!([format!("127.0.0.1:{port}")]))
        .set("listen.next_port", true)
        .upstream(cluster.validator(0));
    let gateway = Gateway::start(config).await;
    let next = std::net::SocketAddr::from(([127, 0, 0, 1], port + 1));
    let mut raw = gateway.raw_to(next).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let reply = raw.reply().await.unwrap();
    assert!([400, 426].contains(&reply.status), "{}", reply.status);
}
