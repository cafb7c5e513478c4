//! Writes: sent once, and again only when it is certain that nothing arrived.

use perijove_tests::sandbox::{Fault, Kind, RateShape, ResetWhen};
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

/// A scene whose upstreams are given up after 300 ms, and its `sendTransaction`.
async fn impatient() -> Scene {
    Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        for upstream in upstreams.as_array_mut().unwrap() {
            upstream["timeouts"] = json!({ "first_byte": "300ms" });
        }
        config.set("upstreams", upstreams)
    })
    .await
}

async fn is_sent_once(fault: impl Into<Fault>) {
    let scene = impatient().await;
    scene.v(0).fault(fault.into().on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.code().is_some(), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

#[tokio::test]
async fn a_transaction_is_answered_with_its_signature_and_sent_to_one_upstream() {
    let scene = Scene::equals(3).await;
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().as_str().unwrap().len() > 80);
    assert_eq!(scene.cluster.hits("sendTransaction"), 1);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_transaction_whose_upstream_does_not_answer_is_not_sent_elsewhere() {
    is_sent_once(Kind::Hang).await;
}

#[tokio::test]
async fn a_transaction_whose_connection_is_reset_is_not_sent_elsewhere() {
    is_sent_once(Fault::reset(ResetWhen::AfterRead)).await;
}

#[tokio::test]
async fn a_transaction_is_never_hedged() {
    let scene = Scene::ranked_with(|config| config.set("hedge.floor", "20ms")).await;
    scene.v(0).fault(Fault::slow(600).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string());
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

#[tokio::test]
async fn a_transaction_that_found_no_open_port_is_sent_elsewhere() {
    let scene = Scene::ranked().await;
    scene.v(0).down().await;
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string());
    assert_eq!(scene.hits("sendTransaction"), [0, 1]);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_transaction_that_was_refused_for_the_rate_is_sent_elsewhere() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("5"));
    scene.v(0).fault(limit.on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 1]);
    assert_eq!(scene.cluster.cluster().ledger.len(), 1);
}

#[tokio::test]
async fn a_blockhash_one_node_does_not_know_is_tried_on_another() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::rpc(-32002).on("sendTransaction"));
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert!(reply.result().is_string(), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 1]);
}

#[tokio::test]
async fn a_failed_simulation_is_the_callers_with_all_its_data() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(
        Fault::from(Kind::RpcError {
            code: -32002,
            message: Some("Transaction simulation failed: Error processing Instruction 0".into()),
            data: Some(json!({
                "err": {"InstructionError": [0, {"Custom": 1}]},
                "logs": ["Program log: no"],
                "unitsConsumed": 150,
            })),
        })
        .on("sendTransaction"),
    );
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32002));
    let error = reply.json()["error"].clone();
    assert_eq!(error["data"]["err"]["InstructionError"][1]["Custom"], 1);
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

#[tokio::test]
async fn a_transaction_that_only_our_own_repetition_finds_processed_is_answered_with_its_signature()
{
    let scene = Scene::ranked().await;
    scene.balance().await;
    // The kept connection breaks under the call, as if the node had taken it and closed.
    let v0 = scene.v(0);
    v0.fault(
        Fault::reset(ResetWhen::AfterRead)
            .on("sendTransaction")
            .times(1),
    );
    v0.fault(already_processed());
    let transaction = scene.transaction(1);
    let reply = scene
        .gateway
        .rpc("sendTransaction", transaction.clone())
        .await;
    assert_eq!(scene.hits("sendTransaction"), [2, 0]);
    scene.v(0).heal().unwrap();
    let signature = scene.gateway.rpc("sendTransaction", transaction).await;
    assert_eq!(reply.result(), signature.result(), "{}", reply.text());
}

#[tokio::test]
async fn a_transaction_that_the_client_repeats_is_refused_as_a_node_refuses_it() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(already_processed());
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32002), "{}", reply.text());
    assert_eq!(scene.hits("sendTransaction"), [1, 0]);
}

fn already_processed() -> Fault {
    Fault::from(Kind::RpcError {
        code: -32002,
        message: None,
        data: Some(json!({ "err": "AlreadyProcessed", "logs": [] })),
    })
    .on("sendTransaction")
}

async fn airdrop(scene: &Scene) -> Value {
    scene
        .gateway
        .rpc("requestAirdrop", json!([KEY, 5]))
        .await
        .json()
}

#[tokio::test]
async fn an_airdrop_is_never_asked_for_twice() {
    for fault in [
        Kind::Hang.into(),
        Fault::reset(ResetWhen::AfterRead),
        Fault::status(502),
        Kind::Truncate.into(),
    ] {
        let described = format!("{fault:?}");
        let scene = impatient().await;
        scene.v(0).fault(fault.on("requestAirdrop"));
        let answer = airdrop(&scene).await;
        assert!(answer.get("error").is_some(), "{described}: {answer}");
        assert_eq!(scene.hits("requestAirdrop"), [1, 0], "{described}");
    }
}

#[tokio::test]
async fn an_airdrop_that_found_no_open_port_is_asked_for_elsewhere() {
    let scene = Scene::ranked().await;
    scene.v(0).down().await;
    let answer = airdrop(&scene).await;
    assert!(answer["result"].is_string(), "{answer}");
    assert_eq!(scene.hits("requestAirdrop"), [0, 1]);
}

#[tokio::test]
async fn an_unknown_method_is_not_repeated_once_its_bytes_were_sent() {
    let scene = impatient().await;
    scene.v(0).fault(Fault::from(Kind::Hang).on("sandboxEcho"));
    let reply = scene.gateway.rpc("sandboxEcho", json!([1])).await;
    assert!(reply.code().is_some(), "{}", reply.text());
    assert_eq!(scene.hits("sandboxEcho"), [1, 0]);
}
