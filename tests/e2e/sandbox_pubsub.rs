//! The stand-in cluster over WebSocket, asked directly: subscriptions over the moving chain, and the
//! faults of its sockets. Its clock stands still but for what a test moves it, so that what comes is
//! known.

mod faults;

use futures::future::join_all;
use perijove_tests::client::websocket::{Heard, Notification, WebSocket};
use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::fault::Garbage;
use perijove_tests::sandbox::pubsub::{Offer, mentioned_in};
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Settings, chain, transaction};
use perijove_tests::wait::eventually;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A slot after which there are blocks for a while.
const START: u64 = 41 * 7_000_000 + 20;

async fn cluster(offer: Offer) -> Sandbox {
    let cluster = Sandbox::with(Settings {
        validators: 2,
        moving: true,
        start_slot: START,
        pubsub: offer,
        ..Settings::default()
    })
    .await
    .unwrap();
    cluster.cluster().clock.stop();
    cluster
}

async fn socket(cluster: &Sandbox) -> WebSocket {
    let url = cluster.validator(0).websocket_url();
    WebSocket::open(&url).await.unwrap()
}

async fn scene() -> (Sandbox, WebSocket) {
    let cluster = cluster(Offer::default()).await;
    let socket = socket(&cluster).await;
    (cluster, socket)
}

/// A cluster and a socket that is told of slots.
async fn told_of_slots() -> (Sandbox, WebSocket) {
    let (cluster, mut socket) = scene().await;
    socket.subscribe("slotSubscribe", &json!([])).await;
    (cluster, socket)
}

fn slots(notifications: &[Notification]) -> Vec<u64> {
    let slot = |one: &Notification| one.result["slot"].as_u64().or(one.slot());
    notifications.iter().filter_map(slot).collect()
}

fn advance(cluster: &Sandbox, slots: u64) -> u64 {
    cluster.cluster().clock.advance(slots)
}

fn error(answer: &Value) -> (i64, &str) {
    let error = &answer["error"];
    (
        error["code"].as_i64().unwrap(),
        error["message"].as_str().unwrap(),
    )
}

#[tokio::test]
async fn both_ports_speak_websocket_and_the_second_nothing_else() {
    let cluster = cluster(Offer::default()).await;
    let validator = cluster.validator(0);
    let second = validator.websocket_url();
    let first = validator.url().replace("http", "ws") + "/any/path?api-key=abc";
    for url in [&first, &second] {
        let mut socket = WebSocket::open(url).await.unwrap();
        let version = socket.call("getVersion", &json!([])).await;
        assert!(version["result"]["solana-core"].is_string(), "{version}");
    }
    assert_eq!(
        validator.counts().seen("webSocket")[0].target,
        "/any/path?api-key=abc"
    );
    let plain = second.replace("ws", "http");
    let reply = client::keep_alive().get(plain).send().await.unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(validator.pubsub().accepted, 2);
    assert_eq!(validator.hits_total(), 0);
}

#[tokio::test]
async fn a_cluster_may_speak_no_websocket() {
    let offer = Offer {
        websocket: false,
        ..Offer::default()
    };
    let cluster = cluster(offer).await;
    let url = cluster.validator(0).url().replace("http", "ws");
    assert!(WebSocket::open(&url).await.is_err());
}

#[tokio::test]
async fn slots_roots_and_updates_come_in_order() {
    let (cluster, mut socket) = scene().await;
    let slot_id = socket.subscribe("slotSubscribe", &json!([])).await;
    let root_id = socket.subscribe("rootSubscribe", &json!([])).await;
    let tip = advance(&cluster, 3);
    let all = socket.notifications(6).await;
    let of = |id: u64| {
        let own = all.iter().filter(move |one| one.subscription == id);
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(slots(&of(slot_id)), [tip - 2, tip - 1, tip]);
    let first = &of(slot_id)[0];
    assert_eq!(first.method, "slotNotification");
    assert_eq!(first.result["parent"], json!(tip - 3));
    let roots: Vec<_> = of(root_id).iter().map(|one| one.result.clone()).collect();
    assert_eq!(roots, [json!(tip - 33), json!(tip - 32), json!(tip - 31)]);
    let updates = socket.subscribe("slotsUpdatesSubscribe", &json!([])).await;
    advance(&cluster, 1);
    let frozen = loop {
        let next = socket.notification().await;
        if next.subscription == updates && next.result["type"] == "frozen" {
            break next;
        }
    };
    assert_eq!(frozen.result["slot"], json!(tip + 1));
}

#[tokio::test]
async fn an_account_is_told_at_its_commitment_as_a_read_at_that_slot_says() {
    let (cluster, mut socket) = scene().await;
    let key = keys(Nature::Moving, 1).pop().unwrap();
    for level in ["processed", "confirmed", "finalized"] {
        let params = json!([key, {"commitment": level, "encoding": "base64"}]);
        let id = socket.subscribe("accountSubscribe", &params).await;
        advance(&cluster, 4);
        let told = socket.notifications(4).await;
        for one in &told {
            assert_eq!(
                (one.subscription, one.method.as_str()),
                (id, "accountNotification")
            );
            let moment = chain::Moment {
                slot: one.slot().unwrap(),
                line: chain::Line::MAIN,
            };
            let said = cluster.said_at(moment, "getAccountInfo", &params).unwrap();
            assert_eq!(one.result["value"], said["value"], "{level}");
        }
        let newest = cluster.validator(0).sight();
        let newest = match level {
            "processed" => newest.processed,
            "confirmed" => newest.confirmed,
            _ => newest.finalized,
        };
        assert_eq!(slots(&told), ((newest - 3)..=newest).collect::<Vec<_>>());
        let gone = socket.call("accountUnsubscribe", &json!([id])).await;
        assert_eq!(gone["result"], true);
        advance(&cluster, 4);
        assert!(socket.pending().await.is_empty());
    }
    assert_eq!(cluster.validator(0).pubsub().live_total(), 0);
}

#[tokio::test]
async fn a_program_is_told_account_by_account_through_its_filters() {
    let (cluster, mut socket) = scene().await;
    let key = keys(Nature::Moving, 1).pop().unwrap();
    let subscribe = async |socket: &mut WebSocket, filters: Value| {
        let config = json!({"commitment": "processed", "encoding": "base64", "filters": filters});
        socket
            .subscribe("programSubscribe", &json!([key, config]))
            .await
    };
    let all = subscribe(&mut socket, json!([])).await;
    let none = subscribe(&mut socket, json!([{"dataSize": 5}])).await;
    let slot = advance(&cluster, 1);
    let told = socket.notification().await;
    assert_eq!((told.subscription, told.slot()), (all, Some(slot)));
    assert_eq!(told.result["value"]["account"]["owner"], json!(key));
    let rest = socket.pending().await;
    assert!(rest.iter().all(|one| one.subscription != none));
}

#[tokio::test]
async fn a_transaction_is_told_once_and_its_subscription_is_over() {
    let (cluster, mut socket) = scene().await;
    let bytes = transaction::sample(4, "");
    let signature = transaction::Transaction::read(&bytes).unwrap().signature;
    let config = json!({"commitment": "confirmed", "enableReceivedNotification": true});
    let id = socket
        .subscribe("signatureSubscribe", &json!([signature, config]))
        .await;
    advance(&cluster, 1);
    assert!(socket.pending().await.is_empty());
    cluster.cluster().land(&bytes).unwrap();
    advance(&cluster, 4);
    let [received, processed] = &socket.notifications(2).await[..] else {
        panic!("two were asked for");
    };
    assert_eq!(received.result["value"], "receivedSignature");
    assert_eq!(processed.result["value"], json!({"err": null}));
    assert_eq!(
        processed.slot(),
        Some(cluster.validator(0).sight().confirmed)
    );
    let gone = socket.call("signatureUnsubscribe", &json!([id])).await;
    assert_eq!(error(&gone), (-32602, "Invalid subscription id."));
    // One that is there already is told with the next slot, and one that failed says why.
    let failed = transaction::sample(5, "");
    let why = json!({"InstructionError": [0, {"Custom": 1}]});
    let failed = cluster
        .cluster()
        .land_with(&failed, Some(why.clone()))
        .unwrap();
    advance(&cluster, 1);
    let params = json!([failed, {"commitment": "processed"}]);
    socket.subscribe("signatureSubscribe", &params).await;
    advance(&cluster, 1);
    let told = socket.notification().await;
    assert_eq!(told.result["value"]["err"], why);
    assert_eq!(cluster.validator(0).pubsub().live_total(), 0);
}

#[tokio::test]
async fn logs_tell_every_transaction_and_those_that_mention_an_account() {
    let (cluster, mut socket) = scene().await;
    let config = json!({"commitment": "processed"});
    let all = socket
        .subscribe("logsSubscribe", &json!(["all", config]))
        .await;
    let key = mentioned_in(cluster.cluster().clock.tip() + 2);
    let filter = json!([{"mentions": [key]}, config]);
    let some = socket.subscribe("logsSubscribe", &filter).await;
    advance(&cluster, 3);
    let told = socket.notifications(4).await;
    let of = |id: u64| told.iter().filter(move |one| one.subscription == id);
    assert_eq!((of(all).count(), of(some).count()), (3, 1));
    let named = of(some).next().unwrap();
    assert!(of(all).any(|one| one.result == named.result));
}

#[tokio::test]
async fn blocks_and_votes_are_offered_only_when_switched_on() {
    let (_cluster, mut socket) = scene().await;
    for method in [
        "blockSubscribe",
        "blockUnsubscribe",
        "voteSubscribe",
        "getSlot",
    ] {
        let answer = socket.call(method, &json!(["all"])).await;
        assert_eq!(error(&answer), (-32601, "Method not found"), "{method}");
    }
    let offer = Offer {
        blocks: true,
        votes: true,
        ..Offer::default()
    };
    let cluster = cluster(offer).await;
    let mut socket = self::socket(&cluster).await;
    let config = json!({"commitment": "confirmed", "transactionDetails": "none"});
    let id = socket
        .subscribe("blockSubscribe", &json!(["all", config]))
        .await;
    socket.subscribe("voteSubscribe", &json!([])).await;
    advance(&cluster, 3);
    let block = loop {
        let next = socket.notification().await;
        if next.subscription == id {
            break next;
        }
        assert_eq!(next.method, "voteNotification");
    };
    let slot = block.slot().unwrap();
    assert_eq!(
        block.result["value"]["block"]["blockhash"],
        json!(chain::blockhash(slot))
    );
}

#[tokio::test]
async fn equal_subscriptions_share_an_id_and_end_together() {
    let (cluster, mut socket) = scene().await;
    let first = socket.subscribe("slotSubscribe", &json!([])).await;
    let again = socket.subscribe("slotSubscribe", &json!([])).await;
    let mut other = self::socket(&cluster).await;
    let elsewhere = other.subscribe("slotSubscribe", &json!([])).await;
    assert_eq!((first, first), (again, elsewhere));
    assert_eq!(cluster.validator(0).pubsub().live("slotSubscribe"), 2);
    advance(&cluster, 1);
    assert_eq!(socket.notifications(1).await.len(), 1);
    assert!(socket.pending().await.is_empty());
    socket.call("slotUnsubscribe", &json!([first])).await;
    let gone = socket.call("slotUnsubscribe", &json!([first])).await;
    assert_eq!(error(&gone), (-32602, "Invalid subscription id."));
    assert_eq!(other.notification().await.subscription, elsewhere);
    drop(other);
    eventually("the socket to be gone", || {
        let tally = cluster.validator(0).pubsub();
        (tally.open, tally.live_total()) == (1, 0)
    })
    .await;
}

#[tokio::test]
async fn messages_are_json_rpc_and_no_longer_than_a_node_takes() {
    let (_cluster, mut socket) = scene().await;
    let ping = r#"{"jsonrpc":"2.0","method":"ping"}"#;
    socket.send(Message::text(ping)).await.unwrap();
    let batch = r#"[{"jsonrpc":"2.0","id":"a","method":"slotSubscribe"},{"jsonrpc":"2.0","id":"b","method":"no"}]"#;
    socket.send(Message::text(batch)).await.unwrap();
    let Heard::Json(answers) = socket.hear().await else {
        panic!("no answer to a batch");
    };
    assert_eq!(answers[0]["id"], "a");
    assert_eq!(answers[1]["error"]["code"], -32601);
    socket.ping().await;
    socket.send(Message::text("{")).await.unwrap();
    let broken = socket.hear().await;
    assert!(matches!(&broken, Heard::Json(json) if json["error"]["code"] == -32700));
    let long = format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, "a".repeat(4_096));
    socket.send(Message::text(long)).await.unwrap();
    assert!(matches!(socket.hear().await, Heard::Broken(_)));
}

#[tokio::test]
async fn many_sockets_are_told_the_same() {
    let cluster = cluster(Offer::default()).await;
    let mut sockets = Vec::new();
    for _ in 0..50 {
        let mut socket = socket(&cluster).await;
        socket.subscribe("slotSubscribe", &json!([])).await;
        sockets.push(socket);
    }
    let tip = advance(&cluster, 20);
    let told = join_all(sockets.iter_mut().map(|socket| socket.notifications(20))).await;
    let expected: Vec<_> = ((tip - 19)..=tip)
        .filter(|slot| !chain::skipped(*slot))
        .collect();
    for one in told {
        assert_eq!(slots(&one), expected);
    }
    assert_eq!(cluster.validator(0).pubsub().open, 50);
}
