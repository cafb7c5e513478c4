//! Losing an upstream under steady load: no read is lost.

use std::time::Duration;

use perijove_tests::client::call;
use perijove_tests::load::{Load, Sent, quantile};
use perijove_tests::sandbox::{Fault, Kind, ResetWhen};
use perijove_tests::wait::eventually;
use serde_json::json;

use crate::scene::{KEY, Scene, on_reads};

const RATE: u32 = 150;

/// Loads the gateway, breaks `v0` in the middle, and heals it again near the end. Gives the number
/// of requests and how many of them met the fault.
async fn loses_no_read(scene: Scene, fault: impl Into<Fault>) -> (usize, u64) {
    let load = Load::start(
        &scene.gateway.url(),
        RATE,
        &call("getBalance", &json!([KEY])),
    );
    eventually("some answers", || load.ended() >= 150).await;
    let before = load.started();
    let fault = fault.into();
    scene.cluster.reset_counts();
    if fault.kind == Kind::Down {
        scene.v(0).down().await;
    } else {
        scene.v(0).fault(fault);
    }
    eventually("more answers", || load.started() >= before + 300).await;
    let healed = load.started();
    let met = scene.v(0).hits("getBalance");
    scene.v(0).heal().unwrap();
    eventually("more answers", || load.started() >= healed + 150).await;
    let outcomes = load.stop().await;
    outcomes.assert_nothing_lost();
    let from = Duration::from_secs(1) / RATE * u32::try_from(before).unwrap();
    let until = from + Duration::from_secs(1);
    let during: Vec<_> = outcomes
        .sent
        .iter()
        .filter(|one| one.at >= from && one.at < until)
        .map(|one: &Sent| one.latency)
        .collect();
    let calm = outcomes.sent.iter().filter(|one| one.at < from);
    let calm: Vec<_> = calm.map(|one| one.latency).collect();
    eprintln!(
        "{} requests, none lost, {met} met the fault; median {:?} before, {:?} in the second after \
         (p99 {:?}, most {:?})",
        outcomes.sent.len(),
        quantile(calm, 0.5),
        quantile(during.clone(), 0.5),
        quantile(during.clone(), 0.99),
        quantile(during, 1.0),
    );
    (outcomes.sent.len(), met)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_one_of_two_upstreams_loses_no_read() {
    loses_no_read(Scene::equals(2).await, Kind::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_upstream_that_has_all_the_calls_loses_no_read() {
    loses_no_read(Scene::ranked().await, Kind::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_resets_everything_loses_no_read() {
    let (all, met) = loses_no_read(Scene::ranked().await, Fault::reset(ResetWhen::AfterRead)).await;
    assert!((1..100).contains(&met), "{met} of {all} met the fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_answers_errors_loses_no_read() {
    let (all, met) = loses_no_read(Scene::ranked().await, Fault::status(503)).await;
    assert!((1..100).contains(&met), "{met} of {all} met the fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stops_answering_loses_no_read() {
    let (all, met) = loses_no_read(Scene::ranked().await, Kind::Hang).await;
    assert!((1..100).contains(&met), "{met} of {all} met the fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stops_answering_one_method_loses_no_read() {
    // Its probes are answered, so only the calls can tell.
    let scene = Scene::ranked().await;
    let (all, met) = loses_no_read(scene, on_reads(Kind::Hang)).await;
    assert!((1..100).contains(&met), "{met} of {all} met the fault");
}

/// The time of a read whose first upstream refuses the connection: what a dead process costs until
/// the health check has noticed.
#[tokio::test]
async fn a_refused_connection_costs_little() {
    let mut extra = Vec::new();
    let mut calm = Vec::new();
    for _ in 0..5 {
        let scene = Scene::ranked_with(|config| {
            let mut upstreams = config.get("upstreams").unwrap().clone();
            // Rare probes, so that it is the call that finds out.
            upstreams[0]["probe"] = json!({ "interval": "30s" });
            config.set("upstreams", upstreams)
        })
        .await;
        for _ in 0..5 {
            let start = tokio::time::Instant::now();
            scene.balance().await;
            calm.push(start.elapsed());
        }
        scene.v(0).down().await;
        let start = tokio::time::Instant::now();
        let reply = scene.balance().await;
        extra.push(start.elapsed());
        assert_eq!(reply.upstream(), "v1");
    }
    let (calm, failed_over) = (quantile(calm, 0.5), quantile(extra, 0.5));
    eprintln!("median read {calm:?}; failed over from a refused connection {failed_over:?}");
    assert!(failed_over < calm + Duration::from_secs(1));
}
