//! What providers sell: who is asked when it is used up, and what is kept for trades.

use futures::future::join_all;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::Sandbox;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, equals};

/// The first upstream has a budget; its probes count as well and are rare.
fn sold(config: GatewayConfig, budget: &Value) -> GatewayConfig {
    let mut upstreams = config.get("upstreams").unwrap().clone();
    upstreams[0]["budget"] = budget.clone();
    // So that a slow machine does not have the budget used up by probes.
    upstreams[0]["probe"] = json!({"interval": "2s"});
    config
        .set("upstreams", upstreams)
        .set("cache.enabled", false)
        .set("hedge.enabled", false)
}

/// More than all probes need, and hardly any of it comes back while a test runs.
fn small(burst: u32, reserve: u32) -> Value {
    json!({"requests": 60, "per": "day", "burst": burst, "reserve": reserve})
}

#[tokio::test]
async fn a_budget_that_is_used_up_sends_calls_to_the_next_upstream() {
    let scene = Scene::ranked_with(|config| sold(config, &small(40, 0))).await;
    let mut by = Vec::new();
    for _ in 0..60 {
        by.push(scene.balance().await.upstream().to_owned());
    }
    assert_eq!(by[0], "v0");
    assert_eq!(by[59], "v1");
    let (first, _) = (scene.v(0).hits_total(), scene.v(1).hits_total());
    assert!(first <= 41, "{first}");
    let status = scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["budget_left"], 0, "{status}");
    assert!(status["upstreams"][1]["budget_left"].is_null());
}

#[tokio::test]
async fn where_nobody_else_is_left_the_caller_is_told_to_come_back() {
    let scene = Scene::equals_with(1, |config| sold(config, &small(40, 0))).await;
    let mut last = scene.balance().await;
    for _ in 0..60 {
        last = scene.balance().await;
    }
    assert_eq!(
        (last.status, last.code()),
        (429, Some(429)),
        "{}",
        last.text()
    );
    assert!(
        last.text().contains("budget"),
        "no words of the upstream, which has limited nothing: {}",
        last.text()
    );
    assert_eq!(last.header("retry-after"), Some("119"));
    assert!(scene.v(0).hits_total() <= 41);
}

#[tokio::test]
async fn the_reserve_is_kept_for_what_trades_wait_for() {
    let scene = Scene::equals_with(1, |config| sold(config, &small(50, 50))).await;
    let mut refused = 0;
    for _ in 0..60 {
        refused += u32::from(scene.balance().await.status == 429);
    }
    assert!(refused > 30, "{refused}");
    let reply = scene.gateway.rpc("getLatestBlockhash", json!([])).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = scene
        .gateway
        .rpc("sendTransaction", scene.transaction(1))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(scene.balance().await.status, 429);
    // A caller's own word counts as much as the method's.
    let urgent = json!({"jsonrpc": "2.0", "id": 1, "method": "getBalance", "params": [KEY]});
    let request = scene
        .gateway
        .client()
        .post(scene.gateway.url())
        .header("content-type", "application/json")
        .header("x-priority", "critical")
        .body(urgent.to_string());
    assert_eq!(scene.gateway.send(request).await.status, 200);
}

#[tokio::test]
async fn many_calls_at_once_do_not_exceed_a_burst() {
    let scene = Scene::ranked_with(|config| sold(config, &small(40, 0))).await;
    let calls = join_all((0..200).map(|_| scene.balance())).await;
    assert!(calls.iter().all(|reply| reply.status == 200));
    // Probes count as well, sent or not.
    let first = scene.v(0).hits_total();
    assert!(first <= 41, "{first} of two hundred that came at once");
}

#[tokio::test]
async fn methods_have_costs_and_groups_have_budgets_of_their_own() {
    let mut budget = small(1000, 0);
    budget["costs"] = json!({"getProgramAccounts": 300});
    budget["groups"] =
        json!([{"methods": ["sandboxEcho"], "requests": 1, "per": "day", "burst": 2}]);
    let scene = Scene::equals_with(1, |config| sold(config, &budget)).await;
    let mut told = Vec::new();
    for number in 0..3 {
        told.push(
            scene
                .gateway
                .rpc("sandboxEcho", json!([number]))
                .await
                .status,
        );
    }
    assert_eq!(told, [200, 200, 429]);
    assert_eq!(scene.hits("sandboxEcho"), [2]);
    assert_eq!(scene.balance().await.status, 200, "others have the whole");
    let mut scans = 0;
    while scene
        .gateway
        .rpc("getProgramAccounts", json!([KEY]))
        .await
        .status
        == 200
    {
        scans += 1;
    }
    assert!((1..=3).contains(&scans), "{scans} of three hundred each");
    let status = scene.gateway.status().await;
    assert_eq!(
        status["upstreams"][0]["budget"]["per_hour"], 2.5,
        "{status}"
    );
}

#[tokio::test]
async fn upstreams_of_one_organisation_have_one_budget() {
    let scene = Scene::equals_with(2, |config| {
        let mut budget = small(60, 0);
        budget["organisation"] = json!("ours");
        let mut upstreams = config.get("upstreams").unwrap().clone();
        for upstream in upstreams.as_array_mut().unwrap() {
            upstream["budget"] = budget.clone();
        }
        config
            .set("upstreams", upstreams)
            .set("cache.enabled", false)
    })
    .await;
    let calls = join_all((0..100).map(|_| scene.balance())).await;
    let served = calls.iter().filter(|reply| reply.status == 200).count();
    assert!(served <= 60, "{served}");
    let each = scene.hits("getBalance");
    assert!(each.iter().sum::<u64>() <= 61, "{each:?}");
}

#[tokio::test]
async fn what_is_used_up_survives_a_restart() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("budgets.json");
    let kept = |config: GatewayConfig| {
        sold(config, &small(300, 0)).set("budgets.file", file.display().to_string())
    };
    let scene = Scene::equals_with(1, kept).await;
    for _ in 0..100 {
        assert_eq!(scene.balance().await.status, 200);
    }
    scene.gateway.sigterm();
    until("the file to be written", || async {
        file.is_file().then_some(())
    })
    .await;
    let again = Gateway::start(kept(equals(&scene.cluster))).await;
    let left = again.status().await["upstreams"][0]["budget_left"]
        .as_u64()
        .unwrap();
    assert!(left <= 205, "{left} of three hundred");
}

#[tokio::test]
async fn replicas_share_a_budget_through_redis_and_go_on_with_their_shares_without_it() {
    let redis = Redis::start().await;
    let cluster = Sandbox::start(1).await.unwrap();
    let config = || {
        sold(equals(&cluster), &small(400, 0))
            .set("cache.redis.url", redis.url())
            .set("budgets.shared", true)
    };
    let gateways = [
        Gateway::start(config()).await,
        Gateway::start(config()).await,
    ];
    for gateway in &gateways {
        until("both gateways to be counted", || async {
            let metrics = gateway.metrics().await;
            (metrics.sum("perijove_budget_replicas", &[]) > 1.5).then_some(())
        })
        .await;
    }
    cluster.reset_counts();
    // Each asks until it is told that nothing is left; what one does not use the other has.
    let ask = async |gateway: &Gateway, most: usize| {
        let mut served = 0;
        let mut refused = 0;
        while refused < 30 && served < most {
            let reply = gateway.rpc("getBalance", json!([KEY])).await;
            match reply.status {
                200 => served += 1,
                429 => {
                    refused += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                other => panic!("{other}: {}", reply.text()),
            }
        }
        served
    };
    assert_eq!(ask(&gateways[0], 50).await, 50);
    let lost = async |expected: bool| {
        for gateway in &gateways {
            until("the gateways to notice what became of Redis", || async {
                let metrics = gateway.metrics().await;
                let lost = metrics.sum("perijove_budget_sharing_lost", &[]) > 0.5;
                (lost == expected).then_some(())
            })
            .await;
        }
    };
    redis.pause();
    lost(true).await;
    for gateway in &gateways {
        assert_eq!(ask(gateway, 20).await, 20, "each has its share");
    }
    redis.resume();
    lost(false).await;
    tokio::join!(ask(&gateways[0], 1000), ask(&gateways[1], 1000));
    // Everything counts, probes among it; some were sent before it was counted here.
    let sent = cluster.validator(0).hits_total();
    assert!((150..=402).contains(&sent), "{sent} of four hundred");
}
