//! Answers about one slot: transactions, blocks, their times. They settle when the slot is final.

use perijove_tests::sandbox::chain::{self, Line, SLOTS_PER_EPOCH};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use serde_json::json;

use super::stage::{Stage, at};

#[tokio::test]
async fn a_transaction_is_asked_for_until_it_is_final_and_then_never_again() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    let confirmed = at(&signature, Level::Confirmed);
    let finalized = at(&signature, Level::Finalized);
    // Not there yet.
    assert!(stage.asks("getTransaction", &confirmed).await["result"].is_null());
    stage.advance(4).await;
    // Confirmed: for one commitment it is there, for the other it is not.
    let found = stage.asks("getTransaction", &confirmed).await;
    assert_eq!(found["result"]["transaction"]["signatures"][0], signature);
    stage.knows("getTransaction", &confirmed).await;
    assert!(stage.asks("getTransaction", &finalized).await["result"].is_null());
    // What is confirmed only lives four slots.
    stage.advance(2).await;
    assert_eq!(stage.knows("getTransaction", &confirmed).await, found);
    stage.advance(2).await;
    assert_eq!(stage.asks("getTransaction", &confirmed).await, found);
    // It becomes final within the life of that answer.
    stage.advance(22).await;
    assert_eq!(stage.asks("getTransaction", &confirmed).await, found);
    stage.advance(2).await;
    assert!(stage.sight().finalized >= found["result"]["slot"].as_u64().unwrap());
    for slots in [0, 4, 50, 500] {
        stage.advance(slots).await;
        assert_eq!(stage.knows("getTransaction", &confirmed).await, found);
        assert_eq!(stage.knows("getTransaction", &finalized).await, found);
    }
}

#[tokio::test]
async fn a_transaction_settles_also_when_nobody_asked_between_its_end_and_finality() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    stage.advance(4).await;
    let found = stage
        .asks("getTransaction", &at(&signature, Level::Confirmed))
        .await;
    stage.advance(300).await;
    assert_eq!(
        stage
            .knows("getTransaction", &at(&signature, Level::Confirmed))
            .await,
        found
    );
    assert_eq!(
        stage
            .knows("getTransaction", &at(&signature, Level::Finalized))
            .await,
        found
    );
}

#[tokio::test]
async fn a_transaction_found_final_is_known_at_every_commitment_and_in_each_encoding_apart() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    stage.advance(40).await;
    let params = |level: &str, encoding: &str| json!([signature, {"commitment": level, "encoding": encoding}]);
    let found = stage
        .asks("getTransaction", &params("finalized", "json"))
        .await;
    assert_eq!(
        stage
            .knows("getTransaction", &params("confirmed", "json"))
            .await,
        found
    );
    let binary = stage
        .asks("getTransaction", &params("confirmed", "base64"))
        .await;
    assert_eq!(binary["result"]["transaction"][1], "base64");
    stage.advance(200).await;
    assert_eq!(
        stage
            .knows("getTransaction", &params("finalized", "base64"))
            .await,
        binary
    );
    assert_eq!(
        stage
            .knows("getTransaction", &params("finalized", "json"))
            .await,
        found
    );
}

#[tokio::test]
async fn nothing_settles_while_finality_stands_still() {
    let stage = Stage::single().await;
    let signature = stage.land(1);
    let params = at(&signature, Level::Confirmed);
    stage.cluster().cluster().clock.stall_finality();
    stage.advance(3).await;
    stage.asks("getTransaction", &params).await;
    // Long past the usual distance of finality.
    stage.advance(60).await;
    stage.asks("getTransaction", &params).await;
    stage.knows("getTransaction", &params).await;
    stage.advance(4).await;
    stage.asks("getTransaction", &params).await;
    stage.cluster().cluster().clock.resume_finality();
    stage.noticed().await;
    stage.advance(100).await;
    stage.knows("getTransaction", &params).await;
}

#[tokio::test]
async fn a_block_is_asked_for_until_it_is_final_and_then_never_again() {
    let stage = Stage::single().await;
    let slot = chain::block_at_or_before(stage.sight().confirmed);
    let confirmed = json!([slot, {"commitment": "confirmed", "transactionDetails": "none"}]);
    let finalized = json!([slot, {"transactionDetails": "none"}]);
    let block = stage.asks("getBlock", &confirmed).await;
    assert_eq!(block["result"]["blockhash"], chain::blockhash(slot));
    stage.knows("getBlock", &confirmed).await;
    assert_eq!(stage.ask("getBlock", &finalized).await.code(), Some(-32004));
    stage.advance(4).await;
    stage.asks("getBlock", &confirmed).await;
    stage.advance(40).await;
    assert_eq!(stage.knows("getBlock", &confirmed).await, block);
    assert_eq!(stage.knows("getBlock", &finalized).await, block);
    stage.advance(300).await;
    assert_eq!(stage.knows("getBlock", &finalized).await, block);
    // The same block in another form is another answer.
    stage
        .asks(
            "getBlock",
            &json!([slot, {"transactionDetails": "signatures"}]),
        )
        .await;
}

#[tokio::test]
async fn a_skipped_slot_that_is_final_is_remembered_for_a_while() {
    let stage = Stage::ranked().await;
    let newest = stage.sight().finalized;
    let skipped = (newest - 100..newest)
        .find(|slot| chain::skipped(*slot))
        .unwrap();
    for method in ["getBlock", "getBlockTime"] {
        let reply = stage.ask(method, &json!([skipped])).await;
        assert_eq!(reply.code(), Some(-32007), "{}", reply.text());
        let asked = stage.cluster().hits(method);
        stage.advance(140).await;
        let reply = stage.ask(method, &json!([skipped])).await;
        assert_eq!(
            (reply.code(), reply.cache()),
            (Some(-32007), "hit"),
            "{method}"
        );
        assert_eq!(stage.cluster().hits(method), asked);
        stage.advance(20).await;
        assert_eq!(
            stage.ask(method, &json!([skipped])).await.code(),
            Some(-32007)
        );
        assert!(stage.cluster().hits(method) > asked, "{method}");
    }
}

#[tokio::test]
async fn a_skipped_slot_that_is_not_final_may_still_get_a_block() {
    let stage = Stage::ranked().await;
    let sight = stage.sight();
    let skipped = (sight.finalized + 1..sight.finalized + 42).find(|slot| chain::skipped(*slot));
    let skipped = skipped.unwrap();
    stage
        .advance(skipped.saturating_sub(sight.confirmed) + 3)
        .await;
    assert!(stage.sight().finalized < skipped);
    for _ in 0..2 {
        let before = stage.cluster().hits("getBlock");
        let params = json!([skipped, {"commitment": "confirmed"}]);
        let reply = stage.ask("getBlock", &params).await;
        assert_eq!(reply.code(), Some(-32007), "{}", reply.text());
        assert!(stage.cluster().hits("getBlock") > before);
    }
}

#[tokio::test]
async fn the_time_of_a_final_block_is_asked_for_once() {
    let stage = Stage::single().await;
    let params = json!([chain::block_at_or_before(stage.sight().finalized - 9)]);
    let first = stage.asks("getBlockTime", &params).await;
    stage.advance(200).await;
    assert_eq!(stage.knows("getBlockTime", &params).await, first);
}

#[tokio::test]
async fn the_time_of_a_block_on_a_fork_is_forgotten_with_the_fork() {
    let stage = Stage::single().await;
    stage.v(0).fault(Kind::Fork { ahead: 0 });
    let fork = stage.v(0).sight().line;
    stage.advance(5).await;
    let slot = stage.sight().processed - 2;
    assert!(![Line::MAIN, fork].iter().any(|line| line.skipped(slot)));
    let params = json!([slot]);
    let forked = stage.asks("getBlockTime", &params).await;
    assert_eq!(forked["result"], fork.time(slot));
    stage.knows("getBlockTime", &params).await;
    stage.v(0).heal().unwrap();
    stage.advance(1).await;
    assert_eq!(
        stage.asks("getBlockTime", &params).await["result"],
        chain::time(slot)
    );
    // Final now: what settles is the main line's.
    stage.advance(60).await;
    assert_eq!(
        stage.asks("getBlockTime", &params).await["result"],
        chain::time(slot)
    );
    stage.advance(60).await;
    assert_eq!(
        stage.knows("getBlockTime", &params).await["result"],
        chain::time(slot)
    );
}

#[tokio::test]
async fn a_time_read_on_a_fork_does_not_settle_when_it_arrives_late() {
    let stage = Stage::single().await;
    stage.v(0).fault(Kind::Fork { ahead: 0 });
    let fork = stage.v(0).sight().line;
    stage.advance(5).await;
    let slot = stage.sight().processed - 2;
    let params = json!([slot]);
    // Read at once, but under way while the slot becomes final.
    stage
        .v(0)
        .fault(Fault::from(Kind::SlowBody { ms: 3_000 }).on("getBlockTime"));
    let late = stage.ask("getBlockTime", &params);
    let meanwhile = async {
        perijove_tests::wait::eventually("the call to arrive", || {
            stage.v(0).hits("getBlockTime") == 1
        })
        .await;
        stage.v(0).heal().unwrap();
        stage.advance(60).await;
    };
    let (late, ()) = tokio::join!(late, meanwhile);
    assert_eq!(late.result(), fork.time(slot));
    assert_eq!(
        stage.asks("getBlockTime", &params).await["result"],
        chain::time(slot)
    );
}

#[tokio::test]
async fn a_slot_skipped_on_a_fork_is_not_remembered_as_skipped_when_that_arrives_late() {
    let stage = Stage::single().await;
    stage.v(0).fault(Kind::Fork { ahead: 0 });
    let fork = stage.v(0).sight().line;
    let began = stage.sight().processed;
    let skipped = (began..began + 41)
        .find(|slot| fork.skipped(*slot))
        .unwrap();
    assert!(!chain::skipped(skipped));
    stage.advance(skipped + 2 - began).await;
    let params = json!([skipped]);
    stage
        .v(0)
        .fault(Fault::from(Kind::SlowBody { ms: 3_000 }).on("getBlockTime"));
    let late = stage.ask("getBlockTime", &params);
    let meanwhile = async {
        perijove_tests::wait::eventually("the call to arrive", || {
            stage.v(0).hits("getBlockTime") == 1
        })
        .await;
        stage.v(0).heal().unwrap();
        stage.advance(60).await;
    };
    let (late, ()) = tokio::join!(late, meanwhile);
    assert_eq!(late.code(), Some(-32007), "{}", late.text());
    assert_eq!(
        stage.asks("getBlockTime", &params).await["result"],
        chain::time(skipped)
    );
}

#[tokio::test]
async fn rewards_and_schedules_of_a_past_epoch_are_asked_for_once() {
    let stage = Stage::single().await;
    let epoch = stage.sight().finalized / SLOTS_PER_EPOCH;
    let reads = [
        (
            "getInflationReward",
            json!([[super::stage::moving()], {"epoch": epoch - 2}]),
        ),
        ("getLeaderSchedule", json!([(epoch - 1) * SLOTS_PER_EPOCH])),
    ];
    for (method, params) in &reads {
        let first = stage.asks(method, params).await;
        stage.advance(100).await;
        assert_eq!(stage.knows(method, params).await, first);
    }
}
