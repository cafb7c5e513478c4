//! History that the own node has pruned is found where it is, asked for once, and nothing is kept
//! that another upstream may know better.

mod archives;
mod node;
mod parts;
mod rows;

use perijove_tests::client::Reply;
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use node::{BEGIN, Node, Says, error};

use rows::{rows, signature, wrapped};

/// Where the ledger of the own node begins.
const OLDEST: u64 = BEGIN - 1_000;
/// Long before that.
const OLD: u64 = BEGIN - 500_000;

/// Two nodes: the own one, and one that is paid for each call.
struct Scene {
    own: Node,
    paid: Node,
    gateway: Gateway,
}

fn endpoint(id: &str, node: &Node) -> Endpoint {
    Endpoint::at(id, &node.url())
}

/// What both tests with and without a cache begin with.
fn config() -> GatewayConfig {
    GatewayConfig::new()
        .set("history.pause", "1h")
        .set("history.longest_pause", "1h")
}

impl Scene {
    async fn new() -> Self {
        Self::with(|config| config).await
    }

    async fn with(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Self {
        Self::of(
            Node::start().await.begins_at(OLDEST),
            Node::start().await,
            change,
        )
        .await
    }

    async fn of(
        own: Node,
        paid: Node,
        change: impl FnOnce(GatewayConfig) -> GatewayConfig,
    ) -> Self {
        // What a node is told to say stays the same while the chain goes on.
        let config = config()
            .set("health.exclude_lag", 100_000)
            .set("health.readmit_lag", 99_999)
            .endpoint(endpoint("own", &own))
            .endpoint(endpoint("paid", &paid).tier("paid"));
        let gateway = Gateway::start(change(config)).await;
        let scene = Self { own, paid, gateway };
        scene.learned().await;
        scene
    }

    /// Waits until the gateway knows where history begins, and what is final.
    async fn learned(&self) {
        let expected = self.own.begins().map(Value::from).unwrap_or_default();
        until("where history begins", || async {
            let status = self.gateway.status().await;
            let upstreams = status["upstreams"].as_array()?;
            let probed = upstreams.iter().all(|one| one["health"] == "healthy");
            let known = upstreams[0]["oldest_slot"] == expected;
            (probed && known && status["tip"]["finalized"].is_u64()).then_some(())
        })
        .await;
    }

    async fn ask(&self, method: &str, params: &Value) -> Reply {
        self.gateway.rpc(method, params.clone()).await
    }

    /// Hits of both by one method.
    fn hits(&self, method: &str) -> [u64; 2] {
        [self.own.hits(method), self.paid.hits(method)]
    }

    fn reset(&self) {
        self.own.reset();
        self.paid.reset();
    }
}

#[tokio::test]
async fn what_the_own_node_has_not_is_found_where_it_is() {
    let scene = Scene::new().await;
    for row in rows() {
        scene.reset();
        scene.own.says(row.method, row.lacks);
        scene.paid.says(row.method, row.has.clone());
        let reply = scene.ask(row.method, &row.params).await;
        let what = format!("{} {}: {}", row.method, row.params, reply.text());
        assert_eq!(reply.json()["result"], row.has, "{what}");
        assert_eq!(reply.upstream(), "paid", "{what}");
        assert_eq!(scene.hits(row.method), [1, 1], "{what}");
    }
}

#[tokio::test]
async fn what_the_own_node_has_is_not_asked_for_elsewhere() {
    let scene = Scene::new().await;
    for row in rows() {
        // A page that is not full does not tell that it is all there is.
        let short = row.method.contains("SignaturesForAddress")
            && row.params[1]["limit"].as_u64() != row.has.as_array().map(|all| all.len() as u64);
        if short {
            continue;
        }
        scene.reset();
        scene.own.says(row.method, row.has.clone());
        scene.paid.says(row.method, row.lacks);
        let reply = scene.ask(row.method, &row.params).await;
        let what = format!("{} {}: {}", row.method, row.params, reply.text());
        assert_eq!(reply.json()["result"], row.has, "{what}");
        assert_eq!(reply.upstream(), "own", "{what}");
        assert_eq!(scene.hits(row.method), [1, 0], "{what}");
    }
}

#[tokio::test]
async fn made_up_signatures_cost_no_more_than_they_may_and_what_is_found_is_free() {
    let transaction = json!({"slot": OLD, "blockTime": 1_700_000_000, "meta": null});
    for (rate, has, asked) in [(0, json!(null), 0), (1, transaction, 40)] {
        let scene = Scene::with(|config| config.set("history.misses_per_second", rate)).await;
        scene.own.says("getTransaction", json!(null));
        scene.paid.says("getTransaction", has.clone());
        for mark in 0..40 {
            let reply = scene.ask("getTransaction", &json!([signature(mark)])).await;
            let expected = if rate == 0 { &json!(null) } else { &has };
            assert_eq!(&reply.json()["result"], expected, "{}", reply.text());
        }
        assert_eq!(scene.hits("getTransaction"), [40, asked]);
        let metrics = scene.gateway.metrics().await;
        let limited = [("method", "getTransaction"), ("result", "limited")];
        let limited = metrics.sum("perijove_dispatch_history_total", &limited);
        assert!(
            (limited - if rate == 0 { 40.0 } else { 0.0 }).abs() < 0.5,
            "{limited}"
        );
    }
}

#[tokio::test]
async fn what_nobody_has_is_asked_for_once() {
    let scene = Scene::new().await;
    for row in rows() {
        // Errors that may be others in a moment are asked about again in any case.
        if matches!(row.lacks, Says::Error(-32004 | -32014 | -32019, _)) {
            continue;
        }
        scene.reset();
        scene.own.says(row.method, row.lacks.clone());
        scene.paid.says(row.method, row.lacks.clone());
        for asked in 1..=3 {
            let reply = scene.ask(row.method, &row.params).await;
            let what = format!("{} {}: {}", row.method, row.params, reply.text());
            match &row.lacks {
                Says::Result(result) => assert_eq!(&reply.json()["result"], result, "{what}"),
                Says::Error(code, _) => assert_eq!(reply.code(), Some(*code), "{what}"),
                Says::Status(status) => panic!("{status}"),
            }
            assert_eq!(reply.upstream(), "own", "{what}");
            assert_eq!(scene.hits(row.method), [asked, 1], "{what}");
        }
    }
}

#[tokio::test]
async fn a_node_without_history_is_passed_by() {
    let scene = Scene::new().await;
    let params = json!([signature(1)]);
    scene.own.says("getTransaction", error(-32011));
    scene.paid.says("getTransaction", json!({"slot": OLD}));
    for _ in 0..2 {
        let reply = scene.ask("getTransaction", &params).await;
        assert_eq!(reply.result()["slot"], OLD);
    }
    assert_eq!(scene.hits("getTransaction"), [1, 2]);
}

#[tokio::test]
async fn within_its_own_range_the_own_node_is_believed() {
    let scene = Scene::new().await;
    let there = OLDEST + 7;
    for (method, params, nothing) in [
        ("getBlock", json!([there]), json!(null)),
        ("getBlockTime", json!([there]), json!(null)),
        ("getBlocks", json!([there, there + 1]), json!([])),
        ("getBlocks", json!([OLDEST, BEGIN]), json!([OLDEST + 30])),
        ("getBlocksWithLimit", json!([there, 2]), json!([])),
        (
            "getBlockCommitment",
            json!([there]),
            json!({"commitment": null, "totalStake": 5}),
        ),
        // Not there yet.
        ("getBlocks", json!([BEGIN * 2]), json!([])),
        ("getBlockTime", json!([BEGIN * 2]), json!(null)),
        // The status cache, not history.
        (
            "getSignatureStatuses",
            json!([[signature(1)]]),
            wrapped(&json!([null])),
        ),
    ] {
        scene.own.says(method, nothing.clone());
        let reply = scene.ask(method, &params).await;
        assert_eq!(reply.result(), nothing, "{method} {params}");
        assert_eq!(scene.paid.hits(method), 0, "{method} {params}");
    }
}

#[tokio::test]
async fn a_deeper_upstream_that_fails_leaves_the_first_answer_which_is_not_kept() {
    let scene = Scene::with(|config| config.set("cache.enabled", true)).await;
    for (method, params, lacks) in [
        ("getBlock", json!([OLD]), error(-32007)),
        (
            "getTransaction",
            json!([signature(1)]),
            Says::Result(json!(null)),
        ),
        ("getBlocks", json!([OLD, OLD + 2]), Says::Result(json!([]))),
    ] {
        for failure in [Says::Status(503), error(-32603), error(-32019)] {
            scene.reset();
            scene.own.says(method, lacks.clone());
            scene.paid.says(method, failure);
            for asked in 1..=3 {
                let reply = scene.ask(method, &params).await;
                let what = format!("{method}: {}", reply.text());
                assert_eq!(reply.upstream(), "own", "{what}");
                assert_eq!(reply.code(), lacks.code(), "{what}");
                assert_eq!(reply.cache(), "miss", "{what}");
                assert_eq!(scene.own.hits(method), asked, "{what}");
                assert!(scene.paid.hits(method) <= 2, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_deepest_confirms_is_kept() {
    let scene = Scene::with(|config| config.set("cache.enabled", true)).await;
    scene.own.says("getBlock", error(-32007));
    scene.paid.says("getBlock", error(-32009));
    let first = scene.ask("getBlock", &json!([OLD])).await;
    assert_eq!((first.code(), first.upstream()), (Some(-32007), "own"));
    let second = scene.ask("getBlock", &json!([OLD])).await;
    assert_eq!((second.code(), second.cache()), (Some(-32007), "hit"));
    assert_eq!(scene.hits("getBlock"), [1, 1]);
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let scene = Scene::with(|config| {
        config
            .set("cache.enabled", true)
            .set("history.ask_deeper", false)
    })
    .await;
    for (method, params, lacks) in [
        (
            "getTransaction",
            json!([signature(1)]),
            Says::Result(json!(null)),
        ),
        ("getBlock", json!([OLD]), error(-32009)),
        (
            "getSignaturesForAddress",
            json!(["a"]),
            Says::Result(json!([])),
        ),
    ] {
        scene.own.says(method, lacks.clone());
        for asked in 1..=2 {
            let reply = scene.ask(method, &params).await;
            assert_eq!(
                (reply.upstream(), reply.code()),
                ("own", lacks.code()),
                "{method}"
            );
            // It may be there all the same.
            assert_eq!(scene.hits(method), [asked, 0], "{method}");
        }
    }
}
