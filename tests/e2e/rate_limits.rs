//! How the gateway behaves towards upstreams that say "too many requests".

use std::time::Duration;

use perijove_tests::sandbox::{Fault, RateShape};
use serde_json::json;
use tokio::time::Instant;

use crate::scene::{KEY, Scene};

#[tokio::test]
async fn the_pause_an_upstream_asks_for_is_kept_and_then_it_is_asked_again() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("1"));
    scene.v(0).fault(limit.on("getBalance").times(1));
    let refused_at = Instant::now();
    assert_eq!(scene.balance().await.upstream(), "v1");
    scene.until_answered_by("v0").await;
    assert!(
        refused_at.elapsed() >= Duration::from_secs(1),
        "asked again after {:?}",
        refused_at.elapsed()
    );
    assert_eq!(scene.v(0).hits("getBalance"), 2);
}

#[tokio::test]
async fn a_limit_on_one_method_leaves_the_others_alone() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("60"));
    scene.v(0).fault(limit.on("getBalance"));
    for _ in 0..3 {
        assert_eq!(scene.balance().await.upstream(), "v1");
    }
    let other = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(other.upstream(), "v0");
    assert_eq!(scene.hits("getBalance"), [1, 3]);
}

#[tokio::test]
async fn used_up_credits_rest_the_whole_upstream() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Credits, None);
    scene.v(0).fault(limit.on("getBalance").times(1));
    assert_eq!(scene.balance().await.upstream(), "v1");
    let other = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(other.upstream(), "v1");
    assert_eq!(scene.v(0).hits("getAccountInfo"), 0);
}

#[tokio::test]
async fn a_limit_is_no_failure_for_the_breaker() {
    let scene = Scene::ranked_with(|config| config.set("breaker.failures", 2)).await;
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("60"));
    let methods = ["getBalance", "getTokenSupply", "getTokenLargestAccounts"];
    let limit = methods.iter().fold(limit, |limit, method| limit.on(method));
    scene.v(0).fault(limit);
    for method in methods {
        let reply = scene.gateway.rpc(method, json!([KEY])).await;
        assert_eq!(reply.upstream(), "v1", "{method}");
    }
    let other = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(other.upstream(), "v0");
}

#[tokio::test]
async fn when_all_upstreams_limit_the_client_is_told_when_to_return() {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        let limit = Fault::rate_limit(RateShape::Rpcpool, Some("7"));
        validator.fault(limit.on("getBalance"));
    }
    let reply = scene.balance().await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.code(), Some(429));
    assert_eq!(reply.json()["id"], 1);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=119).contains(&wait), "{wait}");
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}
