//! Batches of which some answers are known.

use perijove_tests::sandbox::accounts::{Nature, keys};
use serde_json::{Value, json};

use super::stage::Stage;

fn call(id: impl Into<Value>, method: &str, params: &Value) -> Value {
    let id: Value = id.into();
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn only_what_is_not_known_is_asked_and_the_order_is_kept() {
    let stage = Stage::single().await;
    let all = keys(Nature::Moving, 6);
    for index in [0, 2, 5] {
        stage.asks("getBalance", &json!([all[index]])).await;
    }
    let batch: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(index, key)| call(format!("b{index}"), "getBalance", &json!([key])))
        .collect();
    let reply = stage.gateway().post(json!(batch).to_string()).await;
    assert_eq!(stage.cluster().hits("getBalance"), 3 + 3);
    let slot = stage.sight().finalized;
    for (index, answer) in reply.json().as_array().unwrap().iter().enumerate() {
        assert_eq!(answer["id"], format!("b{index}"));
        assert_eq!(
            answer["result"],
            stage.said(slot, "getBalance", &json!([all[index]]))
        );
    }
    // Now all are.
    let again = stage.gateway().post(json!(batch).to_string()).await;
    assert_eq!(stage.cluster().hits("getBalance"), 6);
    assert_eq!(again.json(), reply.json());
    assert_eq!(again.cache(), "hit");
}

#[tokio::test]
async fn calls_of_one_batch_that_are_the_same_are_made_once() {
    let stage = Stage::single().await;
    let key = keys(Nature::Moving, 1).remove(0);
    let batch: Vec<_> = (0..20)
        .map(|id| call(id, "getBalance", &json!([key])))
        .collect();
    let answers = stage.gateway().post(json!(batch).to_string()).await.json();
    assert_eq!(stage.cluster().hits("getBalance"), 1);
    let said = stage.said(stage.sight().finalized, "getBalance", &json!([key]));
    for (id, answer) in answers.as_array().unwrap().iter().enumerate() {
        assert_eq!((&answer["id"], &answer["result"]), (&json!(id), &said));
    }
}

#[tokio::test]
async fn known_answers_errors_and_writes_mix() {
    let stage = Stage::single().await;
    let key = keys(Nature::Moving, 1).remove(0);
    stage.asks("getBalance", &json!([key])).await;
    let batch = json!([
        call(1, "getBalance", &json!([key])),
        call(2, "getBalance", &json!(["no key"])),
        {"foo": "bar"},
        {"jsonrpc": "2.0", "method": "getBalance", "params": [key]},
        call(3, "requestAirdrop", &json!([key, 5])),
        call(4, "getNothing", &json!([])),
        call(5, "getBalance", &json!([key])),
    ]);
    let answers = stage.gateway().post(batch.to_string()).await.json();
    let answers = answers.as_array().unwrap();
    let ids: Vec<_> = answers.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(json!(ids), json!([1, 2, null, 3, 4, 5]));
    assert_eq!(answers[0]["result"], answers[5]["result"]);
    assert_eq!(answers[1]["error"]["code"], -32602);
    assert!(answers[3]["result"].is_string());
    assert_eq!(answers[4]["error"]["code"], -32601);
    // The known one, once; the wrong one.
    assert_eq!(stage.cluster().hits("getBalance"), 1 + 1);
}
