//! Methods that Agave does not have: providers' reads, and names that are nobody's.

use perijove_tests::sandbox::{Fault, Kind, ResetWhen};
use serde_json::json;
use tokio::time::Instant;

use crate::scene::Scene;

/// `v1` charges for each call.
async fn metered() -> Scene {
    Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[1]["metered"] = json!(true);
        config.set("upstreams", upstreams)
    })
    .await
}

#[tokio::test]
async fn invented_names_are_answered_by_the_validator_and_cost_nothing() {
    let scene = metered().await;
    let began = Instant::now();
    for number in 0..500 {
        let reply = scene.gateway.rpc(&format!("zz{number}"), json!([])).await;
        assert_eq!(
            (reply.status, reply.code()),
            (200, Some(-32601)),
            "{number}"
        );
        // The same name again costs no more than a new one.
        let again = scene.gateway.rpc(&format!("zz{number}"), json!([])).await;
        assert_eq!(again.upstream(), "v0", "{number}");
    }
    let charged = scene.v(1).hits_total();
    // Eight at once, and one more each minute.
    let most = 8 + 1 + began.elapsed().as_secs() / 60;
    assert!(
        charged <= most,
        "{charged} calls of 1000 were charged for, {most} may be"
    );
}

#[tokio::test]
async fn a_method_that_only_the_provider_has_is_found_in_a_flood_of_inventions() {
    let scene = metered().await;
    let missing = Fault::rpc(-32601);
    let methods = ["sandboxEcho", "getAsset"];
    let missing = methods
        .iter()
        .fold(missing, |fault, method| fault.on(method));
    scene.v(0).fault(missing);
    let echo = || scene.gateway.rpc("sandboxEcho", json!([1]));
    assert_eq!(echo().await.upstream(), "v1", "found out by a search");
    for number in 0..300 {
        scene.gateway.rpc(&format!("zz{number}"), json!([])).await;
    }
    scene.cluster.reset_counts();
    assert_eq!(echo().await.upstream(), "v1", "and remembered");
    scene.gateway.rpc("getAsset", json!([])).await;
    assert_eq!(scene.v(1).hits("getAsset"), 1, "known by its name");
}

#[tokio::test]
async fn reads_of_providers_fail_over_as_any_read() {
    let scene = Scene::ranked_with(|config| {
        config
            .set("hedge.enabled", false)
            .set("methods.read", json!(["sandboxEcho"]))
    })
    .await;
    for (method, fault) in [
        ("getAsset", Fault::status(503)),
        ("searchAssets", Fault::reset(ResetWhen::AfterRead)),
        ("getSomethingNew", Kind::Truncate.into()),
        ("getPriorityFeeEstimate", Kind::Garbage.into()),
        ("sandboxEcho", Fault::status(502)),
    ] {
        scene.v(0).fault(fault.on(method));
        let reply = scene.gateway.rpc(method, json!([1])).await;
        assert_eq!(reply.status, 200, "{method}: {}", reply.text());
        assert_eq!(reply.upstream(), "v1", "{method}");
        assert_eq!(scene.v(1).hits(method), 1, "{method}");
    }
}

#[tokio::test]
async fn what_may_be_a_write_is_sent_once_and_its_loss_is_not_called_a_transactions() {
    let scene = Scene::ranked().await;
    let lost = Fault::reset(ResetWhen::AfterRead);
    scene.v(0).fault(lost.on("sandboxEcho"));
    let reply = scene.gateway.rpc("sandboxEcho", json!([1])).await;
    assert_eq!(reply.status, 504);
    assert!(!reply.text().contains("transaction"), "{}", reply.text());
    assert_eq!(scene.hits("sandboxEcho"), [1, 0]);
}

#[tokio::test]
async fn a_method_named_in_an_allow_list_is_no_stranger() {
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[1]["allow"] = json!(["sandboxEcho", "getBalance"]);
        upstreams[0]["deny"] = json!(["sandboxEcho"]);
        config.set("upstreams", upstreams)
    })
    .await;
    let reply = scene.gateway.rpc("sandboxEcho", json!([1])).await;
    assert_eq!(reply.upstream(), "v1");
}
