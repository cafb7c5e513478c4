//! What the gateway says of its own health.

use perijove_tests::gateway::Gateway;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::until;
use serde_json::json;

use crate::scene::Scene;

/// No hedge asks a second upstream for being slow.
async fn calm() -> Scene {
    Scene::ranked_with(|config| config.set("hedge.enabled", false)).await
}

/// Refuses every call, or those of these methods, as a provider does that is behind.
fn behind(slots: Option<u64>, methods: &[&str]) -> Fault {
    let error = Kind::RpcError {
        code: -32005,
        message: Some("Node is behind".to_owned()),
        data: Some(json!({ "numSlotsBehind": slots })),
    };
    Fault {
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        ..error.into()
    }
}

/// What the gateway says of its own health: as a node does by `getHealth` and `GET /health`, and to load
/// balancers.
async fn says(gateway: &Gateway) -> (serde_json::Value, String, u16) {
    let said = gateway.rpc("getHealth", json!([])).await.json();
    let said = match &said["error"] {
        serde_json::Value::Null => said["result"].clone(),
        error => json!([error["code"], error["data"]["numSlotsBehind"]]),
    };
    let url = format!("{}/health", gateway.url().trim_end_matches('/'));
    let word = gateway.client().get(url).send().await.unwrap();
    let ready = gateway.admin("/ready").await.status;
    let shown = gateway.status().await["ready"] == true;
    let ready = if shown == (ready == 200) { ready } else { 0 };
    (said, word.text().await.unwrap(), ready)
}

#[tokio::test]
async fn while_every_upstream_refuses_every_call_as_behind_the_gateway_says_so() {
    let scene = calm().await;
    let well = (json!("ok"), "ok".to_owned(), 200);
    assert_eq!(says(&scene.gateway).await, well);
    scene.v(0).fault(behind(Some(42), &[]));
    scene.balance().await;
    assert_eq!(says(&scene.gateway).await, well, "another serves");
    scene.v(1).fault(behind(Some(50), &[]));
    until("it to say so", || async {
        let reply = scene.balance().await;
        let said = says(&scene.gateway).await;
        let expected = (json!([-32005, 42]), "behind".to_owned(), 503);
        (reply.code() == Some(-32005) && said == expected).then_some(())
    })
    .await;
    for index in [0, 1] {
        scene.v(index).heal().unwrap();
    }
    until("it to be well", || async {
        (says(&scene.gateway).await == well).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nodes_that_call_themselves_behind_and_serve_leave_the_gateway_ready() {
    let scene = calm().await;
    for (index, slots) in [(0, None), (1, Some(50))] {
        scene.v(index).fault(behind(slots, &["getHealth"]));
    }
    until("it to say what they say", || async {
        let reply = scene.balance().await;
        let said = says(&scene.gateway).await;
        let expected = (json!([-32005, 50]), "behind".to_owned(), 200);
        (reply.code().is_none() && said == expected).then_some(())
    })
    .await;
    scene.v(1).heal().unwrap();
    until("it to be well", || async {
        let well = (json!("ok"), "ok".to_owned(), 200);
        (says(&scene.gateway).await == well).then_some(())
    })
    .await;
}
