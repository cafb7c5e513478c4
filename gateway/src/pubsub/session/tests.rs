//! A client and the session of its socket, with a pipeline behind it that has no upstream.

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::*;
use crate::config::Plan;
use crate::context::{Protocol, RequestContext};
use crate::pipeline::{CacheUse, RequestSummary};
use crate::pubsub::backlog::ClientBacklog as _;
use crate::pubsub::deflate::DeflateAgreement;
use crate::pubsub::notification_head::NotificationHead;
use crate::pubsub::testing::{hub, hub_with};

/// Notes what is reported: method, outcome and status.
#[derive(Default)]
pub(super) struct Noting(Mutex<Vec<(&'static str, &'static str, u16)>>);

impl SocketObserver for Noting {
    fn answered(&self, summary: RequestSummary, status: u16, _: &RequestContext, _: usize) {
        let line = (summary.method, summary.outcome, status);
        self.0.lock().push(line);
    }

    fn left(&self, _: &Bytes, _: &RequestContext) {
        self.0.lock().push(("", "left", 0));
    }

    fn is_used(&self, _used: bool) {}

    fn may_stay(&self) -> Result<(), SocketEnd> {
        Ok(())
    }
}

pub(super) async fn pair(
    hub: &Arc<Hub>,
) -> (
    WebSocketStream<DuplexStream>,
    tokio::task::JoinHandle<EndedSocket>,
) {
    let (near, far) = tokio::io::duplex(1024);
    let session = SubscriberSession::new(Arc::clone(hub), far, Vec::new(), client()).await;
    let serving = tokio::spawn(session.serve());
    let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    (socket, serving)
}

/// A socket and what is reported of it.
async fn noted(hub: &Arc<Hub>) -> (WebSocketStream<DuplexStream>, Arc<Noting>) {
    let (near, far) = tokio::io::duplex(1024);
    let noting = Arc::new(Noting::default());
    let client = SocketClient {
        account: Arc::<Noting>::clone(&noting),
        ..client()
    };
    let session = SubscriberSession::new(Arc::clone(hub), far, Vec::new(), client).await;
    tokio::spawn(session.serve());
    let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    (socket, noting)
}

pub(super) fn client() -> SocketClient {
    SocketClient {
        context: Arc::new(RequestContext {
            protocol: Protocol::WebSocket,
            address: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            ..RequestContext::internal(1, Instant::now(), Instant::now())
        }),
        trace: None,
        cache_use: CacheUse::Normal,
        ledger_only: false,
        share: Arc::default(),
        account: Arc::new(Noting::default()),
        compression: None,
    }
}

pub(super) fn agreement() -> DeflateAgreement {
    let offer = b"permessage-deflate; client_max_window_bits";
    DeflateAgreement::of_offers([&offer[..]].into_iter()).unwrap()
}

pub(super) async fn text(socket: &mut WebSocketStream<DuplexStream>) -> String {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return text.as_str().to_owned(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn close_code(socket: &mut WebSocketStream<DuplexStream>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}

#[tokio::test]
async fn a_call_is_answered_with_its_id_and_no_newline() {
    let (mut socket, _serving) = pair(&hub()).await;
    let call = r#"{"jsonrpc":"2.0","id":"7","method":"getHealth"}"#;
    socket.send(Message::text(call)).await.unwrap();
    let answer = text(&mut socket).await;
    assert!(answer.ends_with(r#""id":"7"}"#), "{answer}");
    assert!(answer.contains("-32005"), "no upstream is there: {answer}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_held_back_and_other_calls_are_not() {
    let hub = hub_with(|config| config.methods.deny = vec!["slotSubscribe".to_owned()]);
    let (mut socket, _serving) = pair(&hub).await;
    let started = Instant::now();
    for call in [
        r#"{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"getHealth"}"#,
    ] {
        socket.send(Message::text(call)).await.unwrap();
    }
    assert!(text(&mut socket).await.contains(r#""id":2"#));
    assert!(started.elapsed() < Duration::from_secs(1));
    let refused = text(&mut socket).await;
    assert!(
        refused.contains("-32601") && refused.contains(r#""id":1"#),
        "{refused}"
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_no_call_gets_the_error_of_a_node() {
    let (mut socket, _serving) = pair(&hub()).await;
    socket.send(Message::text("{")).await.unwrap();
    assert!(text(&mut socket).await.contains("-32700"));
}

#[tokio::test]
async fn pings_as_text_are_swallowed() {
    let (mut socket, _serving) = pair(&hub()).await;
    for ping in ["ping", r#"{"jsonrpc":"2.0","method":"ping"}"#] {
        socket.send(Message::text(ping)).await.unwrap();
    }
    socket.send(Message::text("[")).await.unwrap();
    let first = text(&mut socket).await;
    assert!(
        first.contains("-32700"),
        "only the bracket is answered: {first}"
    );
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_the_socket_with_1009() {
    let hub = hub_with(|config| config.websocket.max_message = 4096);
    let (mut socket, serving) = pair(&hub).await;
    let large = Message::text("x".repeat(4097));
    let (sent, code) = tokio::join!(
        async { socket.feed(large).await.is_ok() && socket.flush().await.is_ok() },
        serving
    );
    assert_eq!(code.unwrap().end, SocketEnd::TooLarge, "{sent}");
    assert_eq!(close_code(&mut socket).await, 1009);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_pings_is_closed() {
    let hub = hub();
    let started = Instant::now();
    let (socket, serving) = pair(&hub).await;
    // Nobody reads the socket, so nobody answers.
    assert_eq!(serving.await.unwrap().end, SocketEnd::Silent);
    assert!(started.elapsed() >= Duration::from_mins(1));
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_is_kept() {
    let hub = hub();
    let (mut socket, serving) = pair(&hub).await;
    let mut pings = 0;
    while pings < 10 {
        if let Message::Ping(_) = socket.next().await.unwrap().unwrap() {
            pings += 1;
        }
    }
    assert!(!serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn when_the_gateway_stops_clients_are_told_1012() {
    let hub = hub();
    let (mut socket, serving) = pair(&hub).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    socket.send(Message::text(call)).await.unwrap();
    text(&mut socket).await;
    hub.leave_all();
    assert_eq!(close_code(&mut socket).await, 1012);
    assert_eq!(serving.await.unwrap().end, SocketEnd::Leaving);
}

#[tokio::test(start_paused = true)]
async fn when_the_gateway_stops_clients_are_closed_one_after_the_other() {
    let over = Duration::from_secs(10);
    let hub = hub_with(|config| config.websocket.close_over = over);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(pair(&hub).await);
    }
    let started = Instant::now();
    hub.leave_all();
    let closings = clients.iter_mut().map(async |(socket, _)| {
        assert_eq!(close_code(socket).await, 1012);
        started.elapsed()
    });
    let mut times = futures::future::join_all(closings).await;
    times.sort_unstable();
    assert!(times[49] <= over + farewell::FAREWELL, "{times:?}");
    let early = times.iter().filter(|time| **time < over / 2).count();
    assert!((5..45).contains(&early), "{times:?}");
    times.dedup();
    assert!(times.len() > 40, "not at once: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_and_the_session_ends() {
    let hub = hub_with(|config| config.websocket.calls = 10_000);
    let (mut socket, serving) = pair(&hub).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    let flood = async { while socket.send(Message::text(call)).await.is_ok() {} };
    let ((), end) = tokio::join!(flood, serving);
    assert_eq!(end.unwrap().end, SocketEnd::Slow);
}

#[tokio::test]
async fn a_client_behind_which_too_much_piles_up_is_closed_and_no_other_notices() {
    let hub = hub_with(|config| config.websocket.queue = 100_000);
    let head = Bytes::from(
        [
            &b"{\"params\":{\"result\":\""[..],
            &vec![b'x'; 50_000][..],
            b"\",\"s\":",
        ]
        .concat(),
    );
    let mut sockets = Vec::new();
    let mut outboxes = Vec::new();
    for _ in 0..2 {
        let (near, far) = tokio::io::duplex(1024);
        let session = SubscriberSession::new(Arc::clone(&hub), far, Vec::new(), client()).await;
        outboxes.push(Arc::clone(&session.outbox));
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        sockets.push((socket, tokio::spawn(session.serve())));
    }
    let (reads, reading) = &mut sockets[0];
    for _ in 0..10 {
        for outbox in &outboxes {
            outbox.notify(&NotificationHead::new(head.clone(), &hub.total), 7);
        }
        assert!(text(reads).await.ends_with("7}}"));
    }
    assert!(!reading.is_finished());
    let (_sleeps, sleeping) = sockets.pop().unwrap();
    assert_eq!(sleeping.await.unwrap().end, SocketEnd::Slow);
}

#[tokio::test]
async fn a_client_that_is_told_more_and_more_is_heard_all_the_same() {
    let (near, far) = tokio::io::duplex(1024);
    let hub = hub();
    let session = SubscriberSession::new(Arc::clone(&hub), far, Vec::new(), client()).await;
    let outbox = Arc::clone(&session.outbox);
    let mut socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let head = [
        &b"{\"params\":{\"result\":\""[..],
        &[b'x'; 500],
        b"\",\"s\":",
    ]
    .concat();
    let head = NotificationHead::new(Bytes::from(head), &hub.total);
    let tell = || {
        while outbox.bytes() < 8_000 {
            assert!(outbox.notify(&head, 7));
        }
    };
    tell();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    socket.send(Message::text(call)).await.unwrap();
    tokio::spawn(session.serve());
    for _ in 0..1_000 {
        tell();
        if text(&mut socket).await.contains(r#""id":1"#) {
            return;
        }
    }
    panic!("the call was not answered");
}

fn call(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

async fn answer(socket: &mut WebSocketStream<DuplexStream>, message: &Value) -> Value {
    let message = Message::text(message.to_string());
    socket.send(message).await.unwrap();
    serde_json::from_str(&text(socket).await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_message_is_reported_whether_it_is_a_call_or_a_subscription() {
    let deny = vec!["slotSubscribe".to_owned()];
    let hub = hub_with(|config| config.methods.deny = deny);
    let (mut socket, noting) = noted(&hub).await;
    let none = json!([]);
    for message in [
        call(1, "slotSubscribe", &none),
        call(2, "accountSubscribe", &json!(["x"])),
        call(3, "rootUnsubscribe", &json!([7])),
        // No upstream is there.
        call(4, "rootSubscribe", &none),
        json!([
            call(5, "slotSubscribe", &none),
            call(6, "getHealth", &none),
            { "jsonrpc": "2.0", "id": 7 }
        ]),
    ] {
        answer(&mut socket, &message).await;
    }
    let expected = [
        ("slotSubscribe", "method_refused", 200),
        ("accountSubscribe", "refused_unasked", 200),
        ("rootUnsubscribe", "refused_unasked", 200),
        ("rootSubscribe", "no_upstream", 200),
        ("slotSubscribe", "method_refused", 200),
        ("getHealth", "no_upstream", 200),
        ("other", "invalid", 200),
    ];
    assert_eq!(*noting.0.lock(), expected);
}

/// A hub whose clients may make so many calls at once, and slots count twice.
fn limited(burst: u32) -> Arc<Hub> {
    hub_with(|config| {
        config.plans = vec![Plan {
            id: "small".to_owned(),
            requests_per_minute: Some(1),
            burst,
            costs: [("slotSubscribe".to_owned(), 2)].into(),
            ..Plan::default()
        }];
        config.anonymous_plan = Some("small".to_owned());
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_subscriptions_is_admitted_as_a_whole_or_not_at_all() {
    let subscribe = |id| call(id, "slotSubscribe", &json!([]));
    let hub = limited(3);
    let (mut socket, noting) = noted(&hub).await;
    let batch = json!([subscribe(1), subscribe(2)]);
    let refused = answer(&mut socket, &batch).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("counts as 4 calls"), "{refused}");
    assert_eq!(refused["id"], Value::Null);
    assert_eq!(*noting.0.lock(), [("batch", "over_burst", 413)]);
    assert_eq!(hub.status()["shared_subscriptions"], 0);
    // What ends subscriptions is free.
    let ends = |id| call(id, "slotUnsubscribe", &json!([7]));
    let batch = json!([ends(1), ends(2), ends(3), ends(4), subscribe(5)]);
    let taken = answer(&mut socket, &batch).await;
    assert_eq!(taken.as_array().unwrap().len(), 5, "{taken}");
    // One of three is left.
    let refused = answer(&mut socket, &subscribe(6)).await;
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains("plan")
    );
    assert_eq!(
        noting.0.lock().last(),
        Some(&("slotSubscribe", "over_limit", 429))
    );
}

#[tokio::test(start_paused = true)]
async fn the_entries_of_a_batch_share_one_time_limit() {
    let hub = hub_with(|config| config.limits.request_timeout = Duration::from_secs(15));
    let (mut socket, _serving) = pair(&hub).await;
    let started = Instant::now();
    let batch = (0..4).map(|id| call(id, "slotSubscribe", &json!([])));
    let refused = answer(&mut socket, &batch.collect()).await;
    assert_eq!(refused.as_array().unwrap().len(), 4, "{refused}");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(17), "{took:?}");
}
