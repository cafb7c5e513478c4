//! Transactions that a node has processed before.

use super::*;

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
async fn a_transaction_that_was_processed_before_is_answered_with_its_signature_each_time() {
    let scene = Scene::ranked().await;
    // It executes what it is sent, and says that it had done so before.
    scene.v(0).fault(already_processed());
    for encoding in ["base58", "base64"] {
        let (params, signature) = encoded(&scene, encoding);
        for _ in 0..3 {
            let reply = scene.gateway.rpc("sendTransaction", params.clone()).await;
            assert_eq!(reply.result(), json!(signature), "{}", reply.text());
        }
    }
    assert_eq!(scene.hits("sendTransaction"), [6, 0]);
}

#[tokio::test]
async fn what_is_simulated_again_is_refused_as_a_node_refuses_it() {
    let scene = Scene::ranked().await;
    let fault = Kind::RpcError {
        code: -32002,
        message: None,
        data: Some(json!({ "err": "AlreadyProcessed", "logs": [] })),
    };
    scene
        .v(0)
        .fault(Fault::from(fault).on("simulateTransaction"));
    let reply = scene
        .gateway
        .rpc("simulateTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.code(), Some(-32002), "{}", reply.text());
}
