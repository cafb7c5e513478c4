//! Further attempts: how many, when, and how upstreams that keep failing are left alone.

use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::{Fault, Kind, ResetWhen};
use perijove_tests::wait::until;
use serde_json::json;

use crate::scene::{KEY, Scene, on_reads};

#[tokio::test]
async fn without_budget_no_read_is_lost_while_an_upstream_is_fit() {
    for fault in [Fault::status(503), Fault::status(400), Fault::rpc(-32000)] {
        let scene = Scene::ranked_with(|config| {
            config
                .set("retry.budget", 0.0)
                .set("retry.min_per_second", 0)
        })
        .await;
        scene.v(0).fault(on_reads(fault));
        for _ in 0..50 {
            assert_eq!(scene.balance().await.upstream(), "v1");
        }
    }
}

#[tokio::test]
async fn five_upstreams_that_fail_do_not_hide_a_sixth_that_is_well() {
    for fault in [
        Fault::status(503),
        Fault::status(400),
        Fault::rpc(-32603),
        Fault::reset(ResetWhen::AfterRead),
    ] {
        let scene = Scene::equals_with(6, |config| {
            config
                .set("retry.budget", 0.0)
                .set("retry.min_per_second", 0)
        })
        .await;
        for validator in scene.cluster.validators().iter().take(5) {
            validator.fault(on_reads(fault.clone()));
        }
        for _ in 0..20 {
            assert_eq!(scene.balance().await.upstream(), "v5", "{fault:?}");
        }
    }
}

#[tokio::test]
async fn each_upstream_is_asked_once_and_attempts_bound_what_comes_after() {
    let scene = Scene::equals_with(4, |config| config.set("retry.attempts", 2)).await;
    for validator in scene.cluster.validators() {
        validator.fault(on_reads(Fault::status(503)));
    }
    let reply = scene.balance().await;
    assert!(reply.code().is_some(), "{}", reply.text());
    assert_eq!(scene.hits("getBalance"), [1, 1, 1, 1]);
}

#[tokio::test]
async fn a_call_that_takes_longer_than_allowed_ends_in_time() {
    let scene = Scene::ranked_with(|config| config.set("limits.request_timeout", "700ms")).await;
    for validator in scene.cluster.validators() {
        validator.fault(on_reads(Kind::Hang));
    }
    let reply = scene.balance().await;
    assert_eq!(reply.code(), Some(-32005), "{}", reply.text());
}

/// Hedges, as many as there may be reason for.
fn hedging(config: GatewayConfig) -> GatewayConfig {
    config
        .set("hedge.enabled", true)
        .set("hedge.floor", "20ms")
        .set("hedge.metered_after", "500ms")
        .set("retry.min_per_second", 1_000)
}

/// A gateway that has seen enough calls to know how long they usually take.
async fn warmed_up() -> Scene {
    let scene = Scene::ranked_with(hedging).await;
    for _ in 0..60 {
        scene.balance().await;
    }
    scene.cluster.reset_counts();
    scene
}

#[tokio::test]
async fn a_slow_read_is_hedged_and_the_faster_answer_wins() {
    let scene = warmed_up().await;
    scene.v(0).fault(on_reads(Fault::slow(5_000)));
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}

#[tokio::test]
async fn an_upstream_that_loses_every_race_is_left() {
    // Its probes are answered and each call is rescued by a hedge: its failures must count all the
    // same, or it would be asked first for ever.
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["timeouts"] = json!({ "first_byte": "300ms" });
        hedging(config).set("upstreams", upstreams)
    })
    .await;
    for _ in 0..60 {
        scene.balance().await;
    }
    scene.v(0).fault(on_reads(Kind::Hang));
    scene.goes_past_the_first().await;
}

#[tokio::test]
async fn calls_wait_behind_hanging_ones_no_longer_than_a_connection_may_take() {
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["connections"] = json!(1);
        upstreams[0]["connections_ceiling"] = json!(2);
        upstreams[0]["timeouts"] = json!({"connect": "50ms"});
        config.set("upstreams", upstreams)
    })
    .await;
    scene.v(0).fault(Fault::from(Kind::Hold).on("getEpochInfo"));
    let slow = || scene.gateway.rpc("getEpochInfo", json!([]));
    let others = async {
        perijove_tests::wait::eventually("both calls to arrive", || {
            scene.v(0).hits("getEpochInfo") == 2
        })
        .await;
        for _ in 0..3 {
            assert_eq!(scene.balance().await.upstream(), "v1");
        }
        assert_eq!(scene.v(0).counts().tally().abandoned, 0);
        scene.v(0).heal().unwrap();
    };
    let (first, second, ()) = tokio::join!(slow(), slow(), others);
    assert_eq!((first.upstream(), second.upstream()), ("v0", "v0"));
}

#[tokio::test]
async fn a_read_that_is_fast_enough_is_not_hedged() {
    let scene = Scene::ranked_with(|config| hedging(config).set("hedge.floor", "10s")).await;
    for _ in 0..30 {
        scene.balance().await;
    }
    assert_eq!(scene.hits("getBalance"), [30, 0]);
}

/// `v1` charges for each call.
async fn metered(metered_after: &str) -> Scene {
    Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[1]["metered"] = json!(true);
        hedging(config)
            .set("upstreams", upstreams)
            .set("hedge.metered_after", metered_after)
    })
    .await
}

#[tokio::test]
async fn a_slow_read_is_not_hedged_where_that_costs() {
    let scene = metered("1m").await;
    scene.v(0).fault(on_reads(Fault::slow(1_500)));
    assert_eq!(scene.balance().await.upstream(), "v0");
    assert_eq!(scene.hits("getBalance"), [1, 0]);
}

#[tokio::test]
async fn a_read_that_is_stuck_is_hedged_even_where_that_costs() {
    let scene = metered("100ms").await;
    scene.v(0).fault(on_reads(Kind::Hang));
    assert_eq!(scene.balance().await.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [1, 1]);
}

#[tokio::test]
async fn hedging_can_be_switched_off() {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", false)).await;
    scene.v(0).fault(on_reads(Fault::slow(500)));
    assert_eq!(scene.balance().await.upstream(), "v0");
    assert_eq!(scene.hits("getBalance"), [1, 0]);
}

#[tokio::test]
async fn an_unknown_method_is_never_hedged() {
    let scene = warmed_up().await;
    scene.v(0).fault(Fault::slow(1_000).on("sandboxEcho"));
    let reply = scene.gateway.rpc("sandboxEcho", json!([1])).await;
    assert_eq!(reply.result(), json!([1]));
    assert_eq!(scene.hits("sandboxEcho"), [1, 0]);
}

#[tokio::test]
async fn a_breaker_opens_after_failures_in_a_row_and_closes_after_good_trials() {
    let open_for = |config: GatewayConfig, time: &str| {
        config
            .set("breaker.failures", 3)
            .set("breaker.open", time)
            .set("breaker.trials", 1)
            .set("breaker.successes", 1)
    };
    let breaker =
        async |scene: &Scene| scene.gateway.status().await["upstreams"][0]["breaker"].clone();
    let scene = Scene::ranked_with(|config| open_for(config, "1h")).await;
    scene.v(0).fault(on_reads(Fault::status(500)));
    for _ in 0..8 {
        assert_eq!(scene.balance().await.upstream(), "v1");
    }
    assert_eq!(scene.hits("getBalance"), [3, 8]);
    assert_eq!(breaker(&scene).await, "open");
    // A trial that fails opens it again.
    let scene = Scene::ranked_with(|config| open_for(config, "100ms")).await;
    scene.v(0).fault(on_reads(Fault::status(500)));
    for trial in [4, 5] {
        until("a trial", || async {
            assert_eq!(scene.balance().await.upstream(), "v1");
            (scene.v(0).hits("getBalance") == trial).then_some(())
        })
        .await;
        assert_eq!(breaker(&scene).await, "open");
    }
    scene.v(0).heal().unwrap();
    scene.settles_on(0).await;
    assert_eq!(breaker(&scene).await, "closed");
}

#[tokio::test]
async fn errors_of_the_client_open_no_breaker() {
    let scene = Scene::ranked_with(|config| config.set("breaker.failures", 2)).await;
    for _ in 0..5 {
        let reply = scene.gateway.rpc("getBalance", json!(["no key"])).await;
        assert_eq!(reply.code(), Some(-32602));
    }
    assert_eq!(scene.balance().await.upstream(), "v0");
}

#[tokio::test]
async fn failovers_are_counted() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(on_reads(Fault::status(503)).times(1));
    scene.balance().await;
    let metrics = scene.gateway.metrics().await;
    let failovers = metrics.sum("jupiter_api_rpc_failover_total", &[]);
    assert!((failovers - 1.0).abs() < f64::EPSILON, "{failovers}");
}

#[tokio::test]
async fn a_skipped_slot_is_asked_for_twice_and_then_believed() {
    let scene = Scene::equals(3).await;
    let first = scene.v(0).sight().processed - 500;
    let skipped = (first..first + 100)
        .find(|slot| perijove_tests::sandbox::chain::skipped(*slot))
        .unwrap();
    let reply = scene.gateway.rpc("getBlock", json!([skipped])).await;
    assert_eq!(reply.code(), Some(-32007));
    assert_eq!(scene.cluster.hits("getBlock"), 2);
}

#[tokio::test]
async fn a_denied_method_goes_where_it_is_allowed() {
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["deny"] = json!(["getBalance"]);
        upstreams[1]["deny"] = json!(["getSupply"]);
        config
            .set("upstreams", upstreams)
            .set("methods.deny", json!(["getLargestAccounts"]))
    })
    .await;
    assert_eq!(scene.balance().await.upstream(), "v1");
    assert_eq!(
        scene
            .gateway
            .rpc("getAccountInfo", json!([KEY]))
            .await
            .upstream(),
        "v0"
    );
    assert_eq!(
        scene.gateway.rpc("getSupply", json!([])).await.upstream(),
        "v0"
    );
    let refused = scene.gateway.rpc("getLargestAccounts", json!([])).await;
    assert_eq!((refused.status, refused.code()), (200, Some(-32601)));
    assert_eq!(scene.hits("getLargestAccounts"), [0, 0]);
    assert_eq!(scene.hits("getBalance"), [0, 1]);
}
