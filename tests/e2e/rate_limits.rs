//! How the gateway behaves towards upstreams that say "too many requests".

use std::time::Duration;

use perijove_tests::sandbox::{Fault, Kind, RateShape};
use perijove_tests::wait::until;
use serde_json::json;
use tokio::time::Instant;

use crate::scene::{KEY, Scene, on_reads};

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

/// Every validator says "too many requests" to reads of balances.
fn limit_all(scene: &Scene, retry_after: Option<&str>) {
    for validator in scene.cluster.validators() {
        validator.fault(on_reads(Fault::rate_limit(RateShape::Rpcpool, retry_after)));
    }
}

#[tokio::test]
async fn while_all_upstreams_rest_nobody_is_asked() {
    for validators in [1, 2] {
        let scene = Scene::equals(validators).await;
        limit_all(&scene, Some("30"));
        for turn in 0..50 {
            let reply = scene.balance().await;
            assert_eq!(reply.status, 429, "{turn}: {}", reply.text());
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=30).contains(&wait), "{turn}: {wait}");
        }
        assert_eq!(scene.hits("getBalance"), vec![1; validators]);
        let other = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
        assert_eq!(other.status, 200, "{}", other.text());
    }
}

#[tokio::test]
async fn used_up_credits_are_waited_for_though_probes_are_answered() {
    let scene = Scene::equals(1).await;
    let gone = Fault::rate_limit(RateShape::Credits, None);
    scene.v(0).fault(on_reads(gone).times(1));
    assert_eq!(scene.balance().await.status, 429);
    let probes = || {
        let tally = scene.v(0).counts().tally();
        tally.probes.get("getSlot").copied().unwrap_or_default()
    };
    let before = probes();
    until("some probes", || async {
        (probes() > before + 2).then_some(())
    })
    .await;
    let reply = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(
        reply.header("retry-after"),
        Some("119"),
        "no client waits longer"
    );
    assert_eq!(scene.hits("getBalance"), [1]);
    assert_eq!(scene.hits("getAccountInfo"), [0]);
}

#[tokio::test]
async fn a_validator_that_rests_does_not_keep_calls_from_a_healthy_provider() {
    let scene = Scene::ranked().await;
    let limit = Fault::rate_limit(RateShape::Plain, Some("60"));
    scene.v(0).fault(on_reads(limit));
    for _ in 0..20 {
        assert_eq!(scene.balance().await.upstream(), "v1");
    }
    assert_eq!(scene.hits("getBalance"), [1, 20]);
}

#[tokio::test]
async fn a_guessed_pause_of_the_only_upstream_is_tried_and_ends_with_the_limit() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set("hold_off.base", "200ms")
            .set("hold_off.factor", 10.0)
    })
    .await;
    limit_all(&scene, None);
    until("a long pause", || async {
        scene.balance().await;
        (scene.v(0).hits("getBalance") >= 4).then_some(())
    })
    .await;
    scene.v(0).heal().unwrap();
    // The pause itself would last for minutes.
    scene.until_answered_by("v0").await;
}

#[tokio::test]
async fn a_wait_named_by_a_date_is_kept() {
    let scene = Scene::equals(1).await;
    limit_all(&scene, Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    for _ in 0..10 {
        let reply = scene.balance().await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("retry-after"), Some("119"));
    }
    assert_eq!(scene.hits("getBalance"), [1]);
}

#[tokio::test]
async fn what_is_cached_is_served_while_all_rest() {
    let scene = Scene::equals_with(1, |config| config.set("cache.enabled", true)).await;
    let ask = || scene.gateway.rpc("getGenesisHash", json!([]));
    until("the answer to be kept", || async {
        (ask().await.header("x-perijove-cache") == Some("hit")).then_some(())
    })
    .await;
    let limit = Fault::rate_limit(RateShape::Credits, Some("60"));
    scene.v(0).fault(limit.on("getAccountInfo").times(1));
    let limited = scene.gateway.rpc("getAccountInfo", json!([KEY])).await;
    assert_eq!(limited.status, 429);
    let kept = ask().await;
    assert_eq!((kept.status, kept.code()), (200, None), "{}", kept.text());
}

#[tokio::test]
async fn a_refused_key_is_an_error_of_the_gateways_own_and_no_rate_limit() {
    for status in [401, 403] {
        let scene = Scene::ranked().await;
        for validator in scene.cluster.validators() {
            validator.fault(on_reads(Fault::status(status)));
        }
        for _ in 0..10 {
            let reply = scene.balance().await;
            assert_eq!((reply.status, reply.code()), (200, Some(-32603)));
            assert_eq!(reply.header("retry-after"), None);
            assert!(reply.text().contains("gateway's key"), "{}", reply.text());
        }
        assert_eq!(scene.hits("getBalance"), [1, 1], "{status}");
        let metrics = scene.gateway.metrics().await;
        for upstream in ["v0", "v1"] {
            let labels = [("upstream", upstream)];
            let refused = metrics.sum("perijove_upstream_key_refusals_total", &labels);
            assert!(refused >= 1.0, "{status} {upstream}: {refused}");
        }
    }
}

#[tokio::test]
async fn an_upstream_whose_key_was_corrected_serves_again_without_a_restart() {
    for reload in [false, true] {
        let scene = Scene::ranked().await;
        scene.v(0).fault(Fault::status(403).on("getBalance"));
        assert_eq!(scene.balance().await.upstream(), "v1");
        assert_eq!(scene.balance().await.upstream(), "v1");
        assert_eq!(scene.hits("getBalance"), [1, 2], "it is left alone");
        scene.v(0).heal().unwrap();
        if reload {
            let reply = scene.gateway.reload().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(scene.balance().await.upstream(), "v0", "at once");
        } else {
            scene.until_answered_by("v0").await;
        }
    }
}

#[tokio::test]
async fn where_one_upstream_takes_the_key_nobody_notices() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(Fault::status(401)));
    for _ in 0..10 {
        assert_eq!(scene.balance().await.upstream(), "v1");
    }
    assert_eq!(scene.hits("getBalance"), [1, 10]);
}

#[tokio::test]
async fn one_that_refuses_the_key_beside_one_that_limits_is_a_rate_limit() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(Kind::HttpStatus {
        status: 401,
        body: None,
    }));
    let limit = Fault::rate_limit(RateShape::Rpcpool, Some("20"));
    scene.v(1).fault(on_reads(limit));
    for _ in 0..3 {
        assert_eq!(scene.balance().await.status, 429);
    }
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}
