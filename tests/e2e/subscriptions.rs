//! Subscriptions through the gateway: shared upstream, answered as a node answers, and alive when
//! the upstream that told them is not.

mod bounds;
mod departure;
mod failovers;
mod garbled;
mod hot;
mod large_program;
mod losses;
mod moves;
mod never_back;
mod not_from_here;
mod real_clients;
mod slots;
mod told;
mod unopened;

use perijove_tests::client::websocket::{Heard, Notification, WebSocket};
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::pubsub::Offer;
use perijove_tests::sandbox::{Kind, Sandbox, Settings};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

use crate::scene::{all_probed, equals, ranked};

/// A moving cluster and a gateway in front of it.
pub struct Watched {
    pub cluster: Sandbox,
    pub gateway: Gateway,
}

impl Watched {
    /// `v0` is heard first, `v1` when `v0` is no use.
    pub async fn ranked() -> Self {
        Self::with(Settings::default(), ranked).await
    }

    pub async fn with(settings: Settings, config: impl Fn(&Sandbox) -> GatewayConfig) -> Self {
        let cluster = cluster(settings).await;
        let gateway = Gateway::start(config(&cluster)).await;
        all_probed(&gateway).await;
        Self { cluster, gateway }
    }

    pub async fn socket(&self) -> WebSocket {
        let url = format!("ws://{}/", self.gateway.address());
        WebSocket::open(&url).await.unwrap()
    }

    /// Subscriptions of this method that upstream `index` tells, the gateway's own among them.
    pub fn live(&self, index: usize, method: &str) -> u64 {
        self.cluster.validator(index).pubsub().live(method)
    }
}

async fn cluster(settings: Settings) -> Sandbox {
    let settings = Settings {
        validators: 2,
        moving: true,
        slot_time: Duration::from_millis(200),
        start_slot: 41 * 7_000_000 + 20,
        ..settings
    };
    Sandbox::with(settings).await.unwrap()
}

fn error(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (
        error["code"].as_i64().unwrap_or(0),
        error["message"].as_str().unwrap_or("no error"),
    )
}

pub fn account() -> String {
    keys(Nature::Moving, 1).pop().unwrap()
}

#[tokio::test]
async fn clients_that_ask_for_the_same_share_a_subscription_and_have_ids_of_their_own() {
    let scene = Watched::ranked().await;
    let key = account();
    let spellings = [
        json!([key, {"encoding": "base64", "commitment": "confirmed"}]),
        json!([key, {"commitment": "confirmed", "encoding": "base64", "dataSlice": null}]),
    ];
    let mut sockets = vec![scene.socket().await, scene.socket().await];
    let mut ids = Vec::new();
    for socket in &mut sockets {
        for spelling in &spellings {
            ids.push(socket.subscribe("accountSubscribe", spelling).await);
        }
    }
    let mut different = ids.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 4, "{ids:?}");
    assert!(ids.iter().all(|id| *id < 1 << 53));
    assert_eq!(scene.live(0, "accountSubscribe"), 1);
    for socket in &mut sockets {
        let told = socket.notifications(4).await;
        let (one, two): (Vec<_>, Vec<_>) = told
            .iter()
            .map(|one| (one.subscription, &one.result))
            .partition(|(id, _)| *id == told[0].subscription);
        let results = |told: &[(u64, &Value)]| -> Vec<Value> {
            told.iter().map(|(_, result)| (*result).clone()).collect()
        };
        assert_eq!(results(&one), results(&two), "both are told the same");
    }
    // The last one to leave ends it upstream.
    for (place, id) in ids.iter().enumerate() {
        let socket = &mut sockets[place / 2];
        let ended = socket.call("accountUnsubscribe", &json!([id])).await;
        assert_eq!(ended["result"], true);
        let again = socket.call("accountUnsubscribe", &json!([id])).await;
        assert_eq!(error(&again), (-32602, "Invalid subscription id."));
        if place < 3 {
            assert_eq!(scene.live(0, "accountSubscribe"), 1);
        }
    }
    eventually("it to be ended upstream", || {
        scene.live(0, "accountSubscribe") == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_subscriptions_along_and_nobody_elses() {
    let scene = Watched::ranked().await;
    let mut stays = scene.socket().await;
    let mut leaves = scene.socket().await;
    stays.subscribe("rootSubscribe", &json!([])).await;
    leaves.subscribe("rootSubscribe", &json!([])).await;
    let foreign = leaves.subscribe("slotSubscribe", &json!([])).await;
    let refused = stays.call("slotUnsubscribe", &json!([foreign])).await;
    assert_eq!(error(&refused), (-32602, "Invalid subscription id."));
    let params = json!([account()]);
    leaves.subscribe("accountSubscribe", &params).await;
    drop(leaves);
    eventually("its own to be ended", || {
        scene.live(0, "accountSubscribe") == 0
    })
    .await;
    stays.notifications(2).await;
    assert_eq!(scene.live(0, "rootSubscribe"), 1);
}

#[tokio::test]
async fn every_subscription_of_a_node_is_told() {
    let offer = Offer {
        blocks: true,
        votes: true,
        ..Offer::default()
    };
    let settings = Settings {
        pubsub: offer,
        ..Settings::default()
    };
    let scene = Watched::with(settings, ranked).await;
    let mut socket = scene.socket().await;
    let program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    for (method, params) in [
        ("slotSubscribe", json!([])),
        ("rootSubscribe", json!([])),
        ("slotsUpdatesSubscribe", json!([])),
        ("accountSubscribe", json!([account()])),
        ("logsSubscribe", json!(["all", {"commitment": "processed"}])),
        (
            "blockSubscribe",
            json!(["all", {"commitment": "confirmed"}]),
        ),
    ] {
        let id = socket.subscribe(method, &params).await;
        let mut told = socket.notification().await;
        while told.subscription != id {
            told = socket.notification().await;
        }
        let named = method.replace("Subscribe", "Notification");
        assert_eq!(told.method, named);
        let ended = socket
            .call(&method.replace("Subscribe", "Unsubscribe"), &json!([id]))
            .await;
        assert_eq!(ended["result"], true, "{method}");
    }
    for (method, params) in [
        ("programSubscribe", json!([program, {"encoding": "base64"}])),
        ("voteSubscribe", json!([])),
    ] {
        socket.subscribe(method, &params).await;
    }
}

#[tokio::test]
async fn what_a_node_refuses_is_refused_with_its_words() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    for (method, params, words) in [
        (
            "accountSubscribe",
            json!(["x"]),
            (-32602, "Invalid Request: Invalid pubkey provided"),
        ),
        (
            "logsSubscribe",
            json!([{"mentions": []}]),
            (-32602, "Invalid Request: Only 1 address supported"),
        ),
        // These nodes offer neither.
        (
            "blockSubscribe",
            json!(["all"]),
            (-32601, "Method not found"),
        ),
        ("voteSubscribe", json!([]), (-32601, "Method not found")),
        (
            "slotUnsubscribe",
            json!([7]),
            (-32602, "Invalid subscription id."),
        ),
    ] {
        let answer = socket.call(method, &params).await;
        assert_eq!(error(&answer), words, "{method}");
    }
    // Nobody was asked for what makes no sense, and each for a block only once.
    let subscribed =
        |index: usize, method: &str| scene.cluster.validator(index).pubsub().subscribed(method);
    assert_eq!(subscribed(0, "accountSubscribe"), 0);
    socket.call("blockSubscribe", &json!(["all"])).await;
    let refused: Vec<_> = (0..2)
        .map(|index| scene.cluster.validator(index).pubsub().refused)
        .collect();
    assert_eq!(refused, [2, 2], "block and vote, each once");
}

#[tokio::test]
async fn an_upstream_that_takes_no_more_is_passed_over() {
    let scene = Watched::ranked().await;
    // Its first subscription is the gateway's own.
    scene.cluster.validator(0).fault(Kind::WsRefuse { from: 2 });
    let mut socket = scene.socket().await;
    let params = json!([account()]);
    socket.subscribe("accountSubscribe", &params).await;
    socket.notification().await;
    assert_eq!(scene.live(1, "accountSubscribe"), 1);
    assert_eq!(scene.live(0, "accountSubscribe"), 0);
}

#[tokio::test]
async fn an_upstream_has_only_so_many_sockets_and_subscriptions_and_the_next_gets_the_rest() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster)
            .set("websocket.feed.sockets", 2)
            // One of them is the gateway's own.
            .set("websocket.feed.subscriptions", 3)
            .set("websocket.feed.standby", false)
    })
    .await;
    let mut socket = scene.socket().await;
    for key in keys(Nature::Moving, 7) {
        socket.subscribe("accountSubscribe", &json!([key])).await;
    }
    until("each to have its share", async || {
        let status = scene.gateway.status().await;
        let sockets = status["websocket"]["upstreams"]["sockets"].as_array()?;
        let mut shares: Vec<_> = sockets
            .iter()
            .map(|one| (one["upstream"].as_str(), one["subscriptions"].as_u64()))
            .collect();
        shares.sort_unstable();
        let expected = [("v0", 2), ("v0", 2), ("v1", 1), ("v1", 2)];
        let expected = expected.map(|(upstream, count)| (Some(upstream), Some(count)));
        (shares == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_socket_has_only_so_many_subscriptions() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.subscriptions", 2)
    })
    .await;
    let mut socket = scene.socket().await;
    let first = socket.subscribe("slotSubscribe", &json!([])).await;
    socket.subscribe("rootSubscribe", &json!([])).await;
    let refused = socket.call("slotSubscribe", &json!([])).await;
    let words = "Internal Error: Subscription refused. Node subscription limit reached";
    assert_eq!(error(&refused), (-32603, words));
    socket.call("slotUnsubscribe", &json!([first])).await;
    socket.subscribe("slotSubscribe", &json!([])).await;
    let mut other = scene.socket().await;
    other.subscribe("slotSubscribe", &json!([])).await;
}

#[tokio::test]
async fn subscriptions_in_a_batch_are_known_before_they_tell() {
    let scene = Watched::ranked().await;
    let mut socket = scene.socket().await;
    let batch = r#"[{"jsonrpc":"2.0","id":"a","method":"slotSubscribe"},
        {"jsonrpc":"2.0","id":7,"method":"getHealth"},{"jsonrpc":"2.0","method":"rootSubscribe"},
        {"jsonrpc":"2.0","method":"getVersion"},
        {"jsonrpc":"2.0","id":null,"method":"slotSubscribe","params":[1]}]"#;
    socket.send(Message::text(batch)).await.unwrap();
    let Heard::Json(answers) = socket.hear().await else {
        panic!("no answers");
    };
    assert_eq!(answers[0]["id"], "a");
    assert_eq!(answers[1]["result"], "ok");
    assert_eq!(answers[2]["error"]["code"], -32602);
    assert_eq!(answers.as_array().unwrap().len(), 3, "{answers}");
    let told = socket.notification().await;
    assert_eq!(json!(told.subscription), answers[0]["result"]);
    let asked: u64 = [0, 1]
        .map(|index| scene.cluster.validator(index).hits("getVersion"))
        .iter()
        .sum();
    assert_eq!(asked, 0, "a notification runs nothing");
}

/// Sends a batch and returns what is answered to it.
async fn answers_to(socket: &mut WebSocket, batch: &Value) -> Value {
    socket.send(Message::text(batch.to_string())).await.unwrap();
    loop {
        match socket.hear().await {
            Heard::Json(notification) if notification.get("params").is_some() => {}
            Heard::Json(answers) => return answers,
            other => panic!("{other:?}"),
        }
    }
}

fn call(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn a_batch_with_subscriptions_holds_no_more_answers_than_a_socket_may() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("limits.unsent_per_connection", "1MiB")
    })
    .await;
    let mut socket = scene.socket().await;
    let large = json!([{"bytes": 400_000}]);
    let mut batch = vec![call(0, "slotSubscribe", &json!([]))];
    batch.extend((1..10).map(|id| call(id, "sandboxPad", &large)));
    let answers = answers_to(&mut socket, &json!(batch)).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 10);
    for taken in &answers[1..3] {
        assert!(taken["error"].is_null(), "{}", taken["error"]);
    }
    for (id, refused) in answers.iter().enumerate().skip(3) {
        assert_eq!(refused["id"], id);
        assert!(refused["error"].is_object(), "{refused}");
    }
    socket.notifications(2).await;
}

#[tokio::test]
async fn a_plan_bounds_batches_with_subscriptions_too() {
    let scene = Watched::with(Settings::default(), |cluster| {
        let plan = json!([{"id": "small", "max_batch": 2}]);
        ranked(cluster)
            .set("plans", plan)
            .set("anonymous_plan", "small")
    })
    .await;
    let mut socket = scene.socket().await;
    let subscribe = |id| call(id, "slotSubscribe", &json!([]));
    let taken = answers_to(&mut socket, &json!([subscribe(1), subscribe(2)])).await;
    assert!(taken[1]["result"].is_u64(), "{taken}");
    let third = call(3, "rootSubscribe", &json!([]));
    let batch = json!([subscribe(1), subscribe(2), third]);
    let refused = answers_to(&mut socket, &batch).await;
    assert!(refused["error"].is_object(), "{refused}");
    assert_eq!(scene.live(0, "rootSubscribe"), 0);
}

#[tokio::test]
async fn who_joins_late_is_told_the_present_value_if_that_is_switched_on() {
    let scene = Watched::with(Settings::default(), |cluster| {
        ranked(cluster).set("websocket.replay", true)
    })
    .await;
    let params = json!([account(), {"commitment": "processed"}]);
    let mut first = scene.socket().await;
    first.subscribe("accountSubscribe", &params).await;
    let told = first.notification().await;
    scene.cluster.cluster().clock.stop();
    // Nothing changes any more, so what comes is the present value.
    let mut late = scene.socket().await;
    late.subscribe("accountSubscribe", &params).await;
    let present: Notification = late.notification().await;
    assert!(present.slot() >= told.slot());
}

#[tokio::test]
async fn equal_upstreams_share_the_subscriptions() {
    let scene = Watched::with(Settings::default(), equals).await;
    let mut socket = scene.socket().await;
    for key in keys(Nature::Moving, 10) {
        socket.subscribe("accountSubscribe", &json!([key])).await;
    }
    let each = [0, 1].map(|index| scene.live(index, "accountSubscribe"));
    assert_eq!(each, [5, 5]);
}
