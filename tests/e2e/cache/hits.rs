//! What an answer out of the cache is like, and which calls never have one.

use perijove_tests::client;
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use serde_json::{Value, json};

use super::stage::{Stage, at, moving};
use crate::scene::KEY;

#[tokio::test]
async fn a_read_repeated_within_its_slot_asks_nobody() {
    let stage = Stage::ranked().await;
    let params = json!([moving()]);
    let first = stage.ask("getBalance", &params).await;
    assert_eq!((first.cache(), first.upstream()), ("miss", "v0"));
    for _ in 0..5 {
        let again = stage.ask("getBalance", &params).await;
        assert_eq!(again.cache(), "hit");
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(stage.cluster().hits("getBalance"), 1);
}

#[tokio::test]
async fn every_caller_gets_the_answer_under_its_own_id() {
    let stage = Stage::single().await;
    let result = stage.asks("getBalance", &json!([KEY])).await["result"].clone();
    for id in ["7", "\"7\"", "18446744073709551615", "\"\\u00e9 \"", "null"] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"getBalance","params":["{KEY}"]}}"#);
        let reply = stage.gateway().post(body).await;
        assert_eq!(reply.cache(), "hit");
        assert!(
            reply.text().ends_with(&format!(",\"id\":{id}}}\n")),
            "{}",
            reply.text()
        );
        assert_eq!(reply.result(), result);
    }
    assert_eq!(stage.cluster().hits("getBalance"), 1);
}

#[tokio::test]
async fn a_notification_is_answered_with_nothing_and_asks_nobody() {
    let stage = Stage::single().await;
    stage.asks("getBalance", &json!([KEY])).await;
    let body = format!(r#"{{"jsonrpc":"2.0","method":"getBalance","params":["{KEY}"]}}"#);
    let reply = stage.gateway().post(body).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    assert_eq!(stage.cluster().hits("getBalance"), 1);
}

#[tokio::test]
async fn different_questions_have_different_answers() {
    let stage = Stage::single().await;
    let key = moving();
    let config = |more: Value| {
        let mut all = json!({"commitment": "confirmed"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        json!([key, all])
    };
    let questions = [
        config(json!({})),
        config(json!({"commitment": "processed"})),
        config(json!({"commitment": "finalized"})),
        config(json!({"encoding": "base64"})),
        config(json!({"encoding": "base58"})),
        config(json!({"encoding": "base64+zstd"})),
        config(json!({"encoding": "base64", "dataSlice": {"offset": 0, "length": 8}})),
        config(json!({"encoding": "base64", "dataSlice": {"offset": 8, "length": 8}})),
        config(json!({"encoding": "base64", "newOption": 1})),
        config(json!({"encoding": "base64", "newOption": 2})),
        json!([KEY, {"commitment": "confirmed"}]),
    ];
    for params in &questions {
        stage.asks("getAccountInfo", params).await;
    }
    for params in &questions {
        let level = params[1]["commitment"]
            .as_str()
            .and_then(Level::parse)
            .unwrap();
        let said = stage.said(stage.sight().at(level), "getAccountInfo", params);
        assert_eq!(stage.knows("getAccountInfo", params).await["result"], said);
    }
}

#[tokio::test]
async fn a_caller_may_insist_on_a_new_answer() {
    let stage = Stage::single().await;
    let params = json!([KEY]);
    stage.asks("getBalance", &params).await;
    for (count, header) in (2..).zip([
        ("cache-control", "no-cache"),
        ("cache-control", "max-age=0, no-cache"),
        ("Cache-Control", "No-Cache"),
        ("x-perijove-cache", "bypass"),
    ]) {
        let reply = stage.ask_with(header, "getBalance", &params).await;
        assert!(reply.result()["value"].is_u64());
        assert!(
            ["bypass", "miss"].contains(&reply.cache()),
            "{header:?}: {}",
            reply.cache()
        );
        assert_eq!(stage.cluster().hits("getBalance"), count, "{header:?}");
    }
    // That is for himself only.
    stage.knows("getBalance", &params).await;
    let other = ("cache-control", "max-age=0");
    let reply = stage.ask_with(other, "getBalance", &params).await;
    assert_eq!(reply.cache(), "hit");
}

#[tokio::test]
async fn writes_and_what_follows_them_are_never_kept() {
    let stage = Stage::single().await;
    let hash = perijove_tests::sandbox::chain::blockhash(stage.sight().finalized - 5);
    let bytes = perijove_tests::sandbox::transaction::sample(1, &hash);
    let text = bs58::encode(bytes).into_string();
    let sent = stage.ask("sendTransaction", &json!([text])).await.result();
    for (method, params) in [
        ("sendTransaction", json!([text])),
        ("simulateTransaction", json!([text])),
        ("requestAirdrop", json!([KEY, 5])),
        ("getSignatureStatuses", json!([[sent]])),
        (
            "getSignatureStatuses",
            json!([[sent], {"searchTransactionHistory": true}]),
        ),
    ] {
        stage.always_asks(method, &params).await;
    }
}

#[tokio::test]
async fn what_is_told_of_one_node_is_never_kept() {
    let stage = Stage::single().await;
    for method in [
        "getIdentity",
        "getVersion",
        "getHighestSnapshotSlot",
        "getFirstAvailableBlock",
        "minimumLedgerSlot",
        "getMaxRetransmitSlot",
        "getMaxShredInsertSlot",
        "getAgGenesisCert",
        "getRankMap",
        "sandboxEcho",
    ] {
        stage.always_asks(method, &json!([])).await;
    }
}

#[tokio::test]
async fn nothing_is_kept_and_nothing_said_of_it_without_a_cache() {
    let stage = Stage::single_with(|config| config.set("cache.enabled", false)).await;
    for count in 1..4 {
        let reply = stage.ask("getBalance", &json!([KEY])).await;
        assert_eq!(reply.cache(), "none");
        assert_eq!(stage.cluster().hits("getBalance"), count);
    }
}

#[tokio::test]
async fn nodes_asked_without_their_archive_are_asked_apart() {
    let stage = Stage::single().await;
    let params = json!([stage.sight().finalized - 50]);
    let disabled = ("x-bigtable", "disabled");
    stage.asks("getBlockTime", &params).await;
    let reply = stage.ask_with(disabled, "getBlockTime", &params).await;
    assert_eq!(reply.cache(), "miss");
    assert_eq!(
        stage
            .ask_with(disabled, "getBlockTime", &params)
            .await
            .cache(),
        "hit"
    );
    let seen = stage.v(0).counts().seen("getBlockTime");
    let headers: Vec<_> = seen.iter().map(|one| one.header("x-bigtable")).collect();
    assert_eq!(headers, [None, Some("disabled")]);
}

#[tokio::test]
async fn a_kept_answer_is_compressed_for_those_who_want_it_so() {
    let stage = Stage::single().await;
    stage
        .v(0)
        .fault(Fault::from(Kind::Big { bytes: 50_000 }).on("getSupply"));
    let plain = stage.asks("getSupply", &json!([])).await;
    let gzip = ("accept-encoding", "gzip");
    let packed = stage.ask_with(gzip, "getSupply", &json!([])).await;
    assert_eq!(
        (packed.cache(), packed.header("content-encoding")),
        ("hit", Some("gzip"))
    );
    assert!(packed.body.len() < 5_000);
    let unpacking = client::builder().gzip(true).build().unwrap();
    let request = unpacking
        .post(stage.gateway().url())
        .header("content-type", "application/json")
        .body(client::call("getSupply", &json!([])));
    let unpacked = stage.gateway().send(request).await;
    assert_eq!((unpacked.cache(), unpacked.json()), ("hit", plain.clone()));
    assert_eq!(stage.knows("getSupply", &json!([])).await, plain);
}

#[tokio::test]
async fn a_closed_method_stays_closed_whatever_is_known() {
    let stage = Stage::ranked().await;
    stage.asks("getBalance", &at(KEY, Level::Finalized)).await;
    let config = stage.config().set("methods.deny", json!(["getBalance"]));
    stage.gateway().write_config(config);
    assert_eq!(stage.gateway().reload().await.status, 200);
    let reply = stage.ask("getBalance", &at(KEY, Level::Finalized)).await;
    assert_eq!(reply.code(), Some(-32601), "{}", reply.text());
}
