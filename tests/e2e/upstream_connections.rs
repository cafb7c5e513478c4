//! Connections to upstreams that speak HTTP/1.1: not the limit of what passes, and when they are,
//! it is said so.

use futures::future::join_all;
use perijove_tests::client::call;
use perijove_tests::client::raw::post;
use perijove_tests::sandbox::Fault;
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use crate::scene::Scene;

/// One upstream with so many connections.
async fn bounded(kept: usize, ceiling: usize) -> Scene {
    Scene::equals_with(1, |config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["connections"] = json!(kept);
        upstreams[0]["connections_ceiling"] = json!(ceiling);
        config
            .set("upstreams", upstreams)
            .set("limits.request_timeout", "3s")
    })
    .await
}

async fn saturated(scene: &Scene) -> f64 {
    let metrics = scene.gateway.metrics().await;
    metrics.sum("perijove_upstream_saturated_total", &[])
}

#[tokio::test]
async fn calls_open_the_connections_they_need_and_leave_those_that_are_kept() {
    let scene = bounded(2, 100).await;
    scene.v(0).fault(Fault::slow(400).on("sandboxEcho"));
    let echo = |number: u32| scene.gateway.rpc("sandboxEcho", json!([number]));
    for (number, reply) in join_all((0..60).map(echo)).await.iter().enumerate() {
        assert_eq!(reply.result(), json!([number]));
    }
    assert!(saturated(&scene).await.abs() < 0.1, "no call waited");
    let most = scene.v(0).counts().tally().accepted;
    assert!(most > 10, "{most} connections carried 60 calls at once");
    // Two for calls, one for probes.
    eventually("what is not needed to be closed", || {
        scene.v(0).counts().open() <= 3
    })
    .await;
}

#[tokio::test]
async fn saturation_is_named_to_the_client_the_log_and_a_metric_and_costs_the_upstream_nothing() {
    let scene = bounded(1, 1).await;
    // A long answer whose client does not read on keeps the only connection.
    let mut reader = scene.gateway.raw().await;
    let long = call("sandboxPad", &json!([{"bytes": 50_000_000}]));
    reader.send(post(&long, "")).await;
    eventually("the long call to arrive", || {
        scene.v(0).hits("sandboxPad") == 1
    })
    .await;
    let others = join_all([scene.balance(), scene.balance()]).await;
    let text = others[0].text();
    assert_eq!(others[0].code(), Some(-32005), "{text}");
    assert!(text.contains("connections to its upstreams are all in use"));
    assert!(text.contains(r#""numSlotsBehind":null"#), "{text}");
    assert!(!text.contains("unhealthy"), "{text}");
    assert!(saturated(&scene).await > 0.9);
    let told = |line: &String| line.contains("upstream connection limit reached");
    until("the log to tell", || async {
        scene.gateway.process.log().iter().any(told).then_some(())
    })
    .await;
    let log = scene.gateway.process.log();
    let lines: Vec<_> = log.iter().filter(|line| told(line)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("WARN") && lines[0].contains("connections_ceiling"));
    drop(reader);
    scene.until_answered_by("v0").await;
    let status = scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["breaker"], "closed", "{status}");
}
