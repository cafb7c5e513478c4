//! Gateways that share what they know through Redis, and whatever may happen to it: no call fails or
//! waits for it, every answer is right.

mod load;
pub mod scene;

use std::time::Duration;

use perijove_tests::client::call;
use perijove_tests::client::raw::post;
use perijove_tests::gateway::Gateway;
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::{Fault, Kind, chain};
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use scene::{Counts, Shared};

#[tokio::test]
async fn what_one_gateway_asked_for_the_other_knows() {
    let shared = Shared::start().await;
    let params = shared.block(0);
    let first = shared.gateways[0].rpc("getBlock", params.clone()).await;
    assert_eq!(first.cache(), "miss");
    shared.until_written(1).await;
    let second = shared.gateways[1].rpc("getBlock", params).await;
    assert_eq!(second.cache(), "hit");
    assert_eq!(second.result(), first.result());
    assert_eq!(shared.cluster.hits("getBlock"), 1);
    let keys = shared.redis.keys().await;
    assert!(keys.iter().all(|key| key.starts_with("pj:v1:")), "{keys:?}");
}

#[tokio::test]
async fn what_one_gateway_is_asking_for_the_other_waits_for_if_it_is_told_to() {
    let shared = Shared::waiting("5s").await;
    // Whoever comes too late to wait finds the answer there.
    let mut waited = false;
    let mut asked = 0;
    while !waited && asked < 20 {
        let held = Fault::from(Kind::Hold).on("getBlock");
        shared.cluster.validator(0).fault(held);
        let params = shared.block(asked);
        asked += 1;
        let releasing = async {
            for gateway in &shared.gateways {
                gateway.until_in_flight(1).await;
            }
            shared.cluster.validator(0).heal().unwrap();
        };
        let (first, second, ()) = tokio::join!(
            shared.gateways[0].rpc("getBlock", params.clone()),
            shared.gateways[1].rpc("getBlock", params),
            releasing,
        );
        assert_eq!(first.result(), second.result());
        let cache = [first.cache(), second.cache()];
        assert!(cache.contains(&"miss"), "{cache:?}");
        waited = cache.contains(&"coalesced");
        assert_eq!(shared.cluster.hits("getBlock"), asked as u64);
    }
    assert!(waited, "none of {asked} calls waited for the other");
}

#[tokio::test]
async fn a_gateway_that_dies_while_it_asks_is_not_waited_for_long() {
    let mut shared = Shared::waiting("2s").await;
    let held = Fault::from(Kind::Hold).on("getBlock");
    shared.cluster.validator(0).fault(held);
    let params = shared.block(0);
    let body = call("getBlock", &params);
    let mut client = shared.gateways[0].raw().await;
    client.send(post(&body, "")).await;
    let cluster = &shared.cluster;
    eventually("the call to arrive", || cluster.hits("getBlock") == 1).await;
    // Killed.
    drop(shared.gateways.remove(0));
    shared.cluster.validator(0).heal().unwrap();
    let answer = shared.gateways[0].rpc("getBlock", params).await;
    assert_eq!(answer.cache(), "miss");
    assert!(answer.result()["blockhash"].is_string());
    assert_eq!(shared.cluster.hits("getBlock"), 2);
}

#[tokio::test]
async fn answers_of_this_slot_are_shared_while_it_lasts() {
    let slot = Duration::from_secs(5);
    let shared = Shared::with_slots_of(slot).await;
    let mut accounts = (0..).map(|number| json!([chain::identity(number)]));
    until("an answer to be shared within its slot", || {
        let account = accounts.next().unwrap();
        let shared = &shared;
        async move {
            shared.gateways[0].rpc("getBalance", account.clone()).await;
            shared.until_written(1).await;
            let answer = shared.gateways[1].rpc("getBalance", account).await;
            (answer.cache() == "hit").then_some(())
        }
    })
    .await;
    for key in shared.redis.keys().await {
        let left: i64 = shared.redis.ask(&["PTTL", &key]).await;
        // `finalized` lives for two slots.
        assert!(left <= 2 * 5_000, "{key} lives for {left} ms");
    }
}

#[tokio::test]
async fn what_a_gateway_was_told_outlives_it() {
    let mut shared = Shared::start().await;
    let params = shared.block(0);
    shared.gateways[0].rpc("getBlock", params.clone()).await;
    shared.until_written(1).await;
    shared.gateways.clear();
    let next = Gateway::start(shared.config()).await;
    let answer = until("the next to be connected", || async {
        let answer = next.rpc("getBlock", params.clone()).await;
        (answer.cache() == "hit").then_some(answer)
    })
    .await;
    assert!(answer.result().get("blockhash").is_some());
}

#[tokio::test]
async fn redis_is_killed_under_load_and_comes_back() {
    let mut shared = Shared::start().await;
    let load = shared.load();
    load.until_shared().await;
    shared.redis.kill().await;
    shared
        .until_each("lookups to end unsent", |one| one.failed("down") > 0)
        .await;
    load.some_more().await;
    shared.redis.restart().await;
    shared.until_used_again(&load).await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn redis_is_paused_under_load() {
    let shared = Shared::start().await;
    let load = shared.load();
    load.until_shared().await;
    let spared = |one: &Counts| one.failed("breaker_open") + one.failed("down");
    shared.redis.pause();
    shared
        .until_each("the breaker to open", |one| one.breaker() == 2)
        .await;
    // What is under way is waited for, and one lookup in each pause. The others are not made.
    shared
        .until_each("lookups to be spared", |one| spared(one) >= 50)
        .await;
    shared.redis.resume();
    shared.until_used_again(&load).await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn redis_is_full_under_load() {
    let shared = Shared::start().await;
    let load = shared.load();
    load.until_shared().await;
    let full = ["maxmemory", "1mb", "maxmemory-policy", "noeviction"];
    shared
        .redis
        .ask::<()>(&[&["CONFIG", "SET"], &full[..]].concat())
        .await;
    shared
        .until_each("writes to fail", |one| one.refused_writes() > 0)
        .await;
    load.some_more().await;
    for one in shared.counts().await {
        assert_eq!(one.breaker(), 0);
    }
    shared
        .redis
        .ask::<()>(&["CONFIG", "SET", "maxmemory", "0"])
        .await;
    shared.until_used_again(&load).await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn redis_holds_garbage_under_load() {
    let shared = Shared::start().await;
    shared.fill(200).await;
    for (number, key) in (0_u8..).zip(shared.redis.keys().await) {
        let garbage: &[u8] = match number % 4 {
            0 => b"",
            1 => b"PJ\x02 and then something else that is long enough for a header",
            2 => br#"{"jsonrpc":"2.0","result":{"blockhash":"1"},"id":1}"#,
            _ => b"\xff\xfe\xfd",
        };
        shared.redis.spoil(&key, garbage).await;
    }
    let load = shared.load();
    shared
        .until_second("garbage to be read", |one| one.failed("decode") >= 100)
        .await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn redis_swaps_answers_under_load() {
    let shared = Shared::start().await;
    shared.fill(200).await;
    let keys = shared.redis.keys().await;
    let mut values = Vec::new();
    for key in &keys {
        values.push(shared.redis.value(key).await);
    }
    values.rotate_left(1);
    for (key, value) in keys.iter().zip(&values) {
        shared.redis.spoil(key, value).await;
    }
    let load = shared.load();
    shared
        .until_second("swapped answers to be read", |one| {
            one.failed("decode") >= 100
        })
        .await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn redis_is_restarted_again_and_again_under_load() {
    let mut shared = Shared::start().await;
    let load = shared.load();
    for _ in 0..3 {
        shared.until_used_again(&load).await;
        shared.redis.restart().await;
    }
    shared.until_used_again(&load).await;
    load.assert_all_right().await;
}

#[tokio::test]
async fn a_refused_login_is_told_without_the_password_and_harms_nobody() {
    let redis = Redis::guarded("hunter2").await;
    let cluster = scene::cluster().await;
    let url = format!("redis://:guess-who@localhost:{}", redis.port());
    let gateway = Gateway::start(scene::sharing(&cluster, &url)).await;
    until("the log to tell", || async {
        let log = gateway.process.log().join("\n");
        log.contains("Redis refused the login").then_some(())
    })
    .await;
    let params = scene::blocks(&cluster)[0].clone();
    for cache in ["miss", "hit"] {
        let answer = gateway.rpc("getBlock", params.clone()).await;
        assert_eq!(answer.cache(), cache);
    }
    let status = gateway.admin("/status").await.text();
    let named = format!("localhost:{}: Redis refused the login", redis.port());
    assert!(status.contains(&named), "{status}");
    let log = gateway.process.log().join("\n");
    assert!(log.contains(&named), "{log}");
    for text in [&log, &status] {
        assert!(
            !text.contains("guess-who") && !text.contains("hunter2"),
            "{text}"
        );
    }
    assert_eq!(log.matches("Redis refused the login").count(), 1);
}

#[tokio::test]
async fn a_reload_brings_another_redis_and_takes_it_away() {
    let (one, other) = (Redis::start().await, Redis::start().await);
    let cluster = scene::cluster().await;
    let blocks = scene::blocks(&cluster);
    let gateway = Gateway::start(scene::sharing(&cluster, &one.url())).await;
    let mut fresh = blocks.iter().cloned();
    let mut until_written = async |redis: &Redis| {
        let blocks: Vec<_> = fresh.by_ref().take(40).collect();
        let blocks = &mut blocks.into_iter();
        until("an answer to be written", || {
            let block = blocks.next().unwrap();
            let gateway = &gateway;
            async move {
                gateway.rpc("getBlock", block).await;
                (!redis.keys().await.is_empty()).then_some(())
            }
        })
        .await;
    };
    until_written(&one).await;
    let moved = scene::sharing(&cluster, &other.url());
    gateway.write_config(moved.clone());
    assert_eq!(gateway.reload().await.json()["errors"], json!([]));
    until_written(&other).await;
    scene::until_alone(&one).await;
    let without = moved.set("cache.redis", serde_json::Value::Null);
    gateway.write_config(without);
    assert_eq!(gateway.reload().await.json()["errors"], json!([]));
    scene::until_alone(&other).await;
    let status = gateway.admin("/status").await.json();
    assert_eq!(status["shared_cache"], json!(null));
    let counts = Counts::of(&gateway).await;
    assert_eq!(counts.connections(), 0);
}
