//! Answers that are too large to be held before they are sent on: they are kept while they stream.

use perijove_tests::client::{call, raw};
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::accounts::{Nature, keys};
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind, StallAfter};
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::stage::Stage;

/// Streams what has more than 4 KiB, which the answer to [`large`] has.
fn streaming(config: GatewayConfig) -> GatewayConfig {
    config.set("limits.answer_buffer", "4KiB")
}

fn large() -> Value {
    let config = json!({"commitment": Level::Confirmed.label(), "encoding": "base64"});
    json!([keys(Nature::Moving, 100), config])
}

const MANY: &str = "getMultipleAccounts";

#[tokio::test]
async fn an_answer_that_streams_is_kept_when_it_has_passed() {
    let stage = Stage::single_with(streaming).await;
    let first = stage.asks(MANY, &large()).await;
    assert!(first.to_string().len() > 8 * 1024, "it must be large");
    assert_eq!(stage.knows(MANY, &large()).await, first);
    // Its length is not always announced.
    stage.v(0).fault(Kind::Chunked);
    stage.advance(3).await;
    let next = stage.asks(MANY, &large()).await;
    assert_ne!(next["result"], first["result"]);
    assert_eq!(stage.knows(MANY, &large()).await, next);
}

#[tokio::test]
async fn an_answer_of_more_than_max_entry_is_not_kept() {
    let config = |config| streaming(config).set("cache.max_entry", "8KiB");
    let stage = Stage::single_with(config).await;
    for _ in 0..2 {
        stage.asks(MANY, &large()).await;
    }
}

#[tokio::test]
async fn an_answer_whose_end_is_missing_is_not_kept() {
    let stage = Stage::single_with(streaming).await;
    let cut = Fault::from(Kind::Truncate).on(MANY).times(1);
    stage.v(0).fault(cut);
    let mut client = stage.gateway().raw().await;
    client.send(raw::post(&call(MANY, &large()), "")).await;
    assert!(client.reply().await.is_none(), "the client must notice");
    stage.asks(MANY, &large()).await;
}

#[tokio::test]
async fn an_old_large_answer_is_renewed_though_nobody_waits_for_the_new_one() {
    let config = |config| streaming(config).set("cache.stale_while_revalidate", 4);
    let stage = Stage::single_with(config).await;
    let old = stage.asks(MANY, &large()).await;
    stage.advance(3).await;
    let reply = stage.ask(MANY, &large()).await;
    assert_eq!((reply.cache(), reply.json()), ("stale", old.clone()));
    let said = stage.said(stage.sight().confirmed, MANY, &large());
    assert_ne!(said, old["result"]);
    until("the new answer", || async {
        let reply = stage.ask(MANY, &large()).await;
        (reply.cache() == "hit" && reply.result() == said).then_some(())
    })
    .await;
    assert_eq!(stage.cluster().hits(MANY), 2);
}

#[tokio::test]
async fn while_a_new_large_answer_arrives_the_old_one_is_given_and_nobody_else_is_asked() {
    let config = |config| streaming(config).set("cache.stale_while_revalidate", 4);
    let stage = Stage::single_with(config).await;
    let old = stage.asks(MANY, &large()).await;
    stage.advance(3).await;
    let stall = Kind::Stall {
        after: StallAfter::Half,
    };
    stage.v(0).fault(Fault::from(stall).on(MANY));
    for _ in 0..100 {
        let reply = stage.ask(MANY, &large()).await;
        assert_eq!((reply.cache(), reply.json()), ("stale", old.clone()));
    }
    assert_eq!(stage.cluster().hits(MANY), 2);
}
