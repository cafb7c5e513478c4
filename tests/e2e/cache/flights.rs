//! Identical calls at the same time share one call to an upstream, and none of them suffers by it.

use std::collections::BTreeMap;

use perijove_tests::client::raw::{RawConnection, post};
use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};

use super::stage::{Stage, at, moving};
use crate::scene::{KEY, on_reads};

/// Asks from connections of their own, all at the same time.
async fn all_at_once(stage: &Stage, count: usize, method: &str, params: &Value) -> Vec<Reply> {
    let clients: Vec<_> = (0..count.min(50)).map(|_| client::keep_alive()).collect();
    let asking = (0..count).map(|index| {
        let body = json!({"jsonrpc": "2.0", "id": index, "method": method, "params": params});
        let request = clients[index % clients.len()]
            .post(stage.gateway().url())
            .header("content-type", "application/json")
            .body(body.to_string());
        stage.gateway().send(request)
    });
    futures::future::join_all(asking).await
}

/// Waits until the gateway has so many requests under way, and has looked at them.
async fn under_way(stage: &Stage, count: u64) {
    stage.gateway().until_in_flight(count).await;
    // Who comes later is answered: so those before him have been looked at.
    for _ in 0..3 {
        assert!(
            stage
                .ask("getVersion", &json!([]))
                .await
                .result()
                .is_object()
        );
    }
}

/// Asks at the same time, and lets the upstream answer when all are under way.
async fn held(stage: &Stage, count: usize, method: &str, params: &Value) -> Vec<Reply> {
    stage.v(0).fault(Fault::from(Kind::Hold).on(method));
    let releasing = async {
        under_way(stage, count as u64).await;
        stage.v(0).heal().unwrap();
    };
    let asking = all_at_once(stage, count, method, params);
    tokio::join!(asking, releasing).0
}

fn by_header(replies: &[Reply]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for reply in replies {
        *counts.entry(reply.cache()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identical_calls_make_one() {
    let stage = Stage::single().await;
    let params = at(&moving(), Level::Processed);
    let replies = held(&stage, 1_000, "getBalance", &params).await;
    assert_eq!(stage.cluster().hits("getBalance"), 1);
    let said = stage.said(stage.sight().processed, "getBalance", &params);
    for (index, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 200);
        assert_eq!(
            (&reply.json()["id"], reply.result()),
            (&json!(index), said.clone())
        );
    }
    let headers = by_header(&replies);
    assert_eq!(headers, BTreeMap::from([("coalesced", 999), ("miss", 1)]));
    let metrics = stage.gateway().metrics().await;
    let counted = metrics.sum("perijove_cache_coalesced_total", &[]);
    assert!((counted - 999.0).abs() < 0.5, "{counted}");
}

#[tokio::test]
async fn what_is_never_kept_is_shared_all_the_same() {
    let stage = Stage::single_with(|config| config.set("cache.methods.getBalance.slots", 0)).await;
    let params = json!([KEY]);
    let replies = held(&stage, 20, "getBalance", &params).await;
    assert!(replies.iter().all(|reply| reply.result()["value"].is_u64()));
    assert_eq!(stage.cluster().hits("getBalance"), 1);
    stage.ask("getBalance", &params).await;
    assert_eq!(stage.cluster().hits("getBalance"), 2);
}

#[tokio::test]
async fn calls_are_not_shared_where_the_operator_does_not_want_it() {
    let stage = Stage::single_with(|config| config.set("cache.coalesce", false)).await;
    held(&stage, 5, "getBalance", &json!([KEY])).await;
    assert_eq!(stage.cluster().hits("getBalance"), 5);
}

#[tokio::test]
async fn writes_and_calls_about_one_node_are_not_shared() {
    let stage = Stage::single().await;
    let airdrops = held(&stage, 5, "requestAirdrop", &json!([KEY, 5])).await;
    let mut signatures: Vec<_> = airdrops
        .iter()
        .map(|one| one.result().to_string())
        .collect();
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), 5);
    held(&stage, 5, "getIdentity", &json!([])).await;
    assert_eq!(stage.cluster().hits("getIdentity"), 5);
}

#[tokio::test]
async fn calls_that_want_different_slots_are_not_shared() {
    let stage = Stage::single().await;
    stage.v(0).fault(on_reads(Kind::Hold));
    let now = stage.sight().finalized;
    let least = |least: u64| json!([KEY, {"minContextSlot": least}]);
    let asked = [json!([KEY]), least(now - 5), least(now)];
    let asking = asked.iter().map(|params| stage.ask("getBalance", params));
    let releasing = async {
        under_way(&stage, 3).await;
        stage.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(futures::future::join_all(asking), releasing);
    assert_eq!(by_header(&replies), BTreeMap::from([("miss", 3)]));
    assert_eq!(stage.cluster().hits("getBalance"), 3);
}

#[tokio::test]
async fn a_caller_that_insists_on_a_new_answer_does_not_wait_for_anothers() {
    let stage = Stage::single().await;
    stage.v(0).fault(on_reads(Fault::from(Kind::Hold).times(1)));
    let params = json!([KEY]);
    let first = stage.ask("getBalance", &params);
    let second = async {
        eventually("the first call to arrive", || {
            stage.v(0).hits("getBalance") == 1
        })
        .await;
        let no_cache = ("cache-control", "no-cache");
        let second = stage.ask_with(no_cache, "getBalance", &params).await;
        stage.v(0).heal().unwrap();
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.result()["value"].is_u64());
    assert!(
        ["bypass", "miss"].contains(&second.cache()),
        "{}",
        second.cache()
    );
    assert_eq!(stage.cluster().hits("getBalance"), 2);
}

/// A caller of this method whose call is the first, byte by byte.
async fn leader(stage: &Stage, method: &str, params: &Value) -> RawConnection {
    let mut leader = stage.gateway().raw().await;
    leader.send(post(&client::call(method, params), "")).await;
    eventually("its call to arrive", || stage.v(0).hits(method) == 1).await;
    leader
}

#[tokio::test]
async fn when_the_first_caller_hangs_up_the_others_are_answered() {
    let stage = Stage::single().await;
    let params = at(&moving(), Level::Processed);
    stage.v(0).fault(on_reads(Kind::Hold));
    let leader = leader(&stage, "getBalance", &params).await;
    let hanging_up = async {
        under_way(&stage, 21).await;
        drop(leader);
        until("the first to be gone", || async {
            let status = stage.gateway().status().await;
            (status["in_flight"] == 20).then_some(())
        })
        .await;
        stage.v(0).heal().unwrap();
    };
    let others = all_at_once(&stage, 20, "getBalance", &params);
    let (replies, ()) = tokio::join!(others, hanging_up);
    let said = stage.said(stage.sight().processed, "getBalance", &params);
    for reply in &replies {
        assert_eq!(reply.result(), said, "{}", reply.cache());
    }
    // Its own call, or that of the one who took over.
    let hits = stage.cluster().hits("getBalance");
    assert!((1..=2).contains(&hits), "{hits}");
}

#[tokio::test]
async fn when_everybody_hangs_up_the_call_is_given_up_and_the_next_one_is_served() {
    let stage = Stage::single().await;
    let params = at(&moving(), Level::Processed);
    stage.v(0).fault(on_reads(Kind::Hold));
    let mut callers = vec![leader(&stage, "getBalance", &params).await];
    for count in 2..6 {
        let mut follower = stage.gateway().raw().await;
        let body = client::call("getBalance", &params);
        follower.send(post(&body, "")).await;
        under_way(&stage, count).await;
        callers.push(follower);
    }
    drop(callers);
    until("all to be gone", || async {
        let status = stage.gateway().status().await;
        (status["in_flight"] == 0).then_some(())
    })
    .await;
    stage.v(0).heal().unwrap();
    let said = stage.said(stage.sight().processed, "getBalance", &params);
    assert_eq!(stage.ask("getBalance", &params).await.result(), said);
}

#[tokio::test]
async fn those_who_waited_for_a_call_that_failed_are_not_failed_by_it() {
    let stage = Stage::single_with(|config| config.set("retry.attempts", 1)).await;
    let params = at(&moving(), Level::Processed);
    stage.v(0).fault(on_reads(Kind::Hold));
    stage.v(0).fault(on_reads(Fault::status(503).times(1)));
    let mut leader = leader(&stage, "getBalance", &params).await;
    let releasing = async {
        under_way(&stage, 21).await;
        stage.v(0).heal().unwrap();
    };
    let others = all_at_once(&stage, 20, "getBalance", &params);
    let (others, ()) = tokio::join!(others, releasing);
    let failed = leader.reply().await.unwrap();
    assert!(failed.text().contains("\"error\""), "{}", failed.text());
    let said = stage.said(stage.sight().processed, "getBalance", &params);
    for reply in &others {
        assert_eq!(reply.result(), said, "{}", reply.cache());
    }
    assert_eq!(stage.cluster().hits("getBalance"), 2);
}

#[tokio::test]
async fn when_every_upstream_fails_those_who_wait_do_not_storm_it() {
    let stage = Stage::single_with(|config| config.set("retry.attempts", 1)).await;
    // The first call fails when all wait for it, and each after it takes its time and fails.
    stage.v(0).fault(on_reads(Kind::Hold));
    stage.v(0).fault(on_reads(Fault::status(503)));
    let releasing = async {
        under_way(&stage, 50).await;
        stage.v(0).heal().unwrap();
        stage.v(0).fault(on_reads(Fault::slow(1_000)));
        stage.v(0).fault(on_reads(Fault::status(503)));
    };
    let params = json!([KEY]);
    let asking = all_at_once(&stage, 50, "getBalance", &params);
    let (replies, ()) = tokio::join!(asking, releasing);
    assert!(replies.iter().all(|reply| reply.code().is_some()));
    let hits = stage.cluster().hits("getBalance");
    assert!(hits < 25, "{hits} calls");
}

#[tokio::test]
async fn an_error_of_the_call_itself_is_shared() {
    let stage = Stage::single().await;
    let replies = held(&stage, 10, "getBalance", &json!(["no key"])).await;
    assert!(replies.iter().all(|reply| reply.code() == Some(-32602)));
    assert_eq!(stage.cluster().hits("getBalance"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_reach_everybody_whole() {
    let stage = Stage::single().await;
    let bytes = 3_000_000;
    stage
        .v(0)
        .fault(Fault::from(Kind::Big { bytes }).on("getSupply"));
    stage.v(0).fault(Fault::slow(500).on("getSupply"));
    let replies = all_at_once(&stage, 8, "getSupply", &json!([])).await;
    for reply in &replies {
        let result = reply.result();
        assert!(reply.body.len() as u64 > bytes);
        assert_eq!(result["value"]["nonCirculatingAccounts"], json!([]));
        assert!(
            result["sandboxPad"]
                .as_str()
                .unwrap()
                .bytes()
                .all(|byte| byte == b'a')
        );
    }
    // Too large to be kept.
    let before = stage.cluster().hits("getSupply");
    stage.ask("getSupply", &json!([])).await;
    assert_eq!(stage.cluster().hits("getSupply"), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_first_caller_that_does_not_read() {
    let stage = Stage::single().await;
    stage
        .v(0)
        .fault(Fault::from(Kind::Big { bytes: 50_000_000 }).on("getSupply"));
    let leader = leader(&stage, "getSupply", &json!([])).await;
    let reply = stage.ask("getSupply", &json!([])).await;
    assert!(reply.body.len() > 50_000_000);
    drop(leader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_that_breaks_off_breaks_off_for_nobody_else() {
    let stage = Stage::single().await;
    stage
        .v(0)
        .fault(Fault::from(Kind::Big { bytes: 3_000_000 }).on("getSupply"));
    stage
        .v(0)
        .fault(Fault::from(Kind::Truncate).on("getSupply").times(1));
    stage.v(0).fault(Fault::slow(700).on("getSupply"));
    let mut leader = leader(&stage, "getSupply", &json!([])).await;
    for reply in all_at_once(&stage, 5, "getSupply", &json!([])).await {
        assert!(reply.body.len() > 3_000_000 && reply.result().is_object());
    }
    assert!(leader.reply().await.is_none());
}
