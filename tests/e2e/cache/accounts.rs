//! `getMultipleAccounts` and `getAccountInfo` know the same accounts.

use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use serde_json::{Value, json};

use super::stage::Stage;

const MANY: &str = "getMultipleAccounts";
const ONE: &str = "getAccountInfo";

fn base64(level: Level) -> Value {
    json!({"commitment": level.label(), "encoding": "base64"})
}

/// The keys the upstream was asked for in the last call.
fn last_asked(stage: &Stage) -> Value {
    let seen = stage.v(0).counts().seen(MANY).pop().unwrap();
    let call: Value = serde_json::from_slice(&seen.body).unwrap();
    call["params"][0].clone()
}

#[tokio::test]
async fn accounts_read_together_are_known_one_by_one() {
    let stage = Stage::single().await;
    let mut all = keys(Nature::Moving, 3);
    all.extend(keys(Nature::Absent, 1));
    all.extend(keys(Nature::Still, 1));
    let config = base64(Level::Confirmed);
    stage.asks(MANY, &json!([all, config])).await;
    let slot = stage.sight().confirmed;
    for key in &all {
        let params = json!([key, config]);
        let said = stage.said(slot, ONE, &params);
        assert_eq!(stage.knows(ONE, &params).await["result"], said);
    }
    stage.advance(1).await;
    for key in &all {
        stage.asks(ONE, &json!([key, config])).await;
    }
}

#[tokio::test]
async fn accounts_read_one_by_one_are_known_together_in_any_order() {
    let stage = Stage::single().await;
    let mut all = keys(Nature::Moving, 4);
    all.extend(keys(Nature::Absent, 1));
    let config = base64(Level::Processed);
    for key in &all {
        stage.asks(ONE, &json!([key, config])).await;
    }
    let slot = stage.sight().processed;
    for list in [
        vec![4, 3, 2, 1, 0],
        vec![0],
        vec![2, 2, 4, 2],
        vec![0, 1, 2, 3, 4],
    ] {
        let list: Vec<_> = list.into_iter().map(|index: usize| &all[index]).collect();
        let params = json!([list, config]);
        let said = stage.said(slot, MANY, &params);
        assert_eq!(stage.knows(MANY, &params).await["result"], said);
    }
    // What is said without an encoding is base64 too.
    let params = json!([all, {"commitment": "processed"}]);
    assert_eq!(
        stage.knows(MANY, &params).await["result"],
        stage.said(slot, MANY, &params)
    );
}

#[tokio::test]
async fn only_the_accounts_that_are_not_known_are_asked_for() {
    let stage = Stage::single().await;
    let all = keys(Nature::Moving, 5);
    let config = base64(Level::Confirmed);
    for index in [1, 3] {
        stage.asks(ONE, &json!([all[index], config])).await;
    }
    let params = json!([all, config]);
    let answer = stage.asks(MANY, &params).await;
    let said = stage.said(stage.sight().confirmed, MANY, &params);
    assert_eq!(answer["result"], said);
    assert_eq!(last_asked(&stage), json!([all[0], all[2], all[4]]));
    assert_eq!(stage.knows(MANY, &params).await["result"], said);
}

#[tokio::test]
async fn accounts_of_another_encoding_or_slice_are_not_the_same() {
    let stage = Stage::single().await;
    let all = keys(Nature::Moving, 2);
    stage
        .asks(MANY, &json!([all, {"encoding": "base64"}]))
        .await;
    for config in [
        json!({"encoding": "base58"}),
        json!({"encoding": "base64", "dataSlice": {"offset": 0, "length": 4}}),
        json!({"encoding": "base64", "commitment": "confirmed"}),
        // The default of this method is not that of the other.
        json!({}),
    ] {
        let params = json!([all[0], config]);
        let level = config["commitment"].as_str().and_then(Level::parse);
        let slot = stage.sight().at(level.unwrap_or(Level::Finalized));
        assert_eq!(
            stage.asks(ONE, &params).await["result"],
            stage.said(slot, ONE, &params)
        );
    }
}

#[tokio::test]
async fn accounts_read_at_different_slots_are_never_in_one_answer() {
    let stage = Stage::single().await;
    let all = keys(Nature::Moving, 3);
    let config = base64(Level::Finalized);
    stage.asks(ONE, &json!([all[0], config])).await;
    stage.advance(1).await;
    // Still known, but a slot older than what is read now.
    stage.knows(ONE, &json!([all[0], config])).await;
    stage.asks(ONE, &json!([all[1], config])).await;
    for list in [&all[..], &all[..2], &all[1..]] {
        let params = json!([list, config]);
        let reply = stage.ask(MANY, &params).await;
        let slot = reply.result()["context"]["slot"].as_u64().unwrap();
        assert_eq!(reply.result(), stage.said(slot, MANY, &params), "{list:?}");
    }
}

#[tokio::test]
async fn accounts_read_on_different_forks_are_never_in_one_answer() {
    let stage = Stage::ranked().await;
    let all = keys(Nature::Moving, 3);
    let config = base64(Level::Processed);
    stage.v(0).fault(Kind::Fork { ahead: 0 });
    let forked = stage.asks(ONE, &json!([all[0], config])).await;
    // The other upstream is at the same slot, but on the main line.
    for method in [ONE, MANY] {
        stage.v(0).fault(Fault::status(503).on(method));
    }
    let slot = stage.sight().processed;
    let main = stage.ask(ONE, &json!([all[1], config])).await;
    assert_eq!(main.upstream(), "v1");
    assert_eq!(main.result()["context"], forked["result"]["context"]);
    // One known on the fork, one known on the main line, one not known.
    for list in [&all[..2], &all[..], &all[1..]] {
        let params = json!([list, config]);
        let reply = stage.ask(MANY, &params).await;
        assert_eq!(reply.result(), stage.said(slot, MANY, &params), "{list:?}");
    }
}

#[tokio::test]
async fn accounts_of_different_slots_may_be_mixed_where_the_operator_allows_it() {
    let stage = Stage::single_with(|config| config.set("cache.mix_account_slots", true)).await;
    let all = keys(Nature::Moving, 2);
    let config = base64(Level::Finalized);
    let old = stage.asks(ONE, &json!([all[0], config])).await;
    stage.advance(1).await;
    let params = json!([all, config]);
    let mixed = stage.asks(MANY, &params).await;
    assert_eq!(last_asked(&stage), json!([all[1]]));
    assert_eq!(mixed["result"]["context"], old["result"]["context"]);
    assert_eq!(mixed["result"]["value"][0], old["result"]["value"]);
    let said = stage.said(stage.sight().finalized, MANY, &params);
    assert_eq!(mixed["result"]["value"][1], said["value"][1]);
}

#[tokio::test]
async fn accounts_are_as_new_as_asked_for() {
    let stage = Stage::single().await;
    let all = keys(Nature::Moving, 2);
    let read_at = stage.sight().finalized;
    let config = |least: u64| json!({"encoding": "base64", "minContextSlot": least});
    for key in &all {
        stage.asks(ONE, &json!([key, {"encoding": "base64"}])).await;
    }
    stage.knows(MANY, &json!([all, config(read_at)])).await;
    stage.advance(1).await;
    let params = json!([all, config(read_at + 1)]);
    let answer = stage.asks(MANY, &params).await;
    assert_eq!(answer["result"], stage.said(read_at + 1, MANY, &params));
    assert_eq!(last_asked(&stage), json!(all));
}

#[tokio::test]
async fn odd_lists_of_accounts_are_left_to_the_node() {
    let stage = Stage::single().await;
    let key = keys(Nature::Moving, 1).remove(0);
    let empty = stage.asks(MANY, &json!([[]])).await;
    assert_eq!(empty["result"]["value"], json!([]));
    stage.asks(ONE, &json!([key, {"encoding": "base64"}])).await;
    for (list, code) in [
        (json!([key, "no key"]), -32602),
        (json!(vec![key.clone(); 101]), -32602),
        (json!(key), -32602),
    ] {
        let reply = stage.ask(MANY, &json!([list])).await;
        assert_eq!(reply.code(), Some(code), "{}", reply.text());
    }
    // A hundred times the same one is allowed.
    let params = json!([vec![key; 100]]);
    let said = stage.said(stage.sight().finalized, MANY, &params);
    assert_eq!(stage.ask(MANY, &params).await.result(), said);
}
