//! History that the own node has pruned is found where it is, asked for once, and nothing is kept
//! that another upstream may know better.

mod node;

use perijove_tests::client::Reply;
use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use node::{BEGIN, Node, Says, error};

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

/// A question, what a node says that does not have it, and what one says that has.
struct Row {
    method: &'static str,
    params: Value,
    lacks: Says,
    has: Value,
}

fn row(method: &'static str, params: Value, lacks: impl Into<Says>, has: Value) -> Row {
    Row {
        method,
        params,
        lacks: lacks.into(),
        has,
    }
}

fn signature(mark: u8) -> String {
    bs58::encode([mark; 64]).into_string()
}

fn wrapped(value: &Value) -> Value {
    json!({"context": {"slot": BEGIN}, "value": value})
}

/// Every kind of question, with every answer of a node that does not have it.
fn rows() -> Vec<Row> {
    let transaction = || json!({"slot": OLD, "blockTime": 1_700_000_000, "meta": null});
    let block = || json!({"blockhash": "h", "parentSlot": OLD - 1, "transactions": []});
    let item = |n: u64| json!({"signature": format!("s{n}"), "slot": OLD + n});
    let cleaned = || {
        let message = format!(
            "Block {OLD} cleaned up, does not exist on node. First available block: {OLDEST}"
        );
        Says::Error(-32001, message)
    };
    let search = json!({"searchTransactionHistory": true});
    let mut rows = vec![
        row(
            "getTransaction",
            json!([signature(1)]),
            json!(null),
            transaction(),
        ),
        row(
            "getTransaction",
            json!([signature(2), {"encoding": "base64", "commitment": "confirmed"}]),
            json!(null),
            transaction(),
        ),
        row(
            "getTransaction",
            json!([signature(3)]),
            error(-32019),
            transaction(),
        ),
        row(
            "getConfirmedTransaction",
            json!([signature(4)]),
            json!(null),
            transaction(),
        ),
        row("getBlock", json!([OLD]), json!(null), block()),
        row("getConfirmedBlock", json!([OLD + 20]), json!(null), block()),
        row(
            "getBlockTime",
            json!([OLD]),
            json!(null),
            json!(1_700_000_000),
        ),
        row(
            "getBlocks",
            json!([OLD, OLD + 2]),
            json!([]),
            json!([OLD, OLD + 2]),
        ),
        row(
            "getBlocks",
            json!([OLD, BEGIN]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD, OLD + 1, OLDEST, OLDEST + 1]),
        ),
        row(
            "getBlocks",
            json!([OLDEST - 5, BEGIN]),
            json!([OLDEST]),
            json!([OLDEST - 5, OLDEST]),
        ),
        row(
            "getBlocksWithLimit",
            json!([OLD, 2]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD, OLD + 1]),
        ),
        row(
            "getConfirmedBlocksWithLimit",
            json!([OLD + 20, 2]),
            json!([]),
            json!([OLD + 20, OLD + 21]),
        ),
        row(
            "getBlockCommitment",
            json!([OLD]),
            json!({"commitment": null, "totalStake": 5}),
            json!({"commitment": [1], "totalStake": 5}),
        ),
        row(
            "getSignaturesForAddress",
            json!(["a"]),
            json!([]),
            json!([item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["b", {"limit": 3}]),
            json!([item(3)]),
            json!([item(3), item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["c", {"limit": 9, "before": signature(5)}]),
            json!([item(2)]),
            json!([item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["d", {"until": signature(6)}]),
            json!([item(2)]),
            json!([item(2), item(1)]),
        ),
        row(
            "getSignaturesForAddress",
            json!(["e", {"before": signature(7)}]),
            error(-32020),
            json!([item(1)]),
        ),
        row(
            "getConfirmedSignaturesForAddress2",
            json!(["f"]),
            json!([]),
            json!([item(1)]),
        ),
        row(
            "getSignatureStatuses",
            json!([[signature(8)], search]),
            wrapped(&json!([null])),
            wrapped(&json!([{"slot": OLD}])),
        ),
        row(
            "getSignatureStatuses",
            json!([[signature(9), signature(10)], search]),
            wrapped(&json!([{"slot": BEGIN}, null])),
            wrapped(&json!([{"slot": BEGIN}, {"slot": OLD}])),
        ),
        row(
            "getInflationReward",
            json!([["a"], {"epoch": 0}]),
            json!([null]),
            json!([{"amount": 5}]),
        ),
        row(
            "getInflationReward",
            json!([["b"], {"epoch": 0}]),
            error(-32018),
            json!([{"amount": 5}]),
        ),
        row(
            "getInflationReward",
            json!([["c"], {"epoch": 0}]),
            error(-32004),
            json!([{"amount": 5}]),
        ),
    ];
    for (age, code) in (1..).zip([-32004, -32007, -32009, -32014, -32019]) {
        rows.push(row("getBlock", json!([OLD + age]), error(code), block()));
        rows.push(row(
            "getBlockTime",
            json!([OLD + age]),
            error(code),
            json!(1_700_000_000),
        ));
    }
    rows.push(row("getBlock", json!([OLD + 9]), cleaned(), block()));
    rows.push(row(
        "getBlockTime",
        json!([OLD + 9]),
        cleaned(),
        json!(1_700_000_000),
    ));
    rows
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

/// The own node knows the newest, the archive the oldest.
#[tokio::test]
async fn what_each_has_in_part_is_answered_together() {
    let search = json!({"searchTransactionHistory": true});
    let item = |at: u8| json!({"signature": signature(at), "slot": at});
    for (method, params, own, paid, both) in [
        (
            "getSignatureStatuses",
            json!([[signature(21), signature(22), signature(23)], search]),
            wrapped(&json!([{"slot": BEGIN}, null, null])),
            wrapped(&json!([null, {"slot": OLD}, {"slot": OLD}])),
            wrapped(&json!([{"slot": BEGIN}, {"slot": OLD}, {"slot": OLD}])),
        ),
        (
            "getSignatureStatuses",
            json!([[signature(24), signature(25)], search]),
            wrapped(&json!([{"slot": BEGIN}, null])),
            wrapped(&json!([null, {"slot": OLD}])),
            wrapped(&json!([{"slot": BEGIN}, {"slot": OLD}])),
        ),
        (
            "getSignaturesForAddress",
            json!(["both"]),
            json!([item(30), item(29)]),
            json!([item(28), item(3)]),
            json!([item(30), item(29), item(28), item(3)]),
        ),
        (
            "getBlocks",
            json!([OLD + 50, BEGIN]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD + 50, OLDEST]),
            json!([OLD + 50, OLDEST, OLDEST + 1]),
        ),
        // It begins at a slot without a block, and both lists are as long.
        (
            "getBlocksWithLimit",
            json!([OLD + 60, 2]),
            json!([OLDEST, OLDEST + 1]),
            json!([OLD + 61, OLD + 62]),
            json!([OLD + 61, OLD + 62]),
        ),
    ] {
        let scene = Scene::with(|config| config.set("cache.enabled", true)).await;
        scene.own.says(method, own);
        scene.paid.says(method, paid);
        for _ in 0..2 {
            let reply = scene.ask(method, &params).await;
            assert_eq!(reply.json()["result"], both, "{method} {params}");
        }
    }
}

#[tokio::test]
async fn what_the_archive_has_is_remembered_though_it_lacks_the_rest() {
    let scene = Scene::new().await;
    let search = json!({"searchTransactionHistory": true});
    let (method, recent, old) = ("getSignatureStatuses", signature(26), signature(27));
    scene
        .own
        .says(method, wrapped(&json!([{"slot": BEGIN}, null])));
    scene
        .paid
        .says(method, wrapped(&json!([null, {"slot": OLD}])));
    scene.ask(method, &json!([[recent, old], search])).await;
    scene.own.says(method, wrapped(&json!([null])));
    scene.paid.says(method, wrapped(&json!([{"slot": OLD}])));
    let reply = scene.ask(method, &json!([[old], search])).await;
    assert_eq!(reply.result()["value"], json!([{"slot": OLD}]));
    assert_eq!(scene.hits(method), [2, 2]);
}

/// A node is asked once a minute where its history begins.
#[tokio::test]
async fn a_list_that_begins_late_tells_that_the_node_has_purged() {
    let scene = Scene::new().await;
    for (method, begin, until) in [
        ("getBlocks", 100, OLDEST + 300),
        ("getBlocksWithLimit", 200, 2),
    ] {
        let purged = json!([OLDEST + begin, OLDEST + begin + 1]);
        let all = json!([OLDEST + 5, OLDEST + 6]);
        scene.own.says(method, purged);
        scene.paid.says(method, all);
        let reply = scene.ask(method, &json!([OLDEST + 5, until])).await;
        assert_eq!(reply.result()[0], OLDEST + 5, "{method}");
    }
    // The node is known to have less now.
    scene.own.says("getBlockTime", json!(null));
    scene.paid.says("getBlockTime", json!(1_700_000_000));
    let reply = scene.ask("getBlockTime", &json!([OLDEST + 50])).await;
    assert_eq!(reply.result(), 1_700_000_000);
}

/// The next blocks from a slot on, and the blocks up to a slot, are not one question.
#[tokio::test]
async fn what_a_limit_and_what_a_range_asks_for_is_remembered_apart() {
    let scene = Scene::new().await;
    for (method, has) in [
        ("getBlocksWithLimit", json!([])),
        ("getBlocks", json!([OLD, OLD + 1])),
    ] {
        scene.own.says(method, json!([]));
        scene.paid.says(method, has.clone());
        let reply = scene.ask(method, &json!([OLD, OLD + 3])).await;
        assert_eq!(reply.result(), has, "{method}");
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

#[tokio::test]
async fn waiting_for_a_transaction_burns_no_credits() {
    let scene = Scene::new().await;
    let elsewhere = signature(1);
    scene.own.says("getTransaction", json!(null));
    scene
        .own
        .says("getSignatureStatuses", wrapped(&json!([null])));
    scene.paid.says("getTransaction", json!(null));
    scene
        .paid
        .says("getSignatureStatuses", wrapped(&json!([null])));
    let statuses = json!([[elsewhere], {"searchTransactionHistory": true}]);
    for commitment in ["confirmed", "finalized"].iter().cycle().take(20) {
        let params = json!([elsewhere, {"commitment": commitment}]);
        assert_eq!(
            scene.ask("getTransaction", &params).await.result(),
            json!(null)
        );
        let reply = scene.ask("getSignatureStatuses", &statuses).await;
        assert_eq!(reply.result()["value"], json!([null]));
    }
    assert_eq!(scene.hits("getTransaction"), [20, 1]);
    assert_eq!(
        scene.hits("getSignatureStatuses"),
        [20, 0],
        "one signature, one question"
    );
    // It lands.
    scene.own.says("getTransaction", json!({"slot": BEGIN}));
    let reply = scene.ask("getTransaction", &json!([elsewhere])).await;
    assert_eq!(
        (reply.result()["slot"].as_u64(), reply.upstream()),
        (Some(BEGIN), "own")
    );
}

#[tokio::test]
async fn what_was_sent_from_here_is_not_looked_for_in_archives() {
    let scene = Scene::new().await;
    let wire = [&[1_u8][..], &[7; 64], &[1, 2, 3]].concat();
    scene.own.says("sendTransaction", json!(signature(7)));
    scene.own.says("getTransaction", json!(null));
    scene.paid.says("getTransaction", json!(null));
    let sent = json!([bs58::encode(wire).into_string()]);
    assert_eq!(
        scene.ask("sendTransaction", &sent).await.result(),
        json!(signature(7))
    );
    for _ in 0..5 {
        let reply = scene.ask("getTransaction", &json!([signature(7)])).await;
        assert_eq!(reply.result(), json!(null));
    }
    assert_eq!(scene.hits("getTransaction"), [5, 0]);
}

#[tokio::test]
async fn a_second_own_node_is_nearer_than_a_paid_one() {
    let older = Node::start().await.begins_at(OLD - 5);
    let url = older.url();
    let scene = Scene::with(|config| config.endpoint(Endpoint::at("older", &url))).await;
    until("the third one", || async {
        let status = scene.gateway.status().await;
        let known = |one: &&Value| one["oldest_slot"].is_u64();
        let known = status["upstreams"].as_array()?.iter().filter(known).count();
        (known >= 2).then_some(())
    })
    .await;
    for node in [&scene.own, &scene.paid, &older] {
        node.says("getBlock", json!({"blockhash": "h"}));
    }
    scene.own.says("getBlock", error(-32001));
    for slot in 0..8 {
        let reply = scene.ask("getBlock", &json!([OLD + slot])).await;
        assert_eq!(reply.upstream(), "older", "{}", reply.text());
    }
    assert_eq!(scene.paid.hits("getBlock"), 0);
    // What it does not reach either is the paid one's.
    older.says("getBlock", error(-32001));
    let reply = scene.ask("getBlock", &json!([OLD - 100])).await;
    assert_eq!(reply.upstream(), "paid", "{}", reply.text());
}

#[tokio::test]
async fn a_paid_upstream_that_is_said_to_keep_little_is_no_archive() {
    let paid = Node::start().await.begins_at(BEGIN - 10);
    let own = Node::start().await.begins_at(OLDEST);
    let scene = Scene::of(own, paid, |config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[1]["capabilities"] = json!(["full-api", "history"]);
        config.set("upstreams", upstreams)
    })
    .await;
    scene.own.says("getTransaction", json!(null));
    let reply = scene.ask("getTransaction", &json!([signature(1)])).await;
    assert_eq!(reply.result(), json!(null));
    assert_eq!(scene.hits("getTransaction"), [1, 0]);
    assert_eq!(
        scene.gateway.status().await["upstreams"][1]["history"],
        "oldest slot"
    );
}

#[tokio::test]
async fn a_node_that_has_not_said_where_it_begins_is_not_believed() {
    let own = Node::start().await;
    for method in ["getFirstAvailableBlock", "minimumLedgerSlot"] {
        own.says(method, error(-32601));
    }
    let scene = Scene::of(own, Node::start().await, |config| config).await;
    scene.own.says("getBlockTime", json!(null));
    scene.paid.says("getBlockTime", json!(5));
    let reply = scene.ask("getBlockTime", &json!([OLDEST + 7])).await;
    assert_eq!((reply.result(), reply.upstream()), (json!(5), "paid"));
    // A refusal says it.
    let message =
        format!("Block {OLD} cleaned up, does not exist on node. First available block: {OLDEST}");
    scene.own.says("getBlock", Says::Error(-32001, message));
    scene.paid.says("getBlock", json!({"blockhash": "h"}));
    assert_eq!(
        scene.ask("getBlock", &json!([OLD])).await.upstream(),
        "paid"
    );
    let status = scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["oldest_slot"], OLDEST);
}

#[tokio::test]
async fn an_archive_that_is_down_is_not_the_only_one() {
    let other = Node::start().await;
    let url = other.url();
    let scene =
        Scene::with(|config| config.endpoint(Endpoint::at("public", &url).tier("public"))).await;
    scene.own.says("getTransaction", json!(null));
    scene.paid.says("getTransaction", Says::Status(503));
    other.says("getTransaction", json!({"slot": OLD}));
    let reply = scene.ask("getTransaction", &json!([signature(1)])).await;
    assert_eq!(
        (reply.upstream(), reply.result()["slot"].as_u64()),
        ("public", Some(OLD))
    );
}

#[tokio::test]
async fn it_is_shown_and_counted() {
    let scene = Scene::new().await;
    let params = |mark| json!([signature(mark)]);
    scene.own.says("getTransaction", json!(null));
    for (mark, says) in [
        (1, Says::Result(json!({"slot": OLD}))),
        (2, Says::Result(json!(null))),
        (3, Says::Status(503)),
    ] {
        scene.paid.says("getTransaction", says);
        scene.ask("getTransaction", &params(mark)).await;
    }
    let metrics = scene.gateway.metrics().await;
    for result in ["found", "nothing", "failed"] {
        let labels = [("method", "getTransaction"), ("result", result)];
        let counted = metrics.sum("perijove_dispatch_history_total", &labels);
        assert!((counted - 1.0).abs() < f64::EPSILON, "{result}: {counted}");
    }
    let oldest = metrics.sum("perijove_upstream_oldest_slot", &[("upstream", "own")]);
    assert!((oldest - 999_000.0).abs() < f64::EPSILON, "{oldest}");
    let status = scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["history"], "oldest slot");
    assert_eq!(status["upstreams"][0]["oldest_slot"], OLDEST);
    assert_eq!(status["upstreams"][1]["history"], "presumed archive");
}
