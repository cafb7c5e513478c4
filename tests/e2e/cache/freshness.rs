//! Never older than it may be, never backwards, never of a fork that is gone.

use perijove_tests::client;
use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind, chain};
use perijove_tests::wait::eventually;
use serde_json::{Value, json};

use super::stage::{Stage, at, moving};
use crate::scene::KEY;

#[tokio::test]
async fn an_answer_older_than_the_slot_asked_for_is_not_given() {
    let stage = Stage::single().await;
    let key = moving();
    let params = |least: u64| json!([key, {"minContextSlot": least}]);
    stage.asks("getBalance", &json!([key])).await;
    let read_at = stage.sight().finalized;
    for least in [0, read_at - 5, read_at] {
        stage.knows("getBalance", &params(least)).await;
    }
    stage.advance(1).await;
    // It would live one slot more, but not for whom it is too old.
    stage.knows("getBalance", &params(read_at)).await;
    let newer = stage.asks("getBalance", &params(read_at + 1)).await;
    assert_eq!(newer["result"]["context"]["slot"], read_at + 1);
    // What nobody has yet is refused by the nodes.
    let before = stage.cluster().hits("getBalance");
    let reply = stage.ask("getBalance", &params(read_at + 100)).await;
    assert_eq!(reply.code(), Some(-32016), "{}", reply.text());
    assert!(stage.cluster().hits("getBalance") > before);
}

#[tokio::test]
async fn an_answer_that_does_not_tell_its_slot_is_not_given_to_who_asks_for_one() {
    let stage = Stage::single().await;
    let bare = json!([KEY, {"commitment": "processed"}]);
    stage.asks("getProgramAccounts", &bare).await;
    stage.knows("getProgramAccounts", &bare).await;
    let least = stage.sight().processed;
    let params = json!([KEY, {"commitment": "processed", "minContextSlot": least}]);
    stage.asks("getProgramAccounts", &params).await;
}

#[tokio::test]
async fn a_settled_answer_is_given_to_who_asks_for_a_slot_that_was_seen() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    stage.advance(40).await;
    stage.asks("getTransaction", &json!([signature])).await;
    let seen = stage.sight().finalized;
    stage
        .knows(
            "getTransaction",
            &json!([signature, {"minContextSlot": seen}]),
        )
        .await;
    let before = stage.cluster().hits("getTransaction");
    let ahead = json!([signature, {"minContextSlot": seen + 50}]);
    stage.ask("getTransaction", &ahead).await;
    assert!(stage.cluster().hits("getTransaction") > before);
}

#[tokio::test]
async fn what_an_upstream_that_trails_says_is_not_kept() {
    let stage = Stage::ranked().await;
    stage.v(1).fault(Fault::lag(3));
    stage
        .v(0)
        .fault(Fault::status(503).on("getBalance").on("getVoteAccounts"));
    stage.advance(5).await;
    for level in Level::ALL {
        let params = at(&moving(), level);
        for _ in 0..2 {
            let before = stage.v(1).hits("getBalance");
            let reply = stage.ask("getBalance", &params).await;
            assert_eq!((reply.cache(), reply.upstream()), ("miss", "v1"));
            assert_eq!(stage.v(1).hits("getBalance"), before + 1);
        }
        // Neither where the answer does not tell its slot.
        let params = json!([{"commitment": level.label()}]);
        for _ in 0..2 {
            let reply = stage.ask("getVoteAccounts", &params).await;
            assert_eq!((reply.cache(), reply.upstream()), ("miss", "v1"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_took_many_slots_to_come_is_not_kept() {
    let stage = Stage::single().await;
    let slow = |method: &str| {
        Fault::from(Kind::SlowBody { ms: 1_500 })
            .on(method)
            .times(1)
    };
    for (method, params) in [
        ("getBalance", json!([moving(), {"commitment": "confirmed"}])),
        // These do not tell their slot.
        (
            "getProgramAccounts",
            json!([KEY, {"commitment": "confirmed"}]),
        ),
        ("getVoteAccounts", json!([{"commitment": "confirmed"}])),
        ("getRecentPrioritizationFees", json!([])),
    ] {
        stage.v(0).fault(slow(method));
        let began = stage.sight();
        let late = stage.ask(method, &params);
        let meanwhile = async {
            let before = stage.v(0).hits(method);
            eventually("the call to arrive", || stage.v(0).hits(method) > before).await;
            stage.advance(5).await;
        };
        let (late, ()) = tokio::join!(late, meanwhile);
        assert_eq!(
            late.result(),
            stage.said(began.confirmed, method, &params),
            "{method}"
        );
        let now = stage.sight().confirmed;
        let again = stage.asks(method, &params).await;
        assert_eq!(
            again["result"],
            stage.said(now, method, &params),
            "{method}"
        );
    }
}

#[tokio::test]
async fn nobody_is_told_what_was_read_long_before_he_asked() {
    let stage = Stage::single().await;
    for (method, params) in [
        ("getBalance", json!([moving(), {"commitment": "processed"}])),
        ("getVoteAccounts", json!([{"commitment": "processed"}])),
    ] {
        stage.v(0).fault(
            Fault::from(Kind::SlowBody { ms: 2_000 })
                .on(method)
                .times(1),
        );
        let before = stage.v(0).hits(method);
        let early = stage.ask(method, &params);
        let later = async {
            eventually("the first call to arrive", || {
                stage.v(0).hits(method) > before
            })
            .await;
            stage.advance(5).await;
            stage.ask(method, &params).await
        };
        let (early, later) = tokio::join!(early, later);
        let now = stage.sight().processed;
        assert_eq!(
            early.result(),
            stage.said(now - 5, method, &params),
            "{method}"
        );
        assert_eq!(
            later.result(),
            stage.said(now, method, &params),
            "{method} {}",
            later.cache()
        );
    }
}

/// Two clients with keys of their own.
fn two_clients(config: GatewayConfig) -> GatewayConfig {
    config.set(
        "consumers",
        json!([{"id": "a", "keys": ["key-of-a"]}, {"id": "b", "keys": ["key-of-b"]}]),
    )
}

async fn as_client(gateway: &Gateway, key: &str, method: &str, params: &Value) -> Value {
    let request = gateway
        .client()
        .post(gateway.url())
        .header("content-type", "application/json")
        .header("x-api-key", key)
        .body(client::call(method, params));
    gateway.send(request).await.json()
}

#[tokio::test]
async fn numbers_never_go_backwards_for_a_client_because_another_was_told_less() {
    let stage = Stage::ranked_with(two_clients).await;
    let (gateway, finalized) = (stage.gateway(), json!([]));
    stage.v(1).fault(Fault::lag(1));
    for (method, number) in [
        ("getSlot", "/result"),
        ("getBlockHeight", "/result"),
        ("getTransactionCount", "/result"),
        ("getEpochInfo", "/result/absoluteSlot"),
        ("getLatestBlockhash", "/result/value/lastValidBlockHeight"),
    ] {
        stage.advance(3).await;
        let ask = async |key: &str| {
            let told = as_client(gateway, key, method, &finalized).await;
            told.pointer(number)
                .and_then(Value::as_u64)
                .unwrap_or_else(|| panic!("{told}"))
        };
        // The answer of the upstream that trails by one slot is kept: finalized lives for two.
        stage.v(0).fault(Fault::status(503).on(method));
        let low = ask("key-of-b").await;
        stage.v(0).heal().unwrap();
        assert_eq!(ask("key-of-b").await, low, "{method} was not kept");
        // Somebody else has seen more, before and since.
        let newest = stage.v(0).sight().finalized;
        let config = json!([{"minContextSlot": newest}]);
        as_client(gateway, "key-of-a", "getSlot", &config).await;
        let high = {
            let body = client::call(method, &finalized);
            let request = gateway
                .client()
                .post(gateway.url())
                .header("content-type", "application/json")
                .header("x-api-key", "key-of-a")
                .header("cache-control", "no-cache")
                .body(body);
            let told = gateway.send(request).await.json();
            told.pointer(number).and_then(Value::as_u64).unwrap()
        };
        assert!(high > low, "{method}: {high} {low}");
        for _ in 0..3 {
            assert!(ask("key-of-a").await >= high, "{method}");
        }
    }
}

#[tokio::test]
async fn commitments_are_never_mixed_up() {
    let stage = Stage::single().await;
    let key = moving();
    for _ in 0..3 {
        for level in Level::ALL {
            let params = at(&key, level);
            let said = stage.said(stage.sight().at(level), "getBalance", &params);
            assert_eq!(stage.ask("getBalance", &params).await.result(), said);
            let default = stage.ask("getBalance", &json!([key])).await.result();
            assert_eq!(default["context"]["slot"], stage.sight().finalized);
        }
    }
    assert_eq!(stage.cluster().hits("getBalance"), 3);
}

#[tokio::test]
async fn what_was_read_on_a_fork_does_not_outlive_its_slot() {
    let stage = Stage::single().await;
    stage.v(0).fault(Kind::Fork { ahead: 0 });
    let fork = stage.v(0).sight().line;
    let slot = stage.sight().processed;
    let processed = json!({"commitment": "processed"});
    let hash = fork.blockhash(fork.block_at_or_before(slot));
    let reads = [
        ("getBalance", json!([moving(), processed])),
        ("getAccountInfo", json!([moving(), processed])),
        ("getMultipleAccounts", json!([[moving()], processed])),
        ("getLatestBlockhash", json!([processed])),
        ("isBlockhashValid", json!([hash, processed])),
    ];
    for (method, params) in &reads {
        let answer = stage.asks(method, params).await;
        assert_ne!(
            answer["result"],
            stage.said(slot, method, params),
            "{method}"
        );
        stage.knows(method, params).await;
    }
    stage.v(0).heal().unwrap();
    stage.advance(1).await;
    for (method, params) in &reads {
        let answer = stage.asks(method, params).await;
        assert_eq!(
            answer["result"],
            stage.said(slot + 1, method, params),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_fork_that_ran_ahead_leaves_nothing_behind() {
    let stage = Stage::ranked().await;
    let params = at(&moving(), Level::Processed);
    stage.v(0).fault(Kind::Fork { ahead: 4 });
    stage.noticed().await;
    let ahead = stage.asks("getBalance", &params).await;
    let slot = ahead["result"]["context"]["slot"].as_u64().unwrap();
    assert_eq!(slot, stage.sight().processed + 4);
    stage.v(0).heal().unwrap();
    // The others come to the slots that vanished, and past them.
    stage.advance(5).await;
    let told = stage.ask("getBalance", &params).await.result();
    assert_eq!(told, stage.said(slot + 1, "getBalance", &params));
    // Also one that was put by while the gateway still believed in those slots.
    stage.advance(1).await;
    let told = stage.ask("getBalance", &params).await.result();
    assert_eq!(told, stage.said(slot + 2, "getBalance", &params));
}

#[tokio::test]
async fn another_cluster_has_answers_of_its_own() {
    let stage = Stage::ranked().await;
    let final_block = chain::block_at_or_before(stage.sight().finalized - 9);
    let settled = [
        ("getGenesisHash", json!([])),
        ("getEpochSchedule", json!([])),
        ("getBlockTime", json!([final_block])),
    ];
    for (method, params) in &settled {
        stage.asks(method, params).await;
        stage.knows(method, params).await;
    }
    // A test cluster that was started anew, behind the same addresses.
    for validator in stage.cluster().validators() {
        validator.fault(Kind::WrongGenesis);
    }
    perijove_tests::wait::until("the gateway to know the new cluster", || async {
        let status = stage.gateway().status().await;
        (status["genesis"] == chain::OTHER_GENESIS).then_some(())
    })
    .await;
    for (method, params) in &settled {
        let answer = stage.asks(method, params).await;
        if *method == "getGenesisHash" {
            assert_eq!(answer["result"], chain::OTHER_GENESIS);
        }
    }
}
