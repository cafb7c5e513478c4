//! What is answered when upstreams fail: what is true still, for a few slots what was true until
//! lately and marked as such, and then the error.

use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use super::stage::{Stage, at, moving};
use crate::otlp::{Collector, PARENT, TRACE, attributes, exporting};
use crate::scene::{KEY, on_reads};

#[tokio::test]
async fn what_is_true_still_is_answered_when_no_upstream_is_left() {
    let stage = Stage::ranked().await;
    let signature = stage.land(1);
    stage.advance(40).await;
    let transaction = stage.asks("getTransaction", &json!([signature])).await;
    let balance = stage.asks("getBalance", &json!([KEY])).await;
    stage.asks("getGenesisHash", &json!([])).await;
    for validator in stage.cluster().validators() {
        validator.down().await;
    }
    for _ in 0..3 {
        assert_eq!(
            stage.knows("getTransaction", &json!([signature])).await,
            transaction
        );
        assert_eq!(stage.knows("getBalance", &json!([KEY])).await, balance);
        stage.knows("getGenesisHash", &json!([])).await;
        let reply = stage.ask("getBalance", &json!([moving()])).await;
        assert_eq!(reply.code(), Some(-32005), "{}", reply.text());
        assert_eq!(reply.json()["error"]["data"]["numSlotsBehind"], json!(null));
    }
}

#[tokio::test]
async fn what_was_true_lately_is_answered_for_a_few_slots_when_upstreams_fail() {
    let stage = Stage::ranked().await;
    let params = at(&moving(), Level::Confirmed);
    let balance = stage.asks("getBalance", &params).await;
    for validator in stage.cluster().validators() {
        validator.fault(on_reads(Fault::status(503)));
    }
    // Its slot, and four more.
    stage.knows("getBalance", &params).await;
    for _ in 0..4 {
        stage.advance(1).await;
        let before = stage.cluster().hits("getBalance");
        let reply = stage.ask("getBalance", &params).await;
        assert_eq!((reply.cache(), reply.json()), ("stale", balance.clone()));
        assert!(
            stage.cluster().hits("getBalance") > before,
            "nobody was asked"
        );
    }
    stage.advance(1).await;
    let reply = stage.ask("getBalance", &params).await;
    assert_ne!(reply.cache(), "stale");
    assert!(reply.code().is_some(), "{}", reply.text());
    // When they are well again, nothing of it is left.
    for validator in stage.cluster().validators() {
        validator.heal().unwrap();
    }
    until("a new answer", || async {
        let reply = stage.ask("getBalance", &params).await;
        let said = stage.said(stage.sight().confirmed, "getBalance", &params);
        (reply.json().get("result") == Some(&said)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn for_how_long_is_the_operators_to_say() {
    for slots in [0, 2] {
        let stage = Stage::single_with(|config| config.set("cache.stale_if_error", slots)).await;
        let params = at(&moving(), Level::Confirmed);
        stage.asks("getBalance", &params).await;
        stage.v(0).fault(on_reads(Fault::status(503)));
        for past in 1..=3 {
            stage.advance(1).await;
            let reply = stage.ask("getBalance", &params).await;
            let expected = past <= slots;
            assert_eq!(reply.cache() == "stale", expected, "{past} of {slots}");
            assert_eq!(reply.code().is_none(), expected, "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_past_is_not_given_to_who_asks_for_a_newer_one_or_for_a_new_one() {
    let stage = Stage::single().await;
    let key = moving();
    stage.asks("getBalance", &at(&key, Level::Confirmed)).await;
    let read_at = stage.sight().confirmed;
    stage.v(0).fault(on_reads(Fault::status(503)));
    stage.advance(2).await;
    let least = |least: u64| json!([key, {"commitment": "confirmed", "minContextSlot": least}]);
    let reply = stage.ask("getBalance", &least(read_at)).await;
    assert_eq!(reply.cache(), "stale");
    let reply = stage.ask("getBalance", &least(read_at + 1)).await;
    assert!(reply.code().is_some(), "{}", reply.text());
    let bypass = ("x-perijove-cache", "bypass");
    let reply = stage
        .ask_with(bypass, "getBalance", &at(&key, Level::Confirmed))
        .await;
    assert!(reply.code().is_some(), "{}", reply.text());
}

#[tokio::test]
async fn an_error_of_the_chain_is_not_hidden_behind_an_answer_of_the_past() {
    let stage = Stage::single().await;
    let params = at(&moving(), Level::Confirmed);
    stage.asks("getBalance", &params).await;
    stage.v(0).fault(Fault::rpc(-32602).on("getBalance"));
    stage.advance(1).await;
    let reply = stage.ask("getBalance", &params).await;
    assert_eq!(
        reply.code(),
        Some(-32602),
        "{} {}",
        reply.cache(),
        reply.text()
    );
}

#[tokio::test]
async fn an_old_answer_is_given_at_once_while_one_call_fetches_the_new_one() {
    let stage = Stage::single_with(|config| config.set("cache.stale_while_revalidate", 2)).await;
    let params = at(&moving(), Level::Confirmed);
    let old = stage.asks("getBalance", &params).await;
    stage.advance(1).await;
    // None of these waits for the slow upstream, and only one call is made.
    stage.v(0).fault(on_reads(Kind::Hold));
    for _ in 0..10 {
        let reply = stage.ask("getBalance", &params).await;
        assert_eq!((reply.cache(), reply.json()), ("stale", old.clone()));
    }
    eventually("the call to arrive", || stage.v(0).hits("getBalance") == 2).await;
    stage.v(0).heal().unwrap();
    let said = stage.said(stage.sight().confirmed, "getBalance", &params);
    until("the new answer", || async {
        let reply = stage.ask("getBalance", &params).await;
        (reply.cache() == "hit" && reply.result() == said).then_some(())
    })
    .await;
    assert_eq!(stage.v(0).hits("getBalance"), 2);
    // Three slots past its end nobody wants it any more.
    stage.advance(3).await;
    stage.asks("getBalance", &params).await;
}

#[tokio::test]
async fn a_refresh_in_the_background_is_a_span_below_the_request_that_caused_it() {
    let collector = Collector::start().await;
    let stage = Stage::single_with(|config| {
        let config = config.set("cache.stale_while_revalidate", 2);
        exporting(config, collector.address, 0.0)
    })
    .await;
    let params = at(&moving(), Level::Confirmed);
    stage.asks("getBalance", &params).await;
    stage.advance(1).await;
    let parent = ("traceparent", PARENT);
    let reply = stage.ask_with(parent, "getBalance", &params).await;
    assert_eq!(reply.cache(), "stale");
    let names = ["POST", "cache.refresh", "dispatch", "getBalance", "store"];
    let spans = collector.trace_with(TRACE, &names).await;
    let [request, refresh, dispatch, attempt, _] =
        names.map(|name| spans.iter().find(|span| span.name == name).unwrap());
    for (above, below) in [(request, refresh), (refresh, dispatch), (dispatch, attempt)] {
        assert_eq!(below.parent_span_id, above.span_id, "{below:?}");
    }
    assert_eq!(attributes(refresh)["rpc.method"], "getBalance");
}

#[tokio::test]
async fn old_answers_are_not_given_unless_asked_for() {
    let stage = Stage::single().await;
    let params = at(&moving(), Level::Confirmed);
    stage.asks("getBalance", &params).await;
    stage.advance(1).await;
    stage.asks("getBalance", &params).await;
}

#[tokio::test]
async fn a_call_that_hangs_is_helped_out_with_what_was_true_lately() {
    let stage = Stage::single_with(|config| config.set("limits.request_timeout", "700ms")).await;
    let params = at(&moving(), Level::Confirmed);
    let balance = stage.asks("getBalance", &params).await;
    stage.v(0).fault(on_reads(Kind::Hang));
    stage.advance(1).await;
    let reply = stage.ask("getBalance", &params).await;
    assert_eq!((reply.cache(), reply.json()), ("stale", balance));
}
