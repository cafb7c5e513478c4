//! Batches: split, sent concurrently, answered in the order of the request.

use perijove_tests::sandbox::{Fault, RateShape};
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
    // A second opinion, which says the same.
    assert_eq!(scene.hits("getBlockHeight"), [1, 1]);
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
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_eq!(
        reply.text(),
        "request body size exceeds allowed maximum: the batch holds 6 calls, at most 5 are allowed \
         (max_batch)\n",
        "as a node refuses one that is too large, and why"
    );
    let content_type = reply.header("content-type").unwrap();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
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

#[tokio::test]
async fn only_the_size_of_the_body_bounds_a_batch() {
    let scene = Scene::equals(1).await;
    let calls = 20_000;
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;
    let body = format!("[{}]", vec![one; calls].join(","));
    assert!(body.len() < 1024 * 1024);
    let batch = scene.gateway.post(body);
    let others = async {
        for _ in 0..5 {
            assert_eq!(scene.balance().await.status, 200);
        }
    };
    let (reply, ()) = tokio::join!(batch, others);
    assert_eq!(reply.status, 200);
    let answers = reply.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), calls);
    assert!(answers.iter().all(|answer| answer["result"] == "ok"));
}

fn balance(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "getBalance", "params": [KEY]})
}

fn limited() -> Fault {
    Fault::rate_limit(RateShape::Rpcpool, Some("7")).on("getBalance")
}

#[tokio::test]
async fn a_batch_of_reads_with_one_that_is_limited_is_limited_as_a_whole() {
    let scene = Scene::equals(1).await;
    scene.v(0).fault(limited());
    let slot = json!({"jsonrpc": "2.0", "id": 1, "method": "getSlot"});
    let batch = json!([slot, balance(2), slot, {"foo": "bar"}]);
    for _ in 0..2 {
        let reply = scene.gateway.post(batch.to_string()).await;
        assert_eq!(reply.status, 429, "{}", reply.text());
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=7).contains(&wait), "{wait}");
        let error = reply.json();
        assert_eq!(
            (&error["error"]["code"], &error["id"]),
            (&json!(429), &json!(null))
        );
    }
    assert_eq!(scene.hits("getBalance"), [1]);
    scene.v(0).heal().unwrap();
}

#[tokio::test]
async fn a_batch_with_a_write_that_went_out_is_told_entry_by_entry() {
    let scene = Scene::equals(1).await;
    scene.v(0).fault(limited());
    let send = json!({
        "jsonrpc": "2.0", "id": 2, "method": "sendTransaction",
        "params": scene.transaction(1),
    });
    for write in [send, echo(2)] {
        let batch = json!([balance(1), write]);
        let reply = scene.gateway.post(batch.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let answers = reply.json();
        assert_eq!(answers[0]["error"]["code"], 429, "{answers}");
        assert!(answers[1]["result"].is_string() || answers[1]["result"].is_array());
    }
    assert_eq!(scene.hits("sendTransaction"), [1]);
    assert_eq!(scene.hits("sandboxEcho"), [1]);
}

#[tokio::test]
async fn a_limit_met_after_the_answer_has_begun_is_told_in_its_place() {
    let scene = Scene::equals(1).await;
    scene.v(0).fault(limited());
    let large = json!({
        "jsonrpc": "2.0", "id": 1, "method": "sandboxPad", "params": [{"bytes": 2_000_000}],
    });
    let batch = json!([large, balance(2)]);
    let reply = scene.gateway.post(batch.to_string()).await;
    assert_eq!(reply.status, 200);
    let answers = reply.json();
    assert_eq!(answers[0]["result"].as_str().unwrap().len(), 2_000_000);
    assert_eq!(answers[1]["error"]["code"], 429);
}
