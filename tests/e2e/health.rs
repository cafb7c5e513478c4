//! Which upstreams are fit to serve: found out by asking them, not by believing them.

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind, Sandbox};
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use crate::scene::{Scene, brisk, ranked};

/// `v0` is asked first and `v1` only when `v0` is no use: no hedge asks a second one for being
/// slow, so that hits can be counted.
async fn calm() -> Scene {
    Scene::ranked_with(|config| config.set("hedge.enabled", false)).await
}

/// All metered, in this order, and probed as rarely as by default.
fn metered(cluster: &Sandbox, ids: impl IntoIterator<Item = usize>) -> GatewayConfig {
    let tiers = ["paid", "public"].into_iter();
    let upstreams = ids.into_iter().zip(tiers);
    upstreams.fold(GatewayConfig::new(), |config, (id, tier)| {
        let endpoint = Endpoint::of(cluster.validator(id));
        config.endpoint(endpoint.tier(tier).set("probe", json!({ "timeout": "1s" })))
    })
}

/// An upstream in `/status`.
async fn status_of(gateway: &Gateway, index: usize) -> serde_json::Value {
    let status = gateway.status().await;
    let upstreams = status["upstreams"].as_array().unwrap();
    let id = format!("v{index}");
    let found = upstreams.iter().find(|one| one["id"] == id.as_str());
    found.unwrap().clone()
}

/// With the fault the reads settle on `v1`; without it they return to `v0`.
async fn is_left_and_returned_to(fault: impl Into<Fault>) {
    let scene = calm().await;
    scene.settles_on(0).await;
    scene.v(0).fault(fault);
    // A client that was told of a newer slot is answered by `v1` before `v0` is left.
    until("v0 to be left", || async {
        let told = status_of(&scene.gateway, 0).await;
        (told["health"] != "healthy").then_some(())
    })
    .await;
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
    let scene = calm().await;
    scene.v(0).fault(Kind::Health {
        says: "ok".to_owned(),
    });
    scene.v(0).fault(Fault::lag(200));
    scene.settles_on(1).await;
}

#[tokio::test]
async fn a_lag_below_the_limit_is_forgiven() {
    let scene = Scene::ranked_with(|config| config.set("health.exclude_lag", 100)).await;
    scene.v(0).fault(Fault::lag(20));
    let probes = scene.v(0).probes();
    eventually("some probes", || scene.v(0).probes() > probes + 5).await;
    scene.settles_on(0).await;
}

#[tokio::test]
async fn an_upstream_whose_slot_stands_still_is_left() {
    let cluster = brisk(2).await;
    let config = ranked(&cluster)
        .set("cluster.slot_time", "100ms")
        .set("health.stopped_after", "1s")
        .set("hedge.enabled", false)
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
    let config = ranked(&cluster)
        .set("cluster.genesis", genesis)
        .set("hedge.enabled", false);
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
    let scene = calm().await;
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
async fn a_metered_upstream_whose_slot_stands_still_is_left_by_what_its_answers_say() {
    let cluster = Sandbox::start(2).await.unwrap();
    let config = metered(&cluster, [0, 1]).set("hedge.enabled", false);
    let scene = Scene {
        gateway: Gateway::start(config).await,
        cluster,
    };
    scene.settles_on(0).await;
    let probes = scene.v(0).probes();
    scene.v(0).fault(Kind::Stop);
    scene.until_answered_by("v1").await;
    let told = status_of(&scene.gateway, 0).await;
    assert_eq!(told["health"], "stopped", "{told}");
    assert!(told["cause"].is_string(), "{told}");
    let asked = scene.v(0).probes() - probes;
    assert!(asked <= 2, "{asked} probes in some seconds");
}

#[tokio::test]
async fn a_validator_far_behind_stays_out_however_rarely_the_others_are_looked_at() {
    let cluster = brisk(2).await;
    cluster.validator(0).fault(Fault::lag(50));
    let rare = Endpoint::of(cluster.validator(1));
    let config = GatewayConfig::new()
        .upstream(cluster.validator(0))
        .endpoint(rare.tier("paid").set("probe", json!({ "timeout": "1s" })))
        .set("cluster.slot_time", "100ms")
        .set("hedge.enabled", false);
    let scene = Scene {
        gateway: Gateway::start(config).await,
        cluster,
    };
    until("the lag to be known", || async {
        let told = status_of(&scene.gateway, 0).await;
        (told["health"] == "lagging").then_some(())
    })
    .await;
    // In so many probes the cluster goes on by more than the lag.
    let probes = scene.v(0).probes();
    while scene.v(0).probes() < probes + 250 {
        let told = status_of(&scene.gateway, 0).await;
        assert_eq!(told["health"], "lagging", "{told}");
        let levels = ["processed", "confirmed", "finalized"];
        let slots = levels.map(|level| told["slots"][level].as_u64().unwrap());
        assert!(slots.is_sorted_by(|a, b| a >= b), "{told}");
    }
    let log = scene.gateway.process.log();
    let left = |line: &&String| {
        line.contains("upstream health changed")
            && line.contains("\"upstream\":\"v0\"")
            && line.contains("\"from\":\"lagging\"")
    };
    let left: Vec<_> = log.iter().filter(left).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[tokio::test]
async fn after_an_outage_an_upstream_is_back_when_its_probes_are_good_whatever_its_breaker_says() {
    let scene = Scene::ranked_with(|config| {
        config
            .set("hedge.enabled", false)
            .set("breaker.failures", 2)
            .set("breaker.open", "1h")
    })
    .await;
    scene.settles_on(0).await;
    scene.v(0).down().await;
    until("the breaker to open", || async {
        scene.balance().await;
        let told = status_of(&scene.gateway, 0).await;
        (told["breaker"] == "open").then_some(())
    })
    .await;
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
    let told = status_of(&scene.gateway, 0).await;
    assert_eq!(told["breaker"], "closed", "{told}");
}

#[tokio::test]
async fn a_healed_upstream_gets_its_share_of_the_calls_again() {
    let scene = Scene::equals(3).await;
    scene.v(0).fault(Kind::Down);
    until("its failure to be noticed", || async {
        scene.balance().await;
        let told = status_of(&scene.gateway, 0).await;
        (told["health"] == "failing").then_some(())
    })
    .await;
    scene.v(0).heal().unwrap();
    scene.until_answered_by("v0").await;
    scene.until_answered_by("v0").await;
    scene.until_answered_by("v0").await;
}

#[tokio::test]
async fn an_upstream_that_refuses_probes_is_left_and_says_why() {
    let scene = calm().await;
    scene.settles_on(0).await;
    scene.v(0).fault(Fault::status(400).on("getSlot"));
    scene.until_answered_by("v1").await;
    let told = status_of(&scene.gateway, 0).await;
    assert_eq!(told["health"], "failing", "{told}");
    let cause = told["cause"].as_str().unwrap();
    assert!(
        cause.contains("getSlot") && cause.contains("400"),
        "{cause}"
    );
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_show_the_genesis_hash_it_must_have_is_left() {
    let cluster = brisk(2).await;
    let genesis = perijove_tests::sandbox::chain::GENESIS;
    cluster
        .validator(0)
        .fault(Fault::rpc(-32601).on("getGenesisHash"));
    let config = ranked(&cluster)
        .set("cluster.genesis", genesis)
        .set("hedge.enabled", false);
    let scene = Scene {
        gateway: Gateway::start(config).await,
        cluster,
    };
    eventually("some probes", || scene.v(0).probes() > 10).await;
    scene.settles_on(1).await;
    let cause = status_of(&scene.gateway, 0).await["cause"].clone();
    assert!(
        cause.as_str().unwrap().contains("getGenesisHash"),
        "{cause}"
    );
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
}

#[tokio::test]
async fn probes_say_what_they_are() {
    let scene = Scene::equals(1).await;
    let probes = || scene.v(0).counts().tally().probes;
    eventually("a probe", || probes().contains_key("getSlot")).await;
    assert_eq!(scene.v(0).hits_total(), 0);
}
