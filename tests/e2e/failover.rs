//! Losing an upstream under steady load: no read is lost.

use perijove_tests::client::call;
use perijove_tests::load::Load;
use perijove_tests::sandbox::{Fault, Kind, ResetWhen};
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use crate::scene::{KEY, Scene, on_reads};

const RATE: u32 = 150;

/// Hedged as by default: without, a read that hangs is waited for.
async fn ranked() -> Scene {
    Scene::ranked_with(|config| {
        config
            .set("hedge.enabled", true)
            .set("hedge.metered_after", "500ms")
    })
    .await
}

/// Loads the gateway and breaks `v0` in the middle. When reads have gone past it, heals it again.
async fn loses_no_read(scene: Scene, fault: impl Into<Fault>) {
    let load = Load::start(
        &scene.gateway.url(),
        RATE,
        &call("getBalance", &json!([KEY])),
    );
    eventually("some answers", || load.ended() >= 150).await;
    let before = load.started();
    let fault = fault.into();
    let down = fault.kind == Kind::Down;
    scene.cluster.reset_counts();
    if down {
        scene.v(0).down().await;
    } else {
        scene.v(0).fault(fault);
        eventually("a read to meet the fault", || met(&scene) > 0).await;
    }
    eventually("more answers", || load.started() >= before + 300).await;
    goes_past_it(&scene, &load).await;
    let met = met(&scene);
    let healed = load.started();
    scene.v(0).heal().unwrap();
    eventually("more answers", || load.started() >= healed + 150).await;
    let outcomes = load.stop().await;
    outcomes.assert_nothing_lost();
    eprintln!(
        "{} requests, none lost, {met} met the fault; median {:?}, p99 {:?}",
        outcomes.sent.len(),
        outcomes.quantile(0.5),
        outcomes.quantile(0.99),
    );
}

fn met(scene: &Scene) -> u64 {
    scene.v(0).hits("getBalance")
}

/// Waits until reads are sent and answered without `v0` being asked. How many have met the fault by
/// then depends on how many were under way.
async fn goes_past_it(scene: &Scene, load: &Load) {
    until("reads to go past the upstream", || async {
        let (asked, started) = (met(scene), load.started());
        // More have ended than were sent until now: some of them were sent since.
        eventually("more answers", || load.ended() as u64 >= started + 30).await;
        (met(scene) == asked).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_two_upstreams_loses_no_read() {
    loses_no_read(Scene::equals(2).await, Kind::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_upstream_that_has_all_the_calls_loses_no_read() {
    loses_no_read(ranked().await, Kind::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_resets_everything_loses_no_read() {
    loses_no_read(ranked().await, Fault::reset(ResetWhen::AfterRead)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_answers_errors_loses_no_read() {
    loses_no_read(ranked().await, Fault::status(503)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stops_answering_loses_no_read() {
    loses_no_read(ranked().await, Kind::Hang).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stops_answering_one_method_loses_no_read() {
    // Its probes are answered, so only the calls can tell.
    loses_no_read(ranked().await, on_reads(Kind::Hang)).await;
}

/// What a dead process costs until the health check has noticed: one attempt, and neither a wait nor
/// anything of the retry budget.
#[tokio::test]
async fn a_refused_connection_costs_little() {
    let scene = Scene::ranked_with(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        // Rare probes, so that it is the call that finds out.
        upstreams[0]["probe"] = json!({ "interval": "30s" });
        config
            .set("upstreams", upstreams)
            .set("retry.budget", 0.0)
            .set("retry.min_per_second", 0)
    })
    .await;
    for _ in 0..5 {
        assert_eq!(scene.balance().await.upstream(), "v0");
    }
    scene.v(0).down().await;
    assert_eq!(scene.balance().await.upstream(), "v1");
    assert_eq!(scene.hits("getBalance"), [5, 1]);
    let metrics = scene.gateway.metrics().await;
    let count = |name, labels: &[(&str, &str)]| metrics.sum(name, labels);
    let attempts = count("perijove_upstream_attempts_total", &[("upstream", "v0")]);
    assert!((attempts - 6.0).abs() < f64::EPSILON, "{attempts}");
    let exhausted = count("perijove_dispatch_retry_budget_exhausted_total", &[]);
    assert!(exhausted.abs() < f64::EPSILON, "{exhausted}");
}
