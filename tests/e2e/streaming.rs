//! Large answers pass through without being held, however slowly the client reads.

use std::time::Duration;

use perijove_tests::client::raw::post;
use perijove_tests::client::{call, keep_alive};
use perijove_tests::wait::eventually;
use serde_json::json;

use crate::redis::scene::blocks;
use crate::scene::{Scene, equals};
use perijove_tests::gateway::Gateway;
use perijove_tests::sandbox::{Fault, Kind, Sandbox};

const MEGABYTE: u64 = 1024 * 1024;

/// How much more memory the gateway may hold while large answers pass.
const ALLOWANCE: u64 = 96 * MEGABYTE;
/// Large answers at once.
const ANSWERS: usize = 100;

fn pad(bytes: u64) -> String {
    call("sandboxPad", &json!([{ "bytes": bytes }]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_answers_at_once_take_bounded_memory() {
    let scene = Scene::equals_with(1, |config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["connections"] = json!(ANSWERS);
        config.set("upstreams", upstreams)
    })
    .await;
    let before = scene.gateway.process.resident();
    let answers = (0..ANSWERS).map(|_| {
        let request = keep_alive()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .body(pad(50 * MEGABYTE));
        tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            let mut length = 0;
            while let Some(chunk) = response.chunk().await.unwrap() {
                length += chunk.len() as u64;
            }
            length
        })
    });
    let mut answers = futures::future::join_all(answers.collect::<Vec<_>>());
    let mut most = 0;
    let lengths = loop {
        tokio::select! {
            lengths = &mut answers => break lengths,
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                most = most.max(scene.gateway.process.resident());
            }
        }
    };
    for length in lengths {
        assert!(length.unwrap() > 50 * MEGABYTE);
    }
    let more = most.saturating_sub(before);
    eprintln!(
        "{ANSWERS} answers of 50 MB: {} MB more at most",
        more / MEGABYTE
    );
    assert!(more < ALLOWANCE, "{} MB more", more / MEGABYTE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_hold_the_upstream_back() {
    let scene = Scene::equals(1).await;
    let before = scene.gateway.process.resident();
    let mut stalled = Vec::new();
    for _ in 0..10 {
        let mut raw = scene.gateway.raw().await;
        raw.send(post(&pad(50 * MEGABYTE), "")).await;
        stalled.push(raw);
    }
    eventually("the calls to arrive", || {
        scene.v(0).hits("sandboxPad") == 10
    })
    .await;
    // Other clients are served meanwhile.
    for _ in 0..20 {
        assert!(scene.balance().await.result()["value"].is_u64());
    }
    let more = scene.gateway.process.resident().saturating_sub(before);
    eprintln!("10 stalled answers of 50 MB: {} MB more", more / MEGABYTE);
    assert!(more < ALLOWANCE, "{} MB more", more / MEGABYTE);
    drop(stalled);
    eventually("the calls to be cancelled", || {
        scene.v(0).counts().tally().abandoned == 10
    })
    .await;
}

#[tokio::test]
async fn a_client_that_stops_reading_does_not_keep_its_upstreams_connection() {
    let scene = Scene::equals_with(1, |config| config.set("limits.write_timeout", "300ms")).await;
    let mut stalled = scene.gateway.raw().await;
    stalled.send(post(&pad(50 * MEGABYTE), "")).await;
    eventually("the call to be cancelled", || {
        scene.v(0).counts().tally().abandoned == 1
    })
    .await;
    assert!(
        stalled.reply().await.is_none(),
        "the client must see that its answer is not whole"
    );
}

#[tokio::test]
async fn a_streamed_answer_has_the_clients_id_and_every_byte() {
    let scene = Scene::equals(1).await;
    for bytes in [250_000, 262_144, 300_000, 5_000_000] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"a long id \u00e9","method":"sandboxPad","params":[{{"bytes":{bytes}}}]}}"#
        );
        let reply = scene.gateway.post(body).await;
        let text = reply.text();
        assert!(text.starts_with(r#"{"jsonrpc":"2.0","result":"aaaa"#));
        assert!(
            text.ends_with("aaaa\",\"id\":\"a long id \\u00e9\"}\n"),
            "{bytes}"
        );
        assert_eq!(
            text.matches('a').count() - "a long id a".matches('a').count() + 1,
            bytes
        );
        assert_eq!(reply.upstream(), "v0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_call_of_a_batch_does_not_wait_for_the_client_of_the_batch() {
    let cluster = Sandbox::start(1).await.unwrap();
    let gateway = Gateway::start(equals(&cluster).set("cache.enabled", true)).await;
    cluster.reset_counts();
    let held = Fault::from(Kind::Hold).on("getBlock");
    cluster.validator(0).fault(held);
    // A final block: however long all this takes, the same call may be joined and its answer kept.
    let block = call("getBlock", &blocks(&cluster)[0]);
    let mut stalled = gateway.raw().await;
    let batch = format!("[{},{block}]", pad(50 * MEGABYTE));
    stalled.send(post(&batch, "")).await;
    eventually("the batch to arrive", || cluster.hits("getBlock") == 1).await;
    let releasing = async {
        gateway.until_in_flight(2).await;
        cluster.validator(0).heal().unwrap();
    };
    let (reply, ()) = tokio::join!(gateway.post(block), releasing);
    assert!(reply.result()["blockhash"].is_string());
    assert_ne!(reply.header("x-perijove-cache"), Some("miss"));
    assert_eq!(cluster.hits("getBlock"), 1);
}
