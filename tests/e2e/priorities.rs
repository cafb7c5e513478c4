//! Who goes first where an upstream's connections are short.

use futures::future::join_all;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use crate::scene::{KEY, Scene};

/// One upstream with so many connections.
async fn narrow(ceiling: usize) -> Scene {
    Scene::equals_with(1, |config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["connections"] = json!(ceiling);
        upstreams[0]["connections_ceiling"] = json!(ceiling);
        config
            .set("upstreams", upstreams)
            .set("cache.enabled", false)
            .set("hedge.enabled", false)
    })
    .await
}

#[tokio::test]
async fn scans_leave_connections_to_cheap_calls() {
    let scene = narrow(4).await;
    // They would take longer than the test has patience.
    scene
        .v(0)
        .fault(Fault::slow(20_000).on("getProgramAccounts"));
    let scans = join_all((0..10).map(|_| scene.gateway.rpc("getProgramAccounts", json!([KEY]))));
    let reads = async {
        eventually("some scans to be under way", || {
            scene.v(0).hits("getProgramAccounts") == 2
        })
        .await;
        for _ in 0..20 {
            assert_eq!(scene.balance().await.status, 200);
        }
    };
    tokio::select! {
        () = reads => {}
        _ = scans => panic!("the scans were quicker"),
    }
    assert_eq!(
        scene.hits("getProgramAccounts"),
        [2],
        "at most half of four"
    );
}

/// Until so many calls wait for the connection.
async fn until_waiting(scene: &Scene, calls: u32) {
    until(&format!("{calls} calls to wait"), || async {
        let metrics = scene.gateway.metrics().await;
        let waiting = metrics.sum("perijove_upstream_waiting_calls", &[]);
        ((waiting - f64::from(calls)).abs() < 0.5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_trade_goes_before_everything_that_waits() {
    let scene = narrow(1).await;
    // Until all of them wait, the connection is in use.
    scene.v(0).fault(Fault::from(Kind::Hold).on("sandboxEcho"));
    let flood = join_all((0..20).map(|number| scene.gateway.rpc("sandboxEcho", json!([number]))));
    let trade = async {
        until_waiting(&scene, 19).await;
        let sent = scene.gateway.rpc("sendTransaction", scene.transaction(1));
        let release = async {
            until_waiting(&scene, 20).await;
            scene.v(0).heal().unwrap();
        };
        let (reply, ()) = tokio::join!(sent, release);
        assert!(reply.result().is_string(), "{}", reply.text());
    };
    let (replies, ()) = tokio::join!(flood, trade);
    assert!(replies.iter().all(|reply| reply.status == 200));
    let order = scene.v(0).counts().order();
    let before = order.iter().position(|method| method == "sendTransaction");
    assert_eq!(before, Some(1), "after the one under way: {order:?}");
    assert_eq!(scene.hits("sandboxEcho"), [20]);
}

#[tokio::test]
async fn the_gateway_as_a_whole_lets_the_higher_class_go_first_and_turns_the_lowest_away() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set("limits.calls", 1)
            .set("limits.calls_waiting", 5)
            .set("limits.calls_queue", "30s")
    })
    .await;
    scene.v(0).fault(Fault::slow(300).on("sandboxEcho"));
    let flood = join_all((0..20).map(|number| scene.gateway.rpc("sandboxEcho", json!([number]))));
    let trade = async {
        eventually("the flood to begin", || scene.v(0).hits("sandboxEcho") >= 1).await;
        let sent = scene.transaction(1);
        let reply = scene.gateway.rpc("sendTransaction", sent).await;
        assert!(reply.result().is_string(), "{}", reply.text());
        scene.v(0).hits("sandboxEcho")
    };
    let (replies, before) = tokio::join!(flood, trade);
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    let shed: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!(served + shed.len(), 20);
    assert!((5..=10).contains(&served), "{served} of twenty were served");
    assert!(
        shed.iter()
            .all(|reply| reply.header("retry-after") == Some("1"))
    );
    assert!(before < served as u64, "{before} of {served} went before");
    let metrics = scene.gateway.metrics().await;
    let count = |class, outcome| {
        let labels = [("class", class), ("outcome", outcome)];
        metrics.sum("perijove_admission_calls_total", &labels)
    };
    assert!(count("medium", "shed") > 9.5);
    assert!(count("critical", "shed").abs() < 0.1);
    assert!(count("medium", "queued") > 3.5);
    assert_eq!(scene.gateway.status().await["admission"]["limit"], 1);
}
