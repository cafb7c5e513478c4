//! SIGTERM: what is under way is finished, then the process ends, and no later.

use std::time::Duration;

use perijove_tests::client::call;
use perijove_tests::client::raw::{RawConnection, post};
use perijove_tests::load::Load;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::{PATIENCE, eventually, until};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::scene::{KEY, Scene, on_reads};

/// Far below the grace period, far above what an idle process needs on a busy machine.
const SOON: Duration = PATIENCE;
/// So long that whoever waits for its end fails the test.
const GRACE: &str = "10m";

async fn patient() -> Scene {
    Scene::equals_with(1, |config| {
        config
            .set("shutdown.grace", GRACE)
            .set("shutdown.linger", "1s")
    })
    .await
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once() {
    let mut scene = patient().await;
    scene.balance().await;
    scene.gateway.sigterm();
    let status = scene.gateway.process.wait(SOON).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_then_the_process_ends() {
    let mut scene = patient().await;
    scene.v(0).fault(on_reads(Fault::slow(2_500)));
    let mut raw = scene.gateway.raw().await;
    raw.send(post(&call("getBalance", &json!([KEY])), "")).await;
    eventually("the call to arrive", || scene.v(0).hits("getBalance") == 1).await;
    scene.gateway.sigterm();
    let reply = raw.reply().await.expect("an answer after SIGTERM");
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains("\"result\""), "{}", reply.text());
    let status = scene.gateway.process.wait(SOON).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_large_answer_under_way_is_sent_to_its_end() {
    let mut scene = patient().await;
    scene
        .v(0)
        .fault(Fault::from(Kind::SlowBody { ms: 2_000 }).on("sandboxPad"));
    let body = call("sandboxPad", &json!([{"bytes": 3_000_000}]));
    let mut raw = scene.gateway.raw().await;
    raw.send(post(&body, "")).await;
    eventually("the call to arrive", || scene.v(0).hits("sandboxPad") == 1).await;
    scene.gateway.sigterm();
    let reply = raw.reply().await.expect("an answer after SIGTERM");
    assert!(reply.body.len() > 3_000_000);
    assert!(scene.gateway.process.wait(SOON).await.success());
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_after_the_grace_period() {
    let mut scene = Scene::equals_with(1, |config| config.set("shutdown.grace", "1s")).await;
    scene.v(0).fault(on_reads(Kind::Hang));
    let mut raw = scene.gateway.raw().await;
    raw.send(post(&call("getBalance", &json!([KEY])), "")).await;
    eventually("the call to arrive", || scene.v(0).hits("getBalance") == 1).await;
    let asked = Instant::now();
    scene.gateway.sigterm();
    scene.gateway.process.wait(SOON).await;
    assert!(
        asked.elapsed() >= Duration::from_millis(900),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_nothing() {
    // As behind a load balancer: it looks at /ready and sends elsewhere while we serve on.
    let mut scene = Scene::equals_with(2, |config| {
        config
            .set("shutdown.delay", "1500ms")
            .set("shutdown.grace", GRACE)
            .set("shutdown.linger", "1s")
    })
    .await;
    for validator in scene.cluster.validators() {
        validator.fault(on_reads(Fault::slow(40)));
    }
    let load = Load::start(
        &scene.gateway.url(),
        150,
        &call("getBalance", &json!([KEY])),
    );
    eventually("some answers", || load.ended() >= 100).await;
    scene.gateway.sigterm();
    until("/ready to be 503", || async {
        (scene.gateway.admin("/ready").await.status == 503).then_some(())
    })
    .await;
    let leaving = load.started();
    eventually("requests while leaving", || load.started() >= leaving + 50).await;
    let outcomes = load.stop().await;
    let status = scene.gateway.process.wait(SOON).await;
    assert!(status.success(), "{status}");
    outcomes.assert_nothing_lost();
    eprintln!("{} requests around SIGTERM, none lost", outcomes.sent.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_with_open_connections_lose_nothing_even_without_a_delay() {
    let mut scene = patient().await;
    let address = scene.gateway.address();
    let mut raw = RawConnection::open(address).await;
    let request = post(&call("getBalance", &json!([KEY])), "");
    raw.send(&request).await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    scene.gateway.sigterm();
    until("the port to be closed", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    // An idle connection may still bring a request for a while, and is told that it was the last.
    raw.send(&request).await;
    let reply = raw.reply().await.expect("an answer on the open connection");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(scene.gateway.process.wait(SOON).await.success());
}
