//! `adaptive_concurrency`: an upstream gets no more calls at once than it serves well.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::Fault;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::Scene;

/// Clients of a flood, far more than the upstream has workers.
const CLIENTS: usize = 300;
const WORKERS: usize = 8;
/// So many calls may be at the upstream: what it begins with, or later what it finds, with room
/// for a busy machine.
const BOUNDED: usize = 80;

/// Every upstream adapts, and nothing but the upstreams answers.
fn adaptive(config: GatewayConfig) -> GatewayConfig {
    let mut upstreams = config.get("upstreams").unwrap().clone();
    for upstream in upstreams.as_array_mut().unwrap() {
        upstream["adaptive_concurrency"] = json!(true);
    }
    plain(config.set("upstreams", upstreams))
}

fn plain(config: GatewayConfig) -> GatewayConfig {
    config
        .set("cache.enabled", false)
        .set("hedge.enabled", false)
}

/// Clients that call again and again, while something else is done.
struct Flood {
    over: AtomicBool,
    served: AtomicU64,
}

impl Flood {
    fn new() -> Self {
        Self {
            over: AtomicBool::new(false),
            served: AtomicU64::new(0),
        }
    }

    /// Ends with `meanwhile`. Every call must be answered.
    async fn beside<T>(&self, scene: &Scene, class: &str, meanwhile: impl Future<Output = T>) -> T {
        let clients = join_all((0..CLIENTS).map(|number| async move {
            while !self.over.load(Ordering::Relaxed) {
                let request = scene
                    .gateway
                    .client()
                    .post(scene.gateway.url())
                    .header("x-priority", class)
                    .json(&json!({
                        "jsonrpc": "2.0", "id": 1, "method": "sandboxEcho", "params": [number],
                    }));
                let reply = scene.gateway.send(request).await;
                assert_eq!(reply.status, 200, "{}", reply.text());
                assert_eq!(reply.result(), json!([number]), "{}", reply.text());
                self.served.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let meanwhile = async {
            let result = meanwhile.await;
            self.over.store(true, Ordering::Relaxed);
            result
        };
        tokio::join!(clients, meanwhile).1
    }

    async fn until_served(&self, calls: u64) {
        until("the flood to go on", || async {
            (self.served.load(Ordering::Relaxed) >= calls).then_some(())
        })
        .await;
    }
}

async fn limit(scene: &Scene, upstream: usize) -> Value {
    scene.gateway.status().await["upstreams"][upstream]["concurrency"].clone()
}

#[tokio::test]
async fn a_flood_of_background_fills_neither_the_node_nor_the_way_of_a_trade() {
    let scene = Scene::equals_with(1, adaptive).await;
    scene
        .v(0)
        .fault(Fault::workers(WORKERS, 20).sparing_probes());
    let workers = scene.v(0).faults().workers();
    let flood = Flood::new();
    let trades = async {
        flood.until_served(1500).await;
        workers.take_most_inside();
        for number in 0..10 {
            let sent = scene.transaction(number);
            let reply = scene.gateway.rpc("sendTransaction", sent).await;
            assert!(reply.result().is_string(), "{}", reply.text());
        }
        workers.take_most_inside()
    };
    let inside = flood.beside(&scene, "background", trades).await;
    // Of three hundred, which would all be in work or wait there.
    assert!(inside <= BOUNDED, "{inside} calls at {WORKERS} workers");
    let limit = limit(&scene, 0).await;
    assert!(limit["limit"].as_u64().unwrap() >= 4, "{limit}");
    assert_eq!(limit["ceiling"], 1024);
    assert!(limit["moved"].is_string(), "{limit}");
    let metrics = scene.gateway.metrics().await;
    let of = [("upstream", "v0")];
    let moves = metrics.sum("perijove_upstream_concurrency_moves_total", &of);
    assert!(moves >= 1.0, "{moves}");
    assert!(metrics.sum("perijove_upstream_concurrency_limit", &of) >= 4.0);
}

#[tokio::test]
async fn without_it_everything_is_sent_and_reloads_switch_it() {
    let scene = Scene::equals_with(1, plain).await;
    scene
        .v(0)
        .fault(Fault::workers(WORKERS, 20).sparing_probes());
    let workers = scene.v(0).faults().workers();
    assert_eq!(limit(&scene, 0).await, Value::Null);
    let flood = Flood::new();
    flood
        .beside(&scene, "medium", async {
            until("all calls to be at the node", || async {
                (workers.take_most_inside() > CLIENTS * 9 / 10).then_some(())
            })
            .await;
        })
        .await;
    let config = adaptive(crate::scene::equals(&scene.cluster));
    scene.gateway.write_config(config);
    assert_eq!(scene.gateway.reload().await.status, 200);
    until("the limit to be there", || async {
        (limit(&scene, 0).await["limit"] == 64).then_some(())
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
    scene
        .v(0)
        .fault(Fault::workers(WORKERS, 20).sparing_probes());
    let workers = scene.v(0).faults().workers();
    let flood = Flood::new();
    let overflow = async {
        flood.until_served(2000).await;
        workers.take_most_inside()
    };
    let inside = flood.beside(&scene, "medium", overflow).await;
    assert!(inside <= BOUNDED, "{inside} calls at {WORKERS} workers");
    let hits = scene.hits("sandboxEcho");
    assert!(hits[0] > 100, "{hits:?}");
    assert!(hits[1] > 500, "{hits:?}");
}
