//! Subscriptions over scripted upstreams, in a time that the tests move.

use std::pin::Pin;

use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::config;
use crate::pubsub::outbox::Outbox;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::testing::{hub_dialling, hub_dialling_with};
use crate::pubsub::upstream_socket::dial::{Dialed, SocketDialer, shake};
use crate::pubsub::upstream_socket::dial_error::DialError;
use crate::solana::FaultKind;
use crate::upstream::testing::settings;

mod bounds;
mod misdirected;
mod reached;
mod spare;
mod unread;

const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";

/// Hands the other end of each socket to the test.
struct Scripted(mpsc::UnboundedSender<Node>);

/// An upstream's end of a socket.
struct Node {
    id: String,
    socket: WebSocketStream<DuplexStream>,
}

impl SocketDialer for Scripted {
    fn dial<'a>(
        &'a self,
        upstream: &'a Arc<Upstream>,
        _attempt: usize,
    ) -> Pin<Box<dyn Future<Output = Dialed> + Send + 'a>> {
        Box::pin(async move {
            let (near, far) = duplex(64 * 1024);
            let request = "ws://node/".into_client_request().unwrap();
            let (dialed, accepted) =
                tokio::join!(shake(request, Box::new(near), 0), accept_async(far));
            let node = Node {
                id: upstream.id().to_owned(),
                socket: accepted.unwrap(),
            };
            drop(self.0.send(node));
            dialed
        })
    }
}

impl Node {
    /// The next request.
    async fn hear(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.next().await.unwrap().unwrap() {
                return serde_json::from_str(text.as_str()).unwrap();
            }
        }
    }

    async fn say(&mut self, message: Value) {
        let text = Message::text(message.to_string());
        self.socket.send(text).await.unwrap();
    }

    /// Takes the next subscription under this number, and tells what it is.
    async fn takes(&mut self, subscription: u64) -> String {
        let asked = self.hear().await;
        self.say(json!({ "jsonrpc": "2.0", "result": subscription, "id": asked["id"] }))
            .await;
        asked["method"].as_str().unwrap().to_owned()
    }

    async fn refuses(&mut self) {
        let asked = self.hear().await;
        let error = json!({ "code": -32601, "message": "Method not found" });
        self.say(json!({ "jsonrpc": "2.0", "error": error, "id": asked["id"] }))
            .await;
    }

    async fn tells(&mut self, subscription: u64, slot: u64) {
        let result = json!({ "context": { "slot": slot }, "value": { "lamports": slot } });
        let params = json!({ "result": result, "subscription": subscription });
        self.say(json!({ "jsonrpc": "2.0", "method": "accountNotification", "params": params }))
            .await;
    }
}

/// A hub whose upstreams are these, and the sockets it opens.
fn scripted(upstreams: Vec<config::UpstreamSettings>) -> (Arc<Hub>, mpsc::UnboundedReceiver<Node>) {
    let (opened, nodes) = mpsc::unbounded_channel();
    let hub = hub_dialling(upstreams, Box::new(Scripted(opened)));
    hub.start(&Handle::current());
    (hub, nodes)
}

fn own(id: &str) -> config::UpstreamSettings {
    settings(id, "http://node:8899")
}

fn bought(id: &str, metered: bool) -> config::UpstreamSettings {
    config::UpstreamSettings {
        tier: config::Tier::Paid,
        metered,
        ..own(id)
    }
}

fn account() -> SubscriptionSpec {
    let params = json!([KEY]).to_string();
    SubscriptionSpec::read(SubscriptionKind::Account, Some(params.as_bytes())).unwrap()
}

/// Subscribes, once for client 7; the node that has taken it under number 2.
async fn subscribed(
    hub: &Arc<Hub>,
    nodes: &mut mpsc::UnboundedReceiver<Node>,
) -> (Arc<Outbox>, Node) {
    let outbox = Outbox::new(100_000);
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    let taking = async {
        let mut node = nodes.recv().await.unwrap();
        assert_eq!(node.takes(1).await, "slotSubscribe");
        assert_eq!(node.takes(2).await, "accountSubscribe");
        node
    };
    let (taken, node) = tokio::join!(hub.subscribe(&topic, joined, 7), taking);
    taken.unwrap();
    (outbox, node)
}

/// The slots that the client is told, as soon as there are so many.
async fn told(outbox: &Outbox, count: usize) -> Vec<u64> {
    let mut slots = Vec::new();
    while slots.len() < count {
        match outbox.take() {
            Some(item) => {
                let told: Value = serde_json::from_slice(&item.into_text()).unwrap();
                assert_eq!(told["params"]["subscription"], 7);
                slots.push(
                    told["params"]["result"]["context"]["slot"]
                        .as_u64()
                        .unwrap(),
                );
            }
            None => outbox.filled().await,
        }
    }
    slots
}

#[tokio::test(start_paused = true)]
async fn a_subscription_moves_to_the_reserve_when_its_socket_is_closed() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let (outbox, mut a) = subscribed(&hub, &mut nodes).await;
    assert_eq!(a.id, "a");
    a.tells(2, 10).await;
    let mut b = nodes.recv().await.unwrap();
    assert_eq!(b.takes(1).await, "slotSubscribe");
    assert_eq!(b.id, "b");
    assert_eq!(told(&outbox, 1).await, [10]);
    let lost_at = Instant::now();
    drop(a);
    assert_eq!(b.takes(5).await, "accountSubscribe");
    assert!(lost_at.elapsed() < LOOK, "nothing had to be opened");
    // What was told already is not told again.
    for slot in [9, 10, 11] {
        b.tells(5, slot).await;
    }
    assert_eq!(told(&outbox, 1).await, [11]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_on_which_nothing_comes_is_left_within_three_seconds() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let (_outbox, a) = subscribed(&hub, &mut nodes).await;
    let silent_since = Instant::now();
    let mut b = nodes.recv().await.unwrap();
    // It tells slots, as a node that lives does.
    let asked = b.hear().await;
    let taken = json!({ "jsonrpc": "2.0", "result": 1, "id": asked["id"] });
    b.say(taken).await;
    let mut slot = 1000;
    let moved = loop {
        let next = tokio::time::timeout(Duration::from_millis(400), b.hear()).await;
        match next {
            Ok(asked) => break asked,
            Err(_elapsed) => {
                slot += 1;
                let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
                let params = json!({ "result": info, "subscription": 1 });
                b.say(json!({ "method": "slotNotification", "params": params }))
                    .await;
            }
        }
    };
    assert_eq!(moved["method"], "accountSubscribe");
    let silence = silent_since.elapsed();
    let expected = Duration::from_secs(3)..Duration::from_millis(3200);
    assert!(expected.contains(&silence), "{silence:?}");
    drop(a);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_charges_is_asked_only_when_no_own_one_can_serve() {
    let (hub, mut nodes) = scripted(vec![bought("b", true), own("a")]);
    let (_outbox, a) = subscribed(&hub, &mut nodes).await;
    assert_eq!(a.id, "a");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(nodes.try_recv().is_err(), "and not kept in reserve either");
    drop(a);
    assert_eq!(nodes.recv().await.unwrap().id, "b");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_was_told_to_close_is_given_no_subscription() {
    let (opened, _nodes) = mpsc::unbounded_channel();
    let hub = hub_dialling(vec![bought("a", true)], Box::new(Scripted(opened)));
    let mut feeds = Feeds::new(Arc::clone(&hub));
    let snapshot = hub.published.load();
    let line = feeds.open(&snapshot.pool.upstreams()[0], Instant::now());
    feeds.opened(line);
    tokio::time::advance(Duration::from_secs(11)).await;
    // Idle for long enough; then nobody has heard of its end yet.
    feeds.look();
    assert!(feeds.lines[&line].orders.is_closed());
    feeds.look();
    feeds.add(Arc::new(Topic::new(1, account(), &hub.total)));
    let next = feeds.topics[&1].next;
    assert!(next.is_some_and(|next| next != line), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn what_no_upstream_has_is_refused_in_their_words() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let outbox = Outbox::new(100_000);
    let spec = SubscriptionSpec::read(SubscriptionKind::Vote, None).unwrap();
    let (topic, joined) = hub.join(&spec, 7, &outbox);
    let refusing = async {
        let mut kept = Vec::new();
        for _ in 0..2 {
            let mut node = nodes.recv().await.unwrap();
            node.takes(1).await;
            node.refuses().await;
            kept.push(node);
        }
        kept
    };
    let (taken, _kept) = tokio::join!(hub.subscribe(&topic, joined, 7), refusing);
    assert_eq!(taken.unwrap_err().code, -32601);
}

/// How long a client waits by default.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_asked_a_client_is_told_in_time() {
    let (hub, _nodes) = scripted(Vec::new());
    let outbox = Outbox::new(100_000);
    let started = Instant::now();
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    let refused = hub.subscribe(&topic, joined, 7).await.unwrap_err();
    assert_eq!(refused.code, -32005);
    assert!(is_timeout(started.elapsed()), "{:?}", started.elapsed());
}

fn is_timeout(took: Duration) -> bool {
    (SUBSCRIBE_TIMEOUT..SUBSCRIBE_TIMEOUT + LOOK).contains(&took)
}

/// Tells slots, and answers requests for accounts only after this long, or never. Notes when it was
/// asked for them.
async fn serve_late(mut node: Node, late: Option<Duration>, asked: Arc<Mutex<Vec<Instant>>>) {
    let mut slots = interval(Duration::from_millis(400));
    let mut slot = 1000;
    let mut owed = None;
    loop {
        let due = owed.as_ref().zip(late).map(|((at, _), late)| *at + late);
        let message = tokio::select! {
            message = node.socket.next() => message,
            _ = slots.tick() => {
                slot += 1;
                let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
                let params = json!({ "result": info, "subscription": 1 });
                node.say(json!({ "method": "slotNotification", "params": params })).await;
                continue;
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, id)) = owed.take() {
                    node.say(json!({ "jsonrpc": "2.0", "result": 9, "id": id })).await;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(text.as_str()).unwrap();
        if request["method"] == "accountSubscribe" {
            asked.lock().push(Instant::now());
            owed = Some((Instant::now(), request["id"].clone()));
        } else {
            node.say(json!({ "jsonrpc": "2.0", "result": 1, "id": request["id"] }))
                .await;
        }
    }
}

/// Subscribes where the only upstream answers late or never: the outcome, when it came, and how
/// often the upstream was asked.
async fn subscribed_late(late: Option<Duration>) -> (Result<(), i64>, Duration, usize) {
    let (hub, mut nodes) = scripted(vec![own("a")]);
    let asked = Arc::default();
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            tokio::spawn(serve_late(node, late, Arc::clone(&noted)));
        }
    });
    let outbox = Outbox::new(100_000);
    let started = Instant::now();
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    let outcome = hub.subscribe(&topic, joined, 7).await;
    let took = started.elapsed();
    hub.leave(&topic, 7);
    let outcome = outcome.map_err(|error| error.code);
    (outcome, took, asked.lock().len())
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_does_not_answer_has_not_refused() {
    let (outcome, took, asked) = subscribed_late(None).await;
    assert_eq!((outcome, asked), (Err(-32005), 1));
    assert!(is_timeout(took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_answers_late_is_waited_for_and_asked_once() {
    let late = Duration::from_secs(8);
    let (outcome, took, asked) = subscribed_late(Some(late)).await;
    assert_eq!((outcome, asked), (Ok(()), 1));
    assert!(took >= late && took < SUBSCRIBE_TIMEOUT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn another_upstream_is_tried_while_there_is_time() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let outbox = Outbox::new(100_000);
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    let started = Instant::now();
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            let late = (node.id == "b").then_some(Duration::ZERO);
            tokio::spawn(serve_late(node, late, Arc::default()));
        }
    });
    hub.subscribe(&topic, joined, 7).await.unwrap();
    assert!(started.elapsed() < SUBSCRIBE_TIMEOUT * 2 / 3);
}

/// A node as Agave is: equal subscriptions on a socket have the same number, and are ended together.
/// Answers to accounts are held back until they are released.
async fn serve_as_agave(mut node: Node, released: Arc<tokio::sync::Notify>) {
    let mut ticks = interval(Duration::from_millis(200));
    let (mut slot, mut is_live) = (1000, false);
    let mut held = Some(Vec::new());
    loop {
        let message = tokio::select! {
            message = node.socket.next() => message,
            () = released.notified() => {
                for id in held.take().into_iter().flatten() {
                    node.say(json!({ "jsonrpc": "2.0", "result": 9, "id": id })).await;
                }
                continue;
            }
            _ = ticks.tick() => {
                slot += 1;
                let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
                let params = json!({ "result": info, "subscription": 1 });
                node.say(json!({ "method": "slotNotification", "params": params })).await;
                if is_live {
                    node.tells(9, slot).await;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(text.as_str()).unwrap();
        let id = request["id"].clone();
        let number = match request["method"].as_str().unwrap() {
            "accountSubscribe" => {
                is_live = true;
                9
            }
            "accountUnsubscribe" => {
                is_live = false;
                continue;
            }
            _ => 1,
        };
        match &mut held {
            Some(held) if number == 9 => held.push(id),
            _ => {
                node.say(json!({ "jsonrpc": "2.0", "result": number, "id": id }))
                    .await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_before_the_answer_is_not_deaf() {
    let (hub, mut nodes) = scripted(vec![own("a")]);
    let released = Arc::new(tokio::sync::Notify::new());
    let release = Arc::clone(&released);
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            tokio::spawn(serve_as_agave(node, Arc::clone(&released)));
        }
    });
    let [first, second] = [(); 2].map(|()| Outbox::new(100_000));
    let (topic, _soon) = hub.join(&account(), 6, &first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    hub.leave(&topic, 6);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (topic, joined) = hub.join(&account(), 7, &second);
    let releasing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        release.notify_one();
    };
    let (taken, ()) = tokio::join!(hub.subscribe(&topic, joined, 7), releasing);
    taken.unwrap();
    // Long after the first subscription would have been ended.
    tokio::time::sleep(Duration::from_secs(2)).await;
    while second.take().is_some() {}
    let hearing = tokio::time::timeout(Duration::from_secs(1), told(&second, 1));
    assert_eq!(hearing.await.expect("it is told").len(), 1);
}

/// Tells slots and takes everything but, if it `lacks` them, accounts; notes who was asked for one.
async fn serve(mut node: Node, lacks: bool, asked: Arc<Mutex<Vec<String>>>) {
    let mut slots = interval(Duration::from_millis(400));
    let mut slot = 1000;
    loop {
        let message = tokio::select! {
            message = node.socket.next() => message,
            _ = slots.tick() => {
                slot += 1;
                // The beacon is asked for first, and takes its request's id.
                let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
                let params = json!({ "result": info, "subscription": 1 });
                node.say(json!({ "method": "slotNotification", "params": params })).await;
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(text.as_str()).unwrap();
        let account = request["method"] == "accountSubscribe";
        if account {
            asked.lock().push(node.id.clone());
        }
        let id = &request["id"];
        node.say(if account && lacks {
            let error = json!({ "code": -32601, "message": "Method not found" });
            json!({ "jsonrpc": "2.0", "error": error, "id": id })
        } else {
            json!({ "jsonrpc": "2.0", "result": id, "id": id })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_better_upstream_that_lacks_a_subscription_sends_it_to_and_fro_between_no_others() {
    let upstreams = vec![own("a"), bought("b", false), bought("c", false)];
    let (hub, mut nodes) = scripted(upstreams);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            let lacks = node.id == "a";
            tokio::spawn(serve(node, lacks, Arc::clone(&noted)));
        }
    });
    let outbox = Outbox::new(100_000);
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    hub.subscribe(&topic, joined, 7).await.unwrap();
    // Long enough to be proven, many times.
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(*asked.lock(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn each_upstream_that_does_not_charge_is_heard_of_its_slots_if_that_is_wanted() {
    let (opened, mut nodes) = mpsc::unbounded_channel();
    let upstreams = vec![own("a"), bought("b", false), bought("c", true)];
    let dial = Box::new(Scripted(opened));
    let hub = hub_dialling_with(upstreams, dial, |config| {
        config.websocket.feed.track_slots = true;
    });
    hub.start(&Handle::current());
    let mut heard = Vec::new();
    for _ in 0..2 {
        let mut node = nodes.recv().await.unwrap();
        assert_eq!(node.takes(1).await, "slotSubscribe");
        heard.push(node);
    }
    heard.sort_by(|one, other| one.id.cmp(&other.id));
    let ids: Vec<_> = heard.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    let snapshot = hub.published.load();
    let before = snapshot
        .pool
        .tip(perijove_core::Commitment::Processed)
        .unwrap();
    let slot = before.0 + 1;
    let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
    let params = json!({ "result": info, "subscription": 1 });
    heard[1]
        .say(json!({ "method": "slotNotification", "params": params }))
        .await;
    let upstream = snapshot.pool.upstream("b").unwrap();
    while upstream.state().slot(perijove_core::Commitment::Processed) < Some(Slot(slot)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // One that is lost is opened again, after a while.
    let lost = heard.remove(0);
    drop(lost);
    let mut again = nodes.recv().await.unwrap();
    assert_eq!(again.takes(1).await, "slotSubscribe");
    assert_eq!(again.id, "a");
}

/// Upstreams that offer no WebSocket.
struct Deaf;

impl SocketDialer for Deaf {
    fn dial<'a>(
        &'a self,
        _upstream: &'a Arc<Upstream>,
        _attempt: usize,
    ) -> Pin<Box<dyn Future<Output = Dialed> + Send + 'a>> {
        let refused = DialError::connection(FaultKind::ConnectRefused);
        Box::pin(async move { Err(refused) })
    }
}

#[tokio::test(start_paused = true)]
async fn upstreams_without_a_socket_are_told_of_with_cause_and_cure() {
    let hub = hub_dialling(vec![own("a"), own("b")], Box::new(Deaf));
    hub.start(&Handle::current());
    let outbox = Outbox::new(100_000);
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    hub.subscribe(&topic, joined, 7).await.unwrap_err();
    let told = &hub.status()["upstreams"];
    assert_eq!(told["nobody_serves"], true);
    let ids: Vec<_> = (0..2)
        .map(|at| &told["unreachable"][at]["upstream"])
        .collect();
    assert_eq!(ids, ["a", "b"]);
    let cause = "ws://node:8900 (connect-refused), ws://node:8899 (connect-refused)";
    assert_eq!(told["unreachable"][0]["cause"], cause);
    assert!(
        told["unreachable"][0]["cure"]
            .as_str()
            .unwrap()
            .contains("`ws_url`")
    );
}
