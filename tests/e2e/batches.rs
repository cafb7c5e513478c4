//! Batches: split, sent concurrently, answered in the order of the request.

use perijove_tests::sandbox::Fault;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

fn echo(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "sandboxEcho", "params": [id]})
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_calls_whoever_is_faster() {
    let scene = Scene::equals(2).await;
    for validator in scene.cluster.validators() {
        validator.fault(Fault::slow(150).on("getBalance"));
    }
    let batch = json!([
        {"jsonrpc": "2.0", "id": "slow", "method": "getBalance", "params": [KEY]},
        echo(5), echo(4), echo(5),
        {"jsonrpc": "2.0", "id": null, "method": "sandboxEcho", "params": ["last"]},
    ]);
    let reply = scene.gateway.post(batch.to_string()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().ends_with("]\n"));
    let answers = reply.json();
    let ids: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(json!(ids), json!(["slow", 5, 4, 5, null]));
    assert!(answers[0]["result"]["value"].is_u64());
    assert_eq!(answers[2]["result"], json!([4]));
    assert_eq!(answers[4]["result"], json!(["last"]));
}

#[tokio::test]
async fn each_call_has_its_own_outcome() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::status(500).on("getBalance"));
    for validator in scene.cluster.validators() {
        validator.fault(Fault::rpc(-32602).on("getBlockHeight"));
    }
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [KEY]},
        {"jsonrpc": "2.0", "id": 2, "method": "getBlockHeight"},
        {"jsonrpc": "2.0", "id": 3, "method": "getNothing", "params": []},
        {"jsonrpc": "1.0", "id": 4, "method": "getSlot"},
        {"foo": "bar"},
        echo(6),
    ]);
    let answers = scene.gateway.post(batch.to_string()).await.json();
    assert_eq!(answers.as_array().unwrap().len(), 6, "{answers}");
    assert!(answers[0]["result"]["value"].is_u64(), "{answers}");
    assert_eq!(answers[1]["error"]["code"], -32602);
    assert_eq!(answers[2]["error"]["code"], -32601);
    assert_eq!(answers[3]["error"]["code"], -32600);
    assert_eq!(
        (&answers[4]["error"]["code"], &answers[4]["id"]),
        (&json!(-32600), &json!(null))
    );
    assert_eq!(answers[5]["result"], json!([6]));
    assert_eq!(scene.hits("getBalance"), [1, 1]);
    assert_eq!(scene.hits("getBlockHeight"), [1, 0]);
}

#[tokio::test]
async fn calls_travel_one_by_one() {
    let scene = Scene::equals(1).await;
    let batch: Vec<_> = (0..30).map(echo).collect();
    let reply = scene.gateway.post(json!(batch).to_string()).await;
    assert_eq!(reply.json().as_array().unwrap().len(), 30);
    assert_eq!(scene.v(0).counts().tally().requests, 30);
}

#[tokio::test]
async fn notifications_leave_no_gap() {
    let scene = Scene::equals(1).await;
    let notification = json!({"jsonrpc": "2.0", "method": "sandboxEcho", "params": [0]});
    let batch = json!([echo(1), notification, echo(2)]);
    let answers = scene.gateway.post(batch.to_string()).await.json();
    let ids: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(json!(ids), json!([1, 2]));
    let only = scene
        .gateway
        .post(json!([notification, notification]).to_string())
        .await;
    assert_eq!((only.status, only.text().as_str()), (200, ""));
}

#[tokio::test]
async fn an_empty_batch_is_answered_with_nothing() {
    let scene = Scene::equals(1).await;
    for body in ["[]", " [ ] "] {
        let reply = scene.gateway.post(body).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    }
    assert_eq!(scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn a_batch_over_the_cap_is_refused_as_a_whole() {
    let scene = Scene::equals_with(1, |config| config.set("limits.max_batch", 5)).await;
    let batch = |count| {
        let calls: Vec<_> = (0..count).map(echo).collect();
        json!(calls).to_string()
    };
    let reply = scene.gateway.post(batch(6)).await;
    assert_eq!(
        reply.code(),
        Some(-32600),
        "{} {}",
        reply.status,
        reply.text()
    );
    assert_eq!(scene.v(0).hits_total(), 0);
    let reply = scene.gateway.post(batch(5)).await;
    assert_eq!(reply.json().as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_broken_batch_is_one_parse_error() {
    let scene = Scene::equals(1).await;
    let reply = scene.gateway.post(format!("[{},", echo(1))).await;
    assert_eq!(reply.code(), Some(-32700));
    assert_eq!(scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn large_and_small_answers_mix() {
    let scene = Scene::equals(1).await;
    let pad = |id: u64, bytes: u64| json!({"jsonrpc": "2.0", "id": id, "method": "sandboxPad", "params": [{"bytes": bytes}]});
    let batch = json!([pad(1, 700_000), pad(2, 3), pad(3, 600_000)]);
    let answers = scene.gateway.post(batch.to_string()).await.json();
    let lengths: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["result"].as_str().unwrap().len())
        .collect();
    assert_eq!(lengths, [700_000, 3, 600_000]);
}
