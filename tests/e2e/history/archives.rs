//! Which upstream is an archive, and what it costs to ask one.

use super::*;

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
