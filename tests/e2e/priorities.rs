//! Who goes first where an upstream's connections are short.

use std::time::Duration;

use futures::future::join_all;
use perijove_tests::client::Reply;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Settings};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, equals};

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

/// A read of an account by a caller of this class.
async fn balance_as(scene: &Scene, class: &str) -> Reply {
    let call = json!({ "jsonrpc": "2.0", "id": class, "method": "getBalance", "params": [KEY] });
    let gateway = &scene.gateway;
    let request = gateway.client().post(gateway.url()).json(&call);
    gateway.send(request.header("x-priority", class)).await
}

/// How many calls wait, by the part of `/status` that has the classes of a queue.
fn waiting(classes: &Value, class: Option<&str>) -> u64 {
    let classes = classes.as_array().unwrap().iter();
    let named = classes.filter(|one| class.is_none_or(|class| one["class"] == class));
    named.map(|one| one["waiting"].as_u64().unwrap()).sum()
}

/// Two callers read the same, the one of class background first, behind calls of class medium for which
/// there is no place. Returns the order in which the upstream saw the calls.
async fn order_behind_a_flood(scene: &Scene, queue: fn(&Value) -> &Value) -> Vec<String> {
    scene.v(0).fault(Fault::from(Kind::Hold).on("sandboxEcho"));
    let until_waiting = async |class: Option<&str>, calls: u64| {
        until("calls to wait", || async {
            let status = scene.gateway.status().await;
            (waiting(queue(&status), class) == calls).then_some(())
        })
        .await;
    };
    let flood = join_all((0..20).map(|number| scene.gateway.rpc("sandboxEcho", json!([number]))));
    let background = async {
        until_waiting(None, 19).await;
        balance_as(scene, "background").await
    };
    let critical = async {
        until_waiting(Some("background"), 1).await;
        balance_as(scene, "critical").await
    };
    let release = async {
        until_waiting(Some("critical"), 1).await;
        scene.v(0).heal().unwrap();
    };
    let (replies, background, critical, ()) = tokio::join!(flood, background, critical, release);
    for reply in replies.iter().chain([&background, &critical]) {
        assert_eq!((reply.status, reply.code()), (200, None));
    }
    assert_eq!(scene.hits("getBalance"), [1], "one for both");
    scene.v(0).counts().order()
}

/// One upstream, of a cluster so slow that a call may be joined for as long as it waits.
async fn slow_slots(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Scene {
    let cluster = Sandbox::with(Settings {
        validators: 1,
        slot_time: Duration::from_secs(10),
        ..Settings::default()
    })
    .await
    .unwrap();
    let config = equals(&cluster)
        .set("cluster.slot_time", "10s")
        .set("cache.enabled", true)
        .set("hedge.enabled", false);
    let gateway = Gateway::start(change(config)).await;
    cluster.reset_counts();
    Scene { cluster, gateway }
}

#[tokio::test]
async fn a_trade_does_not_wait_in_the_place_of_the_background_that_asked_the_same() {
    let scene = slow_slots(|config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["connections"] = json!(1);
        upstreams[0]["connections_ceiling"] = json!(1);
        config.set("upstreams", upstreams)
    })
    .await;
    let order = order_behind_a_flood(&scene, |status| &status["upstreams"][0]["classes"]).await;
    let before = order.iter().position(|method| method == "getBalance");
    assert_eq!(before, Some(1), "after the one under way: {order:?}");
}

#[tokio::test]
async fn nor_in_its_place_before_the_gateway_as_a_whole() {
    let scene = slow_slots(|config| {
        config
            .set("limits.calls", 1)
            .set("limits.calls_queue", "30s")
    })
    .await;
    let order = order_behind_a_flood(&scene, |status| &status["admission"]["classes"]).await;
    let before = order.iter().position(|method| method == "getBalance");
    assert_eq!(before, Some(1), "after the one under way: {order:?}");
}
