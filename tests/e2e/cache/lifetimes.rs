//! For how many slots each kind of answer is given.

use perijove_tests::sandbox::accounts::{NOBODY, Nature, keys};
use perijove_tests::sandbox::chain::{self, SLOTS_PER_EPOCH};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Settings};
use serde_json::{Value, json};

use super::stage::{Stage, at, moving, resting_at};
use crate::scene::KEY;

/// Reads at the head, with the params before the configuration.
fn head_reads() -> Vec<(&'static str, Vec<Value>)> {
    let key = json!(moving());
    let mut all = vec![
        ("getMultipleAccounts", vec![json!([key])]),
        (
            "getTokenAccountsByOwner",
            vec![key.clone(), json!({"mint": KEY})],
        ),
        (
            "getTokenAccountsByDelegate",
            vec![key.clone(), json!({"mint": KEY})],
        ),
        ("getFeeForMessage", vec![json!("AQ==")]),
        ("getProgramAccounts", vec![key.clone()]),
    ];
    all.extend(
        [
            "getAccountInfo",
            "getBalance",
            "getTokenAccountBalance",
            "getTokenSupply",
            "getTokenLargestAccounts",
        ]
        .map(|method| (method, vec![key.clone()])),
    );
    all.extend(
        [
            "getLargestAccounts",
            "getSupply",
            "getSlot",
            "getBlockHeight",
            "getTransactionCount",
            "getEpochInfo",
            "getSlotLeader",
            "getLatestBlockhash",
            "getStakeMinimumDelegation",
            "getBlockProduction",
            "getVoteAccounts",
        ]
        .map(|method| (method, vec![])),
    );
    all
}

fn with(args: &[Value], config: Value) -> Value {
    let mut params = args.to_vec();
    params.push(config);
    json!(params)
}

#[tokio::test]
async fn what_is_read_at_the_head_lives_for_its_slot_and_finalized_for_one_more() {
    let stage = Stage::single().await;
    for level in Level::ALL {
        let config = json!({"commitment": level.label()});
        let mut first = Vec::new();
        for (method, args) in head_reads() {
            let params = with(&args, config.clone());
            first.push(stage.asks(method, &params).await);
            assert_eq!(stage.knows(method, &params).await, *first.last().unwrap());
        }
        stage.advance(1).await;
        for ((method, args), first) in head_reads().into_iter().zip(&first) {
            let params = with(&args, config.clone());
            let now = stage.sight().at(level);
            if level == Level::Finalized {
                assert_eq!(stage.knows(method, &params).await, *first);
            } else {
                let answer = stage.asks(method, &params).await;
                assert_eq!(
                    answer["result"],
                    stage.said(now, method, &params),
                    "{method}"
                );
            }
        }
        stage.advance(1).await;
        let now = stage.sight().at(level);
        for (method, args) in head_reads() {
            let params = with(&args, config.clone());
            let answer = stage.asks(method, &params).await;
            assert_eq!(
                answer["result"],
                stage.said(now, method, &params),
                "{method}"
            );
        }
        stage.advance(2).await;
    }
}

#[tokio::test]
async fn ranges_and_pages_live_for_their_slot_and_finalized_for_one_more() {
    let stage = Stage::single().await;
    let start = stage.sight().finalized - 20;
    let reads = |level: Level| {
        let config = json!({"commitment": level.label()});
        [
            ("getBlocks", json!([start, start + 40, config])),
            ("getBlocksWithLimit", json!([start, 40, config])),
            ("getSignaturesForAddress", json!([KEY, config])),
        ]
    };
    for level in [Level::Confirmed, Level::Finalized] {
        for (method, params) in reads(level) {
            stage.asks(method, &params).await;
            stage.knows(method, &params).await;
        }
        stage.advance(1).await;
        for (method, params) in reads(level) {
            if level == Level::Finalized {
                stage.knows(method, &params).await;
            } else {
                stage.asks(method, &params).await;
            }
        }
        stage.advance(1).await;
        for (method, params) in reads(level) {
            stage.asks(method, &params).await;
        }
        stage.advance(2).await;
    }
}

#[tokio::test]
async fn samples_and_node_lists_live_two_slots() {
    let stage = Stage::single().await;
    let reads = [
        ("getRecentPrioritizationFees", json!([])),
        ("getRecentPerformanceSamples", json!([3])),
        ("getClusterNodes", json!([])),
    ];
    for (method, params) in &reads {
        stage.asks(method, params).await;
    }
    stage.advance(1).await;
    for (method, params) in &reads {
        stage.knows(method, params).await;
    }
    stage.advance(1).await;
    for (method, params) in &reads {
        stage.asks(method, params).await;
    }
}

#[tokio::test]
async fn what_holds_for_an_epoch_is_asked_for_again_in_the_next() {
    // Twenty finalized slots before its end.
    let end = Settings::default()
        .start_slot
        .next_multiple_of(SLOTS_PER_EPOCH);
    let cluster = resting_at(1, end - 60).await;
    let stage = Stage::begin(cluster, crate::scene::equals, |config| config).await;
    // From this the gateway knows when the epoch ends.
    stage.asks("getEpochInfo", &json!([])).await;
    let reads = [
        ("getInflationRate", json!([])),
        ("getInflationGovernor", json!([])),
        ("getMinimumBalanceForRentExemption", json!([165])),
        ("getSlotLeaders", json!([end - 400, 5])),
    ];
    for (method, params) in &reads {
        stage.asks(method, params).await;
    }
    stage.advance(20).await;
    for (method, params) in &reads {
        stage.knows(method, params).await;
    }
    stage.advance(60).await;
    for (method, params) in &reads {
        stage.asks(method, params).await;
    }
}

#[tokio::test]
async fn what_never_changes_is_asked_for_once() {
    let stage = Stage::single().await;
    for method in ["getGenesisHash", "getEpochSchedule"] {
        stage.asks(method, &json!([])).await;
        stage.advance(300).await;
        stage.knows(method, &json!([])).await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_looked_for_again_in_the_next_slot() {
    let stage = Stage::single().await;
    let reads = [
        ("getAccountInfo", at(NOBODY, Level::Finalized)),
        (
            "getTransaction",
            at(&bs58::encode([7; 64]).into_string(), Level::Finalized),
        ),
    ];
    for (method, params) in &reads {
        let answer = stage.asks(method, params).await;
        let value = answer["result"].get("value").unwrap_or(&answer["result"]);
        assert!(value.is_null(), "{answer}");
        stage.knows(method, params).await;
    }
    stage.advance(1).await;
    for (method, params) in &reads {
        stage.asks(method, params).await;
    }
}

#[tokio::test]
async fn an_account_that_comes_into_being_is_seen_in_its_slot() {
    let stage = Stage::single().await;
    let params = at(&keys(Nature::Fleeting, 1)[0], Level::Processed);
    let mut seen = Vec::new();
    for _ in 0..40 {
        let answer = stage.asks("getAccountInfo", &params).await;
        let slot = stage.sight().processed;
        assert_eq!(
            answer["result"],
            stage.said(slot, "getAccountInfo", &params)
        );
        assert_eq!(stage.knows("getAccountInfo", &params).await, answer);
        seen.push(answer["result"]["value"].is_null());
        stage.advance(1).await;
    }
    assert!(seen.contains(&true) && seen.contains(&false));
}

#[tokio::test]
async fn errors_are_not_kept() {
    let stage = Stage::single().await;
    let absent = keys(Nature::Absent, 1).remove(0);
    let ahead = stage.sight().confirmed + 1_000;
    for (method, params, code) in [
        ("getBalance", json!(["no key"]), -32602),
        ("getTokenAccountBalance", json!([absent]), -32602),
        (
            "getBlock",
            json!([ahead, {"commitment": "confirmed"}]),
            -32004,
        ),
        ("getBlock", json!([5]), -32001),
    ] {
        for _ in 0..2 {
            let before = stage.cluster().hits(method);
            let reply = stage.ask(method, &params).await;
            assert_eq!(
                reply.code(),
                Some(code),
                "{method} {params}: {}",
                reply.text()
            );
            assert!(stage.cluster().hits(method) > before, "{method} {params}");
        }
    }
    stage
        .v(0)
        .fault(Fault::rpc(-32603).on("getBalance").times(2));
    assert!(
        stage
            .ask("getBalance", &json!([KEY]))
            .await
            .code()
            .is_some()
    );
    stage.v(0).heal().unwrap();
    stage.asks("getBalance", &json!([KEY])).await;
}

#[tokio::test]
async fn a_blockhash_said_to_be_invalid_is_asked_about_again() {
    let stage = Stage::single().await;
    let sight = stage.sight();
    let valid = json!([chain::blockhash(sight.finalized - 3)]);
    assert_eq!(
        stage.asks("isBlockhashValid", &valid).await["result"]["value"],
        true
    );
    stage.knows("isBlockhashValid", &valid).await;
    let unknown = json!([chain::blockhash(sight.finalized + 1)]);
    for _ in 0..2 {
        let answer = stage.asks("isBlockhashValid", &unknown).await;
        assert_eq!(answer["result"]["value"], false);
    }
}

#[tokio::test]
async fn answers_grow_old_when_nobody_tells_the_slot_any_more() {
    // This gateway has a sense of time: its slots take a tenth of a second.
    let stage = Stage::ranked_with(|config| {
        config
            .set("cluster.slot_time", "100ms")
            .set("cache.stale_if_error", 0)
    })
    .await;
    let params = at(KEY, Level::Finalized);
    stage.ask("getBalance", &params).await;
    for validator in stage.cluster().validators() {
        validator.down().await;
    }
    perijove_tests::wait::until("the answer to be too old", || async {
        (stage.ask("getBalance", &params).await.code() == Some(-32005)).then_some(())
    })
    .await;
}
