//! What each upstream has in part.

use super::*;

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
