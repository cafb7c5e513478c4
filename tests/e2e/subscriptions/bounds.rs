//! What a client may not do, and what it must not do to others: floods, sockets that nobody reads,
//! keys that are taken away, and what a plan allows.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use perijove_tests::client::socket::Socket;
use perijove_tests::client::websocket::Heard;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Settings};
use perijove_tests::wait::{PATIENCE, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Watched, account, error};
use crate::scene::ranked;

/// A client whose machine takes in little.
async fn narrow(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (socket, _) = client_async(format!("ws://{address}/"), stream)
        .await
        .unwrap();
    socket
}

/// Subscribes to many accounts at once and hears nothing of it.
async fn subscribes_and_does_not_read(socket: &mut WebSocketStream<TcpStream>, keys: &[String]) {
    for (id, key) in keys.iter().enumerate() {
        let params = json!([key, {"commitment": "processed", "encoding": "base64"}]);
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "accountSubscribe", "params": params});
        socket.send(Message::text(call.to_string())).await.unwrap();
    }
}

/// Reads until so many calls are answered.
/// Fewer if the socket is given up meanwhile, as it may be where the gateway bounds what waits.
async fn hears_answers(socket: &mut WebSocketStream<TcpStream>, mut count: usize) {
    while count > 0 {
        let next = timeout(PATIENCE, socket.next()).await.unwrap();
        let Some(Ok(message)) = next else { return };
        count -= usize::from(message.to_text().unwrap().contains("\"id\":"));
    }
}

/// Reads the rest of a socket; the code with which it was closed.
async fn close_code(mut socket: WebSocketStream<TcpStream>) -> Option<u16> {
    let ends = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    timeout(PATIENCE, ends).await.unwrap()
}

fn rushing() -> Settings {
    Settings {
        slot_time: Duration::from_millis(20),
        ..Settings::default()
    }
}

async fn in_front_of(settings: Settings, config: impl Fn(&Sandbox) -> GatewayConfig) -> Watched {
    let settings = Settings {
        validators: 2,
        moving: true,
        start_slot: 41 * 7_000_000 + 20,
        ..settings
    };
    let cluster = Sandbox::with(settings).await.unwrap();
    let gateway = perijove_tests::gateway::Gateway::start(config(&cluster)).await;
    crate::scene::all_probed(&gateway).await;
    Watched { cluster, gateway }
}

/// Whether so many sockets were closed for this cause.
async fn closed_for(scene: &Watched, cause: &str, count: u32) -> bool {
    let metrics = scene.gateway.metrics().await;
    let closed = metrics.sum("perijove_websocket_closed_total", &[("cause", cause)]);
    (closed - f64::from(count)).abs() < 0.5
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_others_are_told_everything() {
    let scene = in_front_of(rushing(), |cluster| {
        ranked(cluster).set("websocket.queue", "64KiB")
    })
    .await;
    let keys = keys(Nature::Moving, 100);
    let mut reader = scene.socket().await;
    let id = reader.subscribe("slotSubscribe", &json!([])).await;
    let mut sleeper = narrow(scene.gateway.address()).await;
    subscribes_and_does_not_read(&mut sleeper, &keys).await;
    let mut slots: Vec<u64> = Vec::new();
    let until_closed = async {
        while closed_for(&scene, "slow", 0).await {
            let told = reader.notification().await;
            assert_eq!(told.subscription, id);
            slots.push(told.result["slot"].as_u64().unwrap());
        }
    };
    let closed = timeout(PATIENCE, until_closed).await;
    closed.expect("the client that does not read to be closed");
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "{slots:?}");
    // It is told why as soon as it reads, unless it was too late for that.
    assert!([None, Some(1013)].contains(&close_code(sleeper).await));
    // Its subscriptions go with it.
    until("its subscriptions to end", async || {
        (scene.live(0, "accountSubscribe") == 0).then_some(())
    })
    .await;
    assert!(closed_for(&scene, "slow", 1).await);
    reader.notifications(5).await;
}

#[tokio::test]
async fn what_waits_for_all_clients_together_is_bounded() {
    let scene = in_front_of(rushing(), |cluster| {
        ranked(cluster)
            .set("websocket.queue", "1GiB")
            .set("websocket.memory", "1MiB")
            .set("limits.write_timeout", "1m")
    })
    .await;
    let large = Fault::from(Kind::Big { bytes: 200_000 }).on("getBalance");
    scene.cluster.validator(0).fault(large);
    let keys = keys(Nature::Moving, 10);
    let mut reader = scene.socket().await;
    reader.subscribe("slotSubscribe", &json!([])).await;
    let mut sleepers = Vec::new();
    for _ in 0..4 {
        let mut sleeper = narrow(scene.gateway.address()).await;
        subscribes_and_does_not_read(&mut sleeper, &keys).await;
        hears_answers(&mut sleeper, keys.len()).await;
        // From here on it reads nothing, and this is more than is kept on its way.
        for id in 0..60 {
            let params = json!([account(), {"commitment": "processed"}]);
            let call =
                json!({"jsonrpc": "2.0", "id": id, "method": "getBalance", "params": params});
            let message = Message::text(call.to_string());
            // It may be given up while it still asks: that is what is waited for below.
            if sleeper.send(message).await.is_err() {
                break;
            }
        }
        sleepers.push(sleeper);
    }
    let until_closed = async {
        while closed_for(&scene, "slow", 0).await {
            reader.notification().await;
            let waiting = scene.gateway.status().await["websocket"]["waiting_bytes"].clone();
            assert!(waiting.as_u64() < Some(3 << 20), "{waiting}");
        }
    };
    let closed = timeout(PATIENCE, until_closed).await;
    closed.expect("one of them to be closed");
    reader.notifications(5).await;
    assert!(closed_for(&scene, "client", 0).await);
}

/// What `/status` says of the bytes that wait for clients.
async fn waiting_bytes(scene: &Watched) -> u64 {
    let status = scene.gateway.status().await;
    status["websocket"]["waiting_bytes"].as_u64().unwrap()
}

#[tokio::test]
async fn large_answers_on_many_sockets_are_bounded_and_others_get_theirs() {
    const MEMORY: u64 = 4 << 20;
    const SOCKETS: usize = 12;
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.memory", MEMORY).set(
            "consumers",
            consumers(&[("bot", "bots-key"), ("man", "mans-key")]),
        )
    })
    .await;
    let slow = Fault::from(Kind::SlowBody { ms: 3000 }).on("sandboxPad");
    scene.cluster.validator(0).fault(slow);
    let address = scene.gateway.address();
    let asks = async || {
        let mut socket = Socket::open(address, "/bots-key").await;
        socket
            .call("sandboxPad", json!([{ "bytes": 900_000 }]))
            .await
    };
    let greedy = futures::future::join_all((0..SOCKETS).map(|_| asks()));
    let modest = async {
        until("much to be collected", || async {
            (waiting_bytes(&scene).await > MEMORY / 4).then_some(())
        })
        .await;
        let mut socket = Socket::open(address, "/mans-key").await;
        let answer = socket
            .call("sandboxPad", json!([{ "bytes": 300_000 }]))
            .await;
        assert!(answer["result"].is_string(), "{}", answer["error"]);
    };
    // What was just counted and is refused is among it.
    let watched = async { while waiting_bytes(&scene).await <= MEMORY * 3 / 2 {} };
    let answers = tokio::select! {
        (answers, ()) = async { tokio::join!(greedy, modest) } => answers,
        () = watched => panic!("too much is collected"),
    };
    let (taken, refused): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer["result"].is_string());
    assert!(!taken.is_empty() && !refused.is_empty(), "{}", taken.len());
    for answer in refused {
        let (code, message) = error(answer);
        assert_eq!(code, -32603);
        assert!(message.contains("too many large answers"), "{message}");
    }
    until("nothing to wait any more", || async {
        (waiting_bytes(&scene).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_subscriptions_is_refused_and_others_are_served() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.subscriptions", 20)
    })
    .await;
    let mut other = scene.socket().await;
    other.subscribe("rootSubscribe", &json!([])).await;
    let mut flood = scene.socket().await;
    let keys = keys(Nature::Moving, 500);
    let mut answers = Vec::new();
    for chunk in keys.chunks(50) {
        let calls: Vec<Value> = chunk
            .iter()
            .enumerate()
            .map(|(id, key)| {
                json!({"jsonrpc": "2.0", "id": id, "method": "accountSubscribe",
                    "params": [key, {"commitment": "finalized"}]})
            })
            .collect();
        flood
            .send(Message::text(json!(calls).to_string()))
            .await
            .unwrap();
        loop {
            match flood.hear().await {
                Heard::Json(Value::Array(batch)) => break answers.extend(batch),
                Heard::Json(_notification) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let taken = answers.iter().filter(|answer| answer["result"].is_u64());
    assert_eq!((answers.len(), taken.count()), (500, 20));
    let words = "Internal Error: Subscription refused. Node subscription limit reached";
    let refused = answers
        .iter()
        .filter(|answer| error(answer) == (-32603, words));
    assert_eq!(refused.count(), 480);
    assert_eq!(scene.live(0, "accountSubscribe"), 20);
    other.notifications(2).await;
}

#[tokio::test]
async fn messages_that_are_no_calls_are_answered_as_by_a_node_and_end_nothing() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    let params = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"accountSubscribe","params":{}}}"#,
        "[".repeat(20_000) + &"]".repeat(20_000)
    );
    for (text, code) in [
        ("", -32700),
        ("{", -32700),
        ("\u{0}", -32700),
        (deep.as_str(), -32700),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"slotSubscribe"}"#,
            -32600,
        ),
        (r#""text""#, -32700),
        ("7", -32700),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"accountSubscribe","params":{}}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"slotUnsubscribe","params":[-1]}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"slotUnsubscribe","params":[1e300]}"#,
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"noSubscribe"}"#, -32601),
    ] {
        socket.send(Message::text(text)).await.unwrap();
        let Heard::Json(answer) = socket.hear().await else {
            panic!("{text:.80}");
        };
        assert_eq!(error(&answer).0, code, "{text:.80}: {answer}");
    }
    socket.send(Message::text(params)).await.unwrap();
    let Heard::Json(answer) = socket.hear().await else {
        panic!("no answer to deep params");
    };
    assert!([-32700, -32602].contains(&error(&answer).0), "{answer}");
    socket
        .send(Message::binary(vec![0xff, 0xfe]))
        .await
        .unwrap();
    let Heard::Json(answer) = socket.hear().await else {
        panic!("no answer to bytes");
    };
    assert_eq!(error(&answer).0, -32700);
    socket.subscribe("slotSubscribe", &json!([])).await;
    socket.notification().await;
}

/// A frame of a client, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1_u8, 2, 3, 4];
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let mut frame = vec![first, 0x80 | length];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

#[tokio::test]
async fn a_message_in_fragments_with_a_ping_between_is_one_message() {
    let scene = Watched::ranked().await;
    let mut socket = Socket::open(scene.gateway.address(), "/").await;
    let text = br#"{"jsonrpc":"2.0","id":5,"method":"getHealth"}"#;
    let (head, tail) = text.split_at(20);
    let frames = [
        frame(0x01, head),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, tail),
    ];
    socket.stream().write_all(&frames.concat()).await.unwrap();
    assert_eq!(socket.hear().await.unwrap()["result"], "ok");
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_their_socket_with_a_code_and_no_other() {
    let scene = Watched::ranked().await;
    let mut other = scene.socket().await;
    other.subscribe("slotSubscribe", &json!([])).await;
    let long_ping = [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    for (what, bytes, code) in [
        ("no mask", b"\x81\x02{}".to_vec(), 1002),
        ("reserved bit", frame(0xc1, b"{}"), 1002),
        ("reserved opcode", frame(0x83, b"{}"), 1002),
        ("a fragment of nothing", frame(0x80, b"{}"), 1002),
        (
            "a message within another",
            [frame(0x01, b"{"), frame(0x81, b"{}")].concat(),
            1002,
        ),
        ("a ping in fragments", frame(0x09, b""), 1002),
        ("a long ping", long_ping, 1002),
        ("no text", frame(0x81, &[0xc3, 0x28]), 1007),
        (
            "no text, in fragments",
            [frame(0x01, &[0xe2, 0x82]), frame(0x80, &[0x28])].concat(),
            1007,
        ),
        (
            "too long by its length",
            [&[0x81, 0xff][..], &[0x7f; 8], &[0; 4]].concat(),
            1009,
        ),
    ] {
        let mut socket = Socket::open(scene.gateway.address(), "/").await;
        socket.stream().write_all(&bytes).await.unwrap();
        assert_eq!(socket.closes().await, code, "{what}");
    }
    let mut endless = Socket::open(scene.gateway.address(), "/").await;
    let fragment = frame(0x00, &[b' '; 125]);
    let mut fragments = frame(0x01, b"");
    (0..600).for_each(|_| fragments.extend_from_slice(&fragment));
    // The gateway may have closed before all of it is sent.
    drop(endless.stream().write_all(&fragments).await);
    assert_eq!(endless.closes().await, 1009);
    other.notifications(3).await;
}

#[tokio::test]
async fn a_socket_that_is_cut_in_a_frame_takes_nothing_along() {
    let scene = Watched::ranked().await;
    let mut stays = scene.socket().await;
    stays.subscribe("slotSubscribe", &json!([])).await;
    let mut socket = Socket::open(scene.gateway.address(), "/").await;
    socket.subscribe("rootSubscribe", json!([])).await;
    socket
        .stream()
        .write_all(&[0x81, 0xfe, 0x10])
        .await
        .unwrap();
    drop(socket);
    until("its subscription to end", async || {
        (scene.live(0, "rootSubscribe") == 0).then_some(())
    })
    .await;
    stays.notifications(3).await;
}

fn consumers(keys: &[(&str, &str)]) -> Value {
    let of = |(id, key): &(&str, &str)| json!({ "id": id, "keys": [key] });
    keys.iter().map(of).collect()
}

#[tokio::test]
async fn sockets_of_a_key_that_is_taken_away_are_closed_and_no_others() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("anonymous", true).set(
            "consumers",
            consumers(&[("bot", "first-key"), ("man", "second-key")]),
        )
    })
    .await;
    let address = scene.gateway.address();
    let mut removed = Vec::new();
    for path in ["/first-key", "/?api-key=first-key"] {
        let mut socket = Socket::open(address, path).await;
        socket.subscribe("slotSubscribe", json!([])).await;
        removed.push(socket);
    }
    let mut stays = Socket::open(address, "/second-key").await;
    stays.subscribe("slotSubscribe", json!([])).await;
    let text = std::fs::read_to_string(scene.gateway.config_file()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["consumers"] = consumers(&[("man", "second-key")]);
    scene.gateway.write_file(&config.to_string());
    assert_eq!(scene.gateway.reload().await.status, 200);
    for mut socket in removed {
        assert_eq!(socket.closes().await, 1008);
    }
    // A path that is no key is a path, but a key in the query must be one.
    let refused = Socket::try_open(address, "/?api-key=first-key").await;
    assert!(refused.unwrap_err().to_string().contains("401"));
    for _ in 0..3 {
        assert_eq!(stays.hear().await.unwrap()["method"], "slotNotification");
    }
    assert!(closed_for(&scene, "unauthorised", 2).await);
    // Nobody may come without a key from now on.
    let mut stranger = Socket::open(address, "/").await;
    stranger.call("getHealth", json!([])).await;
    config["anonymous"] = json!(false);
    scene.gateway.write_file(&config.to_string());
    assert_eq!(scene.gateway.reload().await.status, 200);
    assert_eq!(stranger.closes().await, 1008);
    assert_eq!(stays.hear().await.unwrap()["method"], "slotNotification");
}

#[tokio::test]
async fn a_plan_bounds_sockets_subscriptions_and_methods() {
    let scene = Watched::with(Settings::default(), |cluster| {
        let plan =
            json!({"id": "small", "sockets": 2, "subscriptions": 3, "deny": ["rootSubscribe"]});
        ranked(cluster).set("plans", json!([plan])).set(
            "consumers",
            json!([{"id": "bot", "keys": ["bots-key"], "plan": "small"},
                    {"id": "man", "keys": ["mans-key"]}]),
        )
    })
    .await;
    let address = scene.gateway.address();
    let mut first = Socket::open(address, "/bots-key").await;
    let mut second = Socket::open(address, "/bots-key").await;
    let refused = Socket::try_open(address, "/bots-key").await;
    assert!(refused.unwrap_err().to_string().contains("429"));
    let mut other = Socket::open(address, "/mans-key").await;
    let denied = first.call("rootSubscribe", json!([])).await;
    assert_eq!(error(&denied).0, -32603, "{denied}");
    let ids = [
        first.subscribe("slotSubscribe", json!([])).await,
        first.subscribe("slotSubscribe", json!([])).await,
    ];
    second.subscribe("slotSubscribe", json!([])).await;
    let words = "Internal Error: Subscription refused. Node subscription limit reached";
    let full = second.call("slotSubscribe", json!([])).await;
    assert_eq!(error(&full), (-32603, words));
    other.subscribe("rootSubscribe", json!([])).await;
    first.call("slotUnsubscribe", json!([ids[0]])).await;
    second.subscribe("slotSubscribe", json!([])).await;
    drop(first);
    until("its place to be free", || async {
        Socket::try_open(address, "/bots-key").await.ok()
    })
    .await;
    second.subscribe("slotSubscribe", json!([])).await;
}

#[tokio::test]
async fn many_idle_connections_that_never_finish_a_frame_do_not_keep_others_waiting() {
    let scene = Watched::ranked().await;
    let mut half = Vec::new();
    for _ in 0..100 {
        let mut socket = Socket::open(scene.gateway.address(), "/").await;
        socket.stream().write_all(&[0x81]).await.unwrap();
        half.push(socket);
    }
    let mut socket = scene.socket().await;
    socket.subscribe("slotSubscribe", &json!([])).await;
    socket.notifications(3).await;
    let mut byte = [0];
    let silent = timeout(Duration::from_millis(50), half[0].stream().read(&mut byte)).await;
    assert!(
        silent.is_err(),
        "a frame that is not finished is waited for"
    );
}
