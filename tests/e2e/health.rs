//! Which upstreams are fit to serve: found out by asking them, not by believing them.

use perijove_tests::gateway::Gateway;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::until;
use serde_json::json;

use crate::scene::{Scene, brisk, ranked};

/// With the fault the reads settle on `v1`; without it they return to `v0`.
async fn is_left_and_returned_to(fault: impl Into<Fault>) {
    let scene = Scene::ranked_with(|config| config.set("breaker.open", "1s")).await;
    scene.settles_on(0).await;
    scene.v(0).fault(fault);
    scene.settles_on(1).await;
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
}

#[tokio::test]
async fn an_upstream_that_lags_is_left_and_returned_to() {
    is_left_and_returned_to(Fault::lag(50)).await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_left_and_returned_to() {
    is_left_and_returned_to(Kind::Down).await;
}

#[tokio::test]
async fn an_upstream_that_says_it_is_well_while_it_lags_is_not_believed() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Kind::Health {
        says: "ok".to_owned(),
    });
    scene.v(0).fault(Fault::lag(200));
    scene.settles_on(1).await;
}

#[tokio::test]
async fn a_lag_below_the_limit_is_forgiven() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::lag(10));
    let probes = scene.v(0).probes();
    perijove_tests::wait::eventually("some probes", || scene.v(0).probes() > probes + 5).await;
    scene.settles_on(0).await;
}

#[tokio::test]
async fn an_upstream_whose_slot_stands_still_is_left() {
    let cluster = brisk(2).await;
    let config = ranked(&cluster)
        .set("cluster.slot_time", "100ms")
        .set("health.stopped_after", "1s")
        .set("health.exclude_lag", 100_000)
        .set("health.readmit_lag", 99_999);
    let gateway = Gateway::start(config).await;
    let scene = Scene { cluster, gateway };
    scene.settles_on(0).await;
    scene.v(0).fault(Kind::Stop);
    scene.settles_on(1).await;
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
}

#[tokio::test]
async fn an_upstream_of_another_cluster_is_never_used() {
    let cluster = brisk(2).await;
    cluster.validator(0).fault(Kind::WrongGenesis);
    let genesis = perijove_tests::sandbox::chain::GENESIS;
    let config = ranked(&cluster).set("cluster.genesis", genesis);
    let gateway = Gateway::start(config).await;
    let scene = Scene { cluster, gateway };
    scene.settles_on(1).await;
    scene.v(1).down().await;
    let reply = scene.balance().await;
    assert_eq!(reply.code(), Some(-32005), "{}", reply.text());
    assert_eq!(scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn an_upstream_whose_block_height_is_its_slot_is_left() {
    is_left_and_returned_to(Kind::HeightIsSlot).await;
}

#[tokio::test]
async fn an_upstream_that_receives_more_than_it_processes_is_left() {
    is_left_and_returned_to(Kind::ShredGap { slots: 500 }).await;
}

#[tokio::test]
async fn if_all_are_bad_the_least_bad_serves() {
    let scene = Scene::ranked().await;
    // A third party knows the tip: a gateway that only saw these two would take 40 for it.
    scene.settles_on(0).await;
    scene.v(0).fault(Fault::lag(90));
    scene.v(1).fault(Fault::lag(40));
    scene.until_answered_by("v1").await;
    let reply = scene.balance().await;
    assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
}

#[tokio::test]
async fn the_only_upstream_serves_however_bad_it_is() {
    let scene = Scene::equals_with(1, |config| config.set("breaker.failures", 2)).await;
    scene
        .v(0)
        .fault(Fault::status(500).on("getBalance").times(6));
    for _ in 0..6 {
        scene.balance().await;
    }
    let reply = until("the upstream to be tried again", || async {
        let reply = scene.balance().await;
        reply.json().get("result").is_some().then_some(reply)
    })
    .await;
    assert_eq!(reply.upstream(), "v0");
}

#[tokio::test]
async fn readiness_follows_the_upstreams_and_liveness_does_not() {
    let scene = Scene::ranked().await;
    assert_eq!(scene.gateway.admin("/ready").await.status, 200);
    for validator in scene.cluster.validators() {
        validator.down().await;
    }
    until("/ready to be 503", || async {
        (scene.gateway.admin("/ready").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(scene.gateway.admin("/health").await.status, 200);
    scene.v(1).heal().unwrap();
    until("/ready to be 200 again", || async {
        (scene.gateway.admin("/ready").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_whose_upstreams_are_down_starts_and_waits_for_them() {
    let cluster = brisk(1).await;
    cluster.validator(0).down().await;
    let mut gateway = Gateway::start_unready(ranked(&cluster)).await;
    assert_eq!(gateway.admin("/ready").await.status, 503);
    cluster.validator(0).heal().unwrap();
    gateway.wait_ready().await;
    assert!(gateway.rpc("getSlot", json!([])).await.result().is_u64());
}

#[tokio::test]
async fn probes_say_what_they_are() {
    let scene = Scene::equals(1).await;
    let probes = || scene.v(0).counts().tally().probes;
    perijove_tests::wait::eventually("a probe", || probes().contains_key("getSlot")).await;
    assert_eq!(scene.v(0).hits_total(), 0);
}
