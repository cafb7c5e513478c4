//! permessage-deflate, where a client offers it.

use perijove_tests::client::deflating::{DeflatingSocket, deflated};
use perijove_tests::client::socket::Socket;
use perijove_tests::sandbox::Settings;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, ranked};
use crate::subscriptions::Watched;

/// As ws, undici, browsers and Python's websockets offer it.
const USUAL: &str = "permessage-deflate; client_max_window_bits";
/// What is agreed then.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// First bytes and payloads.
type Frames<'a> = &'a [(u8, &'a [u8])];

/// A call with a long answer: the same account many times.
fn long() -> Value {
    json!([vec![KEY; 50], { "encoding": "base64" }])
}

fn is(metric: f64, count: usize) -> bool {
    (metric - f64::from(u32::try_from(count).unwrap())).abs() < 0.5
}

async fn compressed(scene: &Scene, direction: &str) -> f64 {
    let metrics = scene.gateway.metrics().await;
    let name = "perijove_websocket_compressed_messages_total";
    metrics.sum(name, &[("direction", direction)])
}

#[tokio::test]
async fn what_a_client_offers_is_agreed_and_what_is_malformed_is_declined() {
    let scene = Scene::ranked().await;
    let agreed = Some(AGREED.to_owned());
    let limited = Some(format!("{AGREED}; server_max_window_bits=10"));
    let cases: [(&[&str], Option<String>); 7] = [
        (&[], None),
        (&[USUAL], agreed.clone()),
        (&["x-other, permessage-deflate"], agreed.clone()),
        (&["permessage-deflate; server_max_window_bits=10"], limited),
        (
            &[
                "permessage-deflate; server_max_window_bits=7",
                "permessage-deflate",
            ],
            agreed,
        ),
        (&["permessage-deflate; server_max_window_bits=7"], None),
        (
            &["permessage-deflate; unknown=\"x, permessage-deflate"],
            None,
        ),
    ];
    for (offers, agreed) in cases {
        let mut socket = DeflatingSocket::open(scene.gateway.address(), offers).await;
        assert_eq!(socket.agreed, agreed, "{offers:?}");
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).to_string();
        socket.send(0x81, call.as_bytes()).await;
        assert_eq!(socket.text().await.json()["result"], "ok");
    }
}

#[tokio::test]
async fn calls_and_long_answers_are_compressed_and_short_ones_are_not() {
    let scene = Scene::ranked().await;
    let mut socket = DeflatingSocket::open(scene.gateway.address(), &[USUAL]).await;
    let short = socket.call("getHealth", &json!([])).await;
    assert_eq!(
        (short.json()["result"].as_str(), short.compressed),
        (Some("ok"), None)
    );
    let answer = socket.call("getMultipleAccounts", &long()).await;
    assert!(
        answer.compressed.unwrap() < answer.text.len() / 2,
        "{answer:?}"
    );
    // The same as without compression, but for its slot.
    let mut plain = Socket::open(scene.gateway.address(), "/").await;
    let expected = plain.call("getMultipleAccounts", long()).await;
    assert_eq!(
        answer.json()["result"]["value"],
        expected["result"]["value"]
    );
    assert!(is(compressed(&scene, "received").await, 2));
    assert!(is(compressed(&scene, "sent").await, 1));
    let metrics = scene.gateway.metrics().await;
    let saved = metrics.sum("perijove_websocket_compression_saved_bytes_total", &[]);
    let expected = answer.text.len() - answer.compressed.unwrap();
    assert!(is(saved, expected), "{saved} {expected}");
    // The line of the socket tells.
    drop(socket);
    until("the line of the socket", async || {
        let lines = scene.gateway.process.log();
        lines
            .iter()
            .any(|line| line.contains(r#""compressed":1"#))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_message_that_does_not_fit_into_a_clients_window_is_sent_as_it_is() {
    let scene = Scene::ranked().await;
    for (bits, fits) in [(10, false), (15, true)] {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let mut socket = DeflatingSocket::open(scene.gateway.address(), &[&offer]).await;
        let answer = socket.call("getMultipleAccounts", &long()).await;
        assert!(answer.text.len() > 1024);
        assert_eq!(answer.compressed.is_some(), fits, "{bits}");
    }
}

#[tokio::test]
async fn nothing_is_compressed_where_that_is_switched_off() {
    let scene =
        Scene::ranked_with(|config| config.set("websocket.compression.enabled", false)).await;
    let mut socket = DeflatingSocket::open(scene.gateway.address(), &[USUAL]).await;
    assert_eq!(socket.agreed, None);
    socket
        .say(r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#)
        .await;
    assert_eq!(socket.closes().await, 1002);
}

#[tokio::test]
async fn what_is_corrupt_or_far_too_large_ends_its_socket_and_no_other() {
    let scene = Scene::ranked().await;
    let mut other = DeflatingSocket::open(scene.gateway.address(), &[USUAL]).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    let payload = deflated(call.as_bytes());
    let bomb = deflated(&vec![b' '; 8 << 20]);
    let bomb = &bomb[..bomb.len().min(64 * 1024)];
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(5000);
    let cases: [(&str, Frames<'_>, u16); 8] = [
        (
            "empty blocks without end",
            &[(0x41, &blocks), (0x00, &blocks), (0x00, &blocks)],
            1009,
        ),
        ("cut off", &[(0xc1, &payload[..10])], 1007),
        ("garbage", &[(0xc1, b"\xff\xff\xff\xff")], 1007),
        ("no text", &[(0xc1, &deflated(b"\xff\xfe"))], 1007),
        ("a bomb", &[(0xc1, bomb)], 1009),
        (
            "a bomb in pieces",
            &[(0x41, &bomb[..100]), (0x00, &bomb[100..])],
            1009,
        ),
        (
            "the bit on a continuation",
            &[(0x41, &payload[..9]), (0xc0, &payload[9..])],
            1002,
        ),
        ("the bit on a ping", &[(0xc9, b"")], 1002),
    ];
    for (what, frames, code) in cases {
        let mut socket = DeflatingSocket::open(scene.gateway.address(), &[USUAL]).await;
        for (first, payload) in frames {
            socket.send(*first, payload).await;
        }
        assert_eq!(socket.closes().await, code, "{what}");
    }
    other.send(0x41, &payload[..9]).await;
    other.send(0x80, &payload[9..]).await;
    assert_eq!(other.text().await.json()["result"], "ok");
    let metrics = scene.gateway.metrics().await;
    for (cause, count) in [
        ("corrupt", 2),
        ("not_text", 1),
        ("too_large", 3),
        ("malformed", 2),
    ] {
        let closed = metrics.sum("perijove_websocket_closed_total", &[("cause", cause)]);
        assert!(is(closed, count), "{cause}: {closed}");
    }
}

#[tokio::test]
async fn clients_of_one_subscription_are_told_the_same_compressed_or_not() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.compression.min_bytes", "64B")
    })
    .await;
    let address = scene.gateway.address();
    let mut plain = scene.socket().await;
    let mut one = DeflatingSocket::open(address, &[USUAL]).await;
    let mut other = DeflatingSocket::open(address, &[USUAL]).await;
    let params = json!([crate::subscriptions::account(), { "encoding": "jsonParsed" }]);
    let mut ids = Vec::new();
    for socket in [&mut one, &mut other] {
        let answer = socket.call("accountSubscribe", &params).await;
        ids.push(answer.json()["result"].as_u64().unwrap());
    }
    plain.subscribe("accountSubscribe", &params).await;
    let told = plain.notifications(3).await;
    for (socket, id) in [&mut one, &mut other].into_iter().zip(ids) {
        let mut results = Vec::new();
        loop {
            let text = socket.text().await;
            assert!(text.compressed.unwrap() < text.text.len(), "{text:?}");
            let json = text.json();
            assert_eq!(json["params"]["subscription"], id);
            let result = json["params"]["result"].clone();
            let is_last = result == told[2].result;
            results.push(result);
            if is_last {
                break;
            }
        }
        let expected: Vec<Value> = told.iter().map(|told| told.result.clone()).collect();
        assert!(results.ends_with(&expected), "{results:?} {expected:?}");
    }
}
