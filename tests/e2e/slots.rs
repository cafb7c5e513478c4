//! Slots as clients see them: never backwards, and never older than they ask for.

use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Sandbox};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, all_probed, brisk, equals, ranked};

/// No upstream is left for being behind.
fn lenient(config: GatewayConfig) -> GatewayConfig {
    config
        .set("health.exclude_lag", 1_000)
        .set("health.readmit_lag", 999)
}

#[tokio::test]
async fn numbers_about_the_head_never_go_backwards_for_a_client() {
    let cluster = brisk(3).await;
    cluster.validator(1).fault(Fault::lag(6));
    cluster.validator(2).fault(Fault::lag(11));
    let config = lenient(equals(&cluster)).set("cluster.slot_time", "100ms");
    let gateway = Gateway::start(config).await;
    let scene = Scene { cluster, gateway };
    for (method, number) in [
        ("getSlot", "/result"),
        ("getBlockHeight", "/result"),
        ("getEpochInfo", "/result/absoluteSlot"),
        ("getLatestBlockhash", "/result/value/lastValidBlockHeight"),
    ] {
        for commitment in ["processed", "confirmed", "finalized"] {
            let mut last = 0;
            for _ in 0..30 {
                let params = json!([{ "commitment": commitment }]);
                let reply = scene.gateway.rpc(method, params).await;
                let now = reply.json().pointer(number).and_then(Value::as_u64);
                let now = now.unwrap_or_else(|| panic!("{}", reply.text()));
                assert!(now >= last, "{method} {commitment}: {now} after {last}");
                last = now;
            }
        }
    }
}

#[tokio::test]
async fn the_floor_holds_when_the_fresher_upstream_is_lost() {
    let scene = Scene::ranked().await;
    scene.v(1).fault(Fault::lag(12));
    let processed = json!([{ "commitment": "processed" }]);
    let seen = scene
        .gateway
        .rpc("getSlot", processed.clone())
        .await
        .result()
        .as_u64()
        .unwrap();
    scene.v(0).down().await;
    for _ in 0..20 {
        let reply = scene.gateway.rpc("getSlot", processed.clone()).await;
        if let Some(now) = reply.json()["result"].as_u64() {
            assert!(now >= seen, "{now} after {seen} from {}", reply.upstream());
        }
    }
}

#[tokio::test]
async fn a_minimum_slot_goes_straight_to_an_upstream_that_has_it() {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(Fault::lag(60));
    let gateway = Gateway::start(lenient(ranked(&cluster))).await;
    // A client that `v1` has answered first is not led back to `v0`.
    all_probed(&gateway).await;
    let scene = Scene { cluster, gateway };
    scene.settles_on(0).await;
    let wanted = scene.v(1).sight().processed - 2;
    let params = json!([KEY, {"commitment": "processed", "minContextSlot": wanted}]);
    let reply = scene.gateway.rpc("getBalance", params).await;
    assert_eq!(reply.upstream(), "v1");
    assert!(reply.result()["context"]["slot"].as_u64().unwrap() >= wanted);
    assert_eq!(scene.hits("getBalance"), [10, 1]);
}

#[tokio::test]
async fn a_minimum_slot_nobody_has_yet_is_waited_for_a_moment_and_then_refused() {
    let scene = Scene::ranked_with(|config| config.set("retry.attempts", 4)).await;
    let wanted = scene.v(0).sight().processed + 1_000;
    let params = json!([KEY, {"commitment": "processed", "minContextSlot": wanted}]);
    let reply = scene.gateway.rpc("getBalance", params).await;
    assert_eq!((reply.status, reply.code()), (200, Some(-32016)));
    assert!(reply.json()["error"]["data"]["contextSlot"].is_u64());
    let asked: u64 = scene.hits("getBalance").iter().sum();
    assert!((1..=4).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_transaction_that_was_sent_is_found_again() {
    let scene = Scene::equals(2).await;
    let sent = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(5))
        .await;
    let signature = sent.result();
    until("its status", || async {
        let params = json!([[signature]]);
        let reply = scene.gateway.rpc("getSignatureStatuses", params).await;
        (!reply.result()["value"][0].is_null()).then_some(())
    })
    .await;
    until("the transaction", || async {
        let params = json!([signature, {"commitment": "confirmed"}]);
        let reply = scene.gateway.rpc("getTransaction", params).await;
        let found = reply.result();
        (found["transaction"]["signatures"][0] == signature).then_some(())
    })
    .await;
}
