//! Answers that are not the answer to the question: none of them reaches a client or the cache.

use std::time::Duration;

use perijove_tests::client::call;
use perijove_tests::gateway::Gateway;
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Spoilage, StallAfter, accounts};
use perijove_tests::wait::until;
use serde_json::json;

use crate::redis::scene::blocks;
use crate::scene::{KEY, Scene, equals, on_reads};

/// `v0` has the fault in every answer to a read, so each read is answered by `v1`, and `v0` is
/// known for it.
async fn is_left_for(kind: Kind, label: &str) {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", false)).await;
    scene.v(0).fault(on_reads(kind));
    for _ in 0..8 {
        let reply = scene.balance().await;
        assert!(reply.json()["result"]["value"].is_u64(), "{}", reply.text());
        assert_eq!(reply.json()["id"], 1);
        assert_eq!(reply.upstream(), "v1");
    }
    let metrics = scene.gateway.metrics().await;
    let of_kind = [("upstream", "v0"), ("outcome", label)];
    assert!(
        metrics.sum("perijove_upstream_attempts_total", &of_kind) > 0.0,
        "{label}"
    );
}

macro_rules! left_for {
    ($($name:ident => $kind:expr, $label:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            is_left_for($kind, $label).await;
        })*
    };
}

left_for! {
    an_answer_with_another_id_is_not_delivered =>
        Kind::Spoil { how: Spoilage::WrongId }, "wrong-id";
    a_result_without_an_id_is_not_delivered => Kind::Spoil { how: Spoilage::NoId }, "wrong-id";
    null_for_a_balance_is_not_delivered =>
        Kind::Spoil { how: Spoilage::NullResult }, "bad-result";
    control_characters_in_a_string_are_not_delivered =>
        Kind::Spoil { how: Spoilage::ControlBytes }, "bad-json";
    half_an_answer_is_not_delivered => Kind::Spoil { how: Spoilage::HalfJson }, "bad-json";
    an_answer_that_stalls_after_its_head_is_asked_for_elsewhere =>
        Kind::Stall { after: StallAfter::Head }, "stalled";
    an_answer_that_stalls_in_its_body_is_asked_for_elsewhere =>
        Kind::Stall { after: StallAfter::Half }, "stalled";
    an_answer_that_trickles_is_asked_for_elsewhere => Kind::Trickle { ms: 500 }, "stalled";
}

#[tokio::test]
async fn a_list_of_another_length_than_was_asked_for_is_not_delivered() {
    let keys: Vec<_> = (0..20).map(accounts::made_up).collect();
    for how in [Spoilage::Short, Spoilage::Long] {
        let scene = Scene::ranked_with(|config| {
            config
                .set("hedge.enabled", false)
                .set("cache.enabled", true)
        })
        .await;
        for number in 1..=6 {
            let asked = &keys[..number * 3];
            let fault = Fault::from(Kind::Spoil { how }).on("getMultipleAccounts");
            scene.v(0).fault(fault);
            let params = json!([asked, {"encoding": "base64"}]);
            // Once asked, once perhaps kept.
            for _ in 0..2 {
                let reply = scene
                    .gateway
                    .rpc("getMultipleAccounts", params.clone())
                    .await;
                let values = reply.json()["result"]["value"].as_array().map(Vec::len);
                assert_eq!(values, Some(asked.len()), "{how:?} {}", reply.text());
                assert_ne!(reply.upstream(), "v0");
            }
        }
        let metrics = scene.gateway.metrics().await;
        let broken = [("upstream", "v0"), ("outcome", "bad-result")];
        assert!(metrics.sum("perijove_upstream_attempts_total", &broken) > 0.0);
    }
}

/// Each read asks for another account, so an answer to another question has another value.
async fn every_answer_is_its_questions(kind: Kind) {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", false)).await;
    scene.v(0).fault(Fault::from(kind).on("sandboxEcho"));
    for number in 0..20 {
        let reply = scene.gateway.rpc("sandboxEcho", json!([number])).await;
        // The method is not one of Agave's: it may be refused, but never answered wrongly.
        let result = &reply.json()["result"];
        assert!(
            result.is_null() || *result == json!([number]),
            "{number}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn the_answer_to_the_request_before_is_not_delivered() {
    every_answer_is_its_questions(Kind::Previous).await;
}

#[tokio::test]
async fn a_second_answer_that_comes_late_is_not_delivered() {
    for ms in [0, 1, 5] {
        every_answer_is_its_questions(Kind::Twice { ms }).await;
    }
}

#[tokio::test]
async fn nothing_of_a_broken_answer_is_kept() {
    for how in [
        Spoilage::WrongId,
        Spoilage::NoId,
        Spoilage::NullResult,
        Spoilage::ControlBytes,
    ] {
        let cluster = Sandbox::start(1).await.unwrap();
        // Without a budget the only upstream is not asked once more.
        let config = equals(&cluster)
            .set("cache.enabled", true)
            .set("retry.budget", 0.0)
            .set("retry.min_per_second", 0);
        let gateway = Gateway::start(config).await;
        let block = call("getBlock", &blocks(&cluster)[0]);
        cluster.reset_counts();
        // A final block is kept for good, and null is no answer that would be wrong for it.
        let method = if how == Spoilage::NullResult {
            "getGenesisHash"
        } else {
            "getBlock"
        };
        let question = if method == "getBlock" {
            block
        } else {
            call(method, &json!([]))
        };
        let fault = Fault::from(Kind::Spoil { how }).on(method);
        cluster.validator(0).fault(fault.sparing_probes().times(1));
        let broken = gateway.post(question.clone()).await;
        assert!(
            broken.json()["result"].is_null(),
            "{how:?}: {}",
            broken.text()
        );
        let good = gateway.post(question).await;
        assert!(!good.json()["result"].is_null(), "{how:?}: {}", good.text());
        assert_eq!(good.json()["id"], 1);
    }
}

#[tokio::test]
async fn a_streamed_answer_with_another_id_breaks_off() {
    for how in [Spoilage::WrongId, Spoilage::NoId] {
        let scene = Scene::equals(1).await;
        let fault = Fault::from(Kind::Spoil { how }).on("sandboxPad");
        scene.v(0).fault(fault);
        let request = scene
            .gateway
            .client()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .timeout(Duration::from_mins(1))
            .body(call("sandboxPad", &json!([{"bytes": 2_000_000}])));
        let body = request.send().await.unwrap().bytes().await;
        assert!(body.is_err(), "{how:?}: the wrong answer looked whole");
        let metrics = scene.gateway.metrics().await;
        let wrong = [("outcome", "wrong-id")];
        assert!(metrics.sum("perijove_upstream_attempts_total", &wrong) > 0.0);
    }
}

#[tokio::test]
async fn a_large_answer_that_stalls_before_the_client_has_seen_any_of_it_comes_from_elsewhere() {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", false)).await;
    // Of the second, 200 000 bytes come.
    for (after, bytes) in [(StallAfter::Head, 600_000), (StallAfter::Half, 400_000)] {
        scene.v(0).fault(on_reads(Kind::Big { bytes }));
        scene.v(0).fault(on_reads(Kind::Stall { after }));
        let reply = scene.gateway.rpc("getBalance", json!([KEY])).await;
        assert!(reply.json()["result"]["value"].is_u64());
        assert_eq!(reply.upstream(), "v1", "{after:?}");
        scene.v(0).heal().unwrap();
    }
}

/// `v0` does this to every answer that streams, and is known for it; those of `v1` come whole.
async fn is_left_for_what_it_breaks_off(faults: &[Kind], label: &str) {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", false)).await;
    for index in [0, 1] {
        scene.v(index).fault(on_reads(Kind::Big { bytes: 800_000 }));
    }
    for fault in faults {
        scene.v(0).fault(on_reads(fault.clone()));
    }
    // Small answers of other methods are good all the time.
    until("v0 to be left", || async {
        let slot = scene.gateway.rpc("getSlot", json!([])).await;
        assert!(slot.result().is_u64(), "{}", slot.text());
        let request = scene
            .gateway
            .client()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .body(call("getBalance", &json!([KEY])));
        let reply = request.send().await.unwrap();
        let upstream = reply.headers()["x-perijove-upstream"].clone();
        match reply.bytes().await {
            Ok(whole) => {
                assert_eq!(upstream, "v1");
                assert!(whole.len() > 800_000);
                Some(())
            }
            Err(_) => None,
        }
    })
    .await;
    let status = scene.gateway.status().await;
    let error = &status["upstreams"][0]["last_error"];
    assert_eq!(
        (&error["method"], &error["fault"]),
        (&json!("getBalance"), &json!(label))
    );
}

#[tokio::test]
async fn an_upstream_that_cuts_every_large_answer_is_left() {
    is_left_for_what_it_breaks_off(&[Kind::Truncate], "truncated").await;
    is_left_for_what_it_breaks_off(&[Kind::Chunked, Kind::Truncate], "truncated").await;
}

#[tokio::test]
async fn an_upstream_whose_large_answers_have_another_id_at_the_end_is_left() {
    let how = Spoilage::WrongId;
    is_left_for_what_it_breaks_off(&[Kind::Spoil { how }], "wrong-id").await;
}
