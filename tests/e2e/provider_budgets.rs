//! What providers sell: who is asked when it is used up, and what is kept for trades.

use perijove_tests::gateway::GatewayConfig;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

/// The first upstream has a budget; its probes count as well and are rare.
fn sold(config: GatewayConfig, budget: &Value) -> GatewayConfig {
    let mut upstreams = config.get("upstreams").unwrap().clone();
    upstreams[0]["budget"] = budget.clone();
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
