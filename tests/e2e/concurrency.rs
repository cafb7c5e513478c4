//! `adaptive_concurrency`: an upstream gets no more calls at once than it serves well. Which number that
//! is depends on times, and is tested in simulated time; here calls end when the tests say so.

use futures::future::join_all;
use perijove_tests::client::Reply;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};

use crate::scene::Scene;

/// Clients of a flood, far more than the limit.
const CLIENTS: usize = 300;
/// The limit at the beginning.
const FIRST: usize = 64;
/// What background may use of it, and what medium may.
const BACKGROUND: usize = 32;
const MEDIUM: usize = 58;

/// Every upstream adapts, and nothing but the upstreams answers.
fn adaptive(config: GatewayConfig) -> GatewayConfig {
    patient(config, true)
}

fn plain(config: GatewayConfig) -> GatewayConfig {
    patient(config, false)
}

/// No attempt ends because the machine is busy.
fn patient(config: GatewayConfig, adaptive: bool) -> GatewayConfig {
    let mut upstreams = config.get("upstreams").unwrap().clone();
    for upstream in upstreams.as_array_mut().unwrap() {
        upstream["adaptive_concurrency"] = json!(adaptive);
        upstream["timeouts"] = json!({ "connect": "50s", "first_byte": "50s", "total": "60s" });
    }
    config
        .set("limits.request_timeout", "60s")
        .set("upstreams", upstreams)
}

/// So many clients call once, all at once.
async fn flood(scene: &Scene, clients: usize, class: &str) -> Vec<Reply> {
    let calls = (0..clients).map(|number| {
        let request = scene.gateway.client().post(scene.gateway.url());
        let request = request.header("x-priority", class).json(&json!({
            "jsonrpc": "2.0", "id": 1, "method": "sandboxEcho", "params": [number],
        }));
        scene.gateway.send(request)
    });
    join_all(calls).await
}

fn all_answered(replies: &[Reply]) {
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.result(), json!([number]), "{}", reply.text());
    }
}

/// From now on the node keeps the calls of the flood, until it is healed.
fn hold(scene: &Scene, upstream: usize) {
    let held = Fault::from(Kind::Hold).on("sandboxEcho");
    scene.v(upstream).fault(held);
}

async fn limit(scene: &Scene, upstream: usize) -> Value {
    scene.gateway.status().await["upstreams"][upstream]["concurrency"].clone()
}

/// Until so many calls of the flood are at the first node, and all others wait in the gateway.
async fn until_held(scene: &Scene, calls: usize) {
    until(&format!("{calls} calls to be at the node"), || async {
        let metrics = scene.gateway.metrics().await;
        let waiting = metrics.sum("perijove_upstream_waiting_calls", &[]);
        let held = scene.v(0).hits("sandboxEcho");
        let all = waiting.to_string() == (CLIENTS - calls).to_string();
        (all && held == calls as u64).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_background_fills_neither_the_node_nor_the_way_of_a_trade() {
    let scene = Scene::equals_with(1, adaptive).await;
    hold(&scene, 0);
    let trades = async {
        until_held(&scene, BACKGROUND).await;
        for number in 0..10 {
            let sent = scene.transaction(number);
            let reply = scene.gateway.rpc("sendTransaction", sent).await;
            assert!(reply.result().is_string(), "{}", reply.text());
        }
        assert_eq!(scene.hits("sandboxEcho"), [BACKGROUND as u64]);
        let limit = limit(&scene, 0).await;
        assert_eq!(
            (&limit["limit"], &limit["ceiling"]),
            (&json!(FIRST), &json!(1024))
        );
        scene.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(flood(&scene, CLIENTS, "background"), trades);
    all_answered(&replies);
    assert_eq!(scene.hits("sandboxEcho"), [CLIENTS as u64]);
}

#[tokio::test]
async fn calls_refused_for_overload_lower_the_limit() {
    let scene = Scene::equals_with(1, adaptive).await;
    assert_eq!(limit(&scene, 0).await["moved"], Value::Null);
    // Two windows of answers: the first may have begun before the flood.
    scene.v(0).fault(Fault::status(503).on("sandboxEcho"));
    until("the limit to fall", || async {
        drop(flood(&scene, CLIENTS, "medium").await);
        let limit = limit(&scene, 0).await;
        (limit["limit"].as_u64()? < FIRST as u64).then_some(())
    })
    .await;
    let limit = limit(&scene, 0).await;
    assert_eq!(limit["moved"], "overloaded", "{limit}");
    assert!(limit["limit"].as_u64().unwrap() >= 4, "{limit}");
    let metrics = scene.gateway.metrics().await;
    let of = [("upstream", "v0"), ("reason", "overloaded")];
    let moves = metrics.sum("perijove_upstream_concurrency_moves_total", &of);
    assert!(moves >= 1.0, "{moves}");
    let shown = metrics.sum("perijove_upstream_concurrency_limit", &of[..1]);
    assert!((4.0..64.0).contains(&shown), "{shown}");
}

#[tokio::test]
async fn without_it_everything_is_sent_and_reloads_switch_it() {
    let scene = Scene::equals_with(1, plain).await;
    assert_eq!(limit(&scene, 0).await, Value::Null);
    hold(&scene, 0);
    let all = async {
        eventually("all calls to be at the node", || {
            scene.v(0).hits("sandboxEcho") == CLIENTS as u64
        })
        .await;
        scene.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(flood(&scene, CLIENTS, "medium"), all);
    all_answered(&replies);
    let config = adaptive(crate::scene::equals(&scene.cluster));
    scene.gateway.write_config(config);
    assert_eq!(scene.gateway.reload().await.status, 200);
    until("the limit to be there", || async {
        (limit(&scene, 0).await["limit"] == FIRST).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_one_upstream_cannot_take_goes_to_the_next_tier() {
    let scene = Scene::ranked_with(adaptive).await;
    for number in 0..20 {
        let reply = scene.gateway.rpc("sandboxEcho", json!([number])).await;
        assert_eq!(reply.upstream(), "v0");
    }
    assert_eq!(scene.hits("sandboxEcho"), [20, 0]);
    scene.cluster.reset_counts();
    hold(&scene, 0);
    // More than the first gets, and few enough for the second to have places for the rest. A probe may
    // have one of the first's at that moment.
    let all = MEDIUM + 40;
    let overflow = async {
        eventually("all calls to be at a node", || {
            scene.hits("sandboxEcho").iter().sum::<u64>() == all as u64
        })
        .await;
        let hits = scene.hits("sandboxEcho");
        assert!(
            (MEDIUM as u64 / 2..=MEDIUM as u64).contains(&hits[0]),
            "{hits:?}"
        );
        scene.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(flood(&scene, all, "medium"), overflow);
    all_answered(&replies);
    assert_eq!(scene.hits("sandboxEcho").iter().sum::<u64>(), all as u64);
}
