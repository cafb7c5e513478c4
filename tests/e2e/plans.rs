//! What the plans of consumers allow, and what callers are told who ask for more.

use futures::future::join_all;
use perijove_tests::client::Reply;
use perijove_tests::client::socket::Socket;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::gateway::process::binary;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene};

const BOT: &str = "a-key-of-the-trading-bot";
const WALLET: &str = "a-key-of-the-wallet";

/// One upstream, and a bot with a small plan beside a wallet with the usual one.
async fn planned(plan: Value) -> Scene {
    Scene::equals_with(1, |config| limited(config, plan)).await
}

fn limited(config: GatewayConfig, mut plan: Value) -> GatewayConfig {
    plan["id"] = json!("small");
    config
        .set("plans", json!([plan]))
        .set(
            "consumers",
            json!([
                {"id": "bot", "keys": [BOT], "plan": "small"},
                {"id": "wallet", "keys": [WALLET]},
            ]),
        )
        .set("cache.enabled", false)
}

fn slow_plan() -> Value {
    json!({"requests_per_minute": 6, "burst": 3, "queue": "0s"})
}

async fn send(scene: &Scene, key: Option<&str>, body: Value) -> Reply {
    let mut request = scene
        .gateway
        .client()
        .post(scene.gateway.url())
        .header("content-type", "application/json")
        .body(body.to_string());
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    scene.gateway.send(request).await
}

fn echo(id: impl Into<Value>) -> Value {
    let id: Value = id.into();
    json!({"jsonrpc": "2.0", "id": id, "method": "sandboxEcho", "params": [1]})
}

#[tokio::test]
async fn a_consumer_is_told_what_is_left_and_when_to_come_back() {
    let scene = planned(slow_plan()).await;
    for left in ["2", "1", "0"] {
        let reply = send(&scene, Some(BOT), echo("a")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-ratelimit-limit"), Some("6"));
        assert_eq!(reply.header("x-ratelimit-remaining"), Some(left));
    }
    let reply = send(&scene, Some(BOT), echo("mine")).await;
    assert_eq!((reply.status, reply.code()), (429, Some(429)));
    assert_eq!(reply.json()["id"], "mine");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(scene.hits("sandboxEcho"), [3]);
    // Others have their own.
    let reply = send(&scene, Some(WALLET), echo(1)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-ratelimit-limit"), Some("1000"));
    let labels = [("plan", "small"), ("reason", "rate")];
    let metrics = scene.gateway.metrics().await;
    let refused = metrics.sum("perijove_plan_refused_requests_total", &labels);
    assert!((refused - 1.0).abs() < 0.1, "{refused}");
    for (plan, status, expected) in [
        ("small", "2xx", 3),
        ("small", "429", 1),
        ("default", "2xx", 1),
    ] {
        let labels = [("plan", plan), ("status", status)];
        let count = metrics.sum("perijove_plan_requests_total", &labels);
        assert!(
            (count - f64::from(expected)).abs() < 0.1,
            "{plan} {status}: {count}"
        );
    }
    let seconds = "perijove_plan_request_duration_seconds_count";
    let timed = metrics.sum(seconds, &[("plan", "small")]);
    assert!((timed - 4.0).abs() < 0.1, "{timed}");
}

#[tokio::test]
async fn a_wrong_key_counts_under_no_plan() {
    let scene = Scene::equals_with(1, |config| {
        limited(config, slow_plan())
            .set("anonymous", true)
            .set("anonymous_plan", "small")
    })
    .await;
    assert_eq!(send(&scene, None, echo(1)).await.status, 200);
    assert_eq!(send(&scene, Some("no-such-key"), echo(1)).await.status, 401);
    let metrics = scene.gateway.metrics().await;
    for (plan, status, expected) in [
        ("small", "2xx", 1.0),
        ("small", "4xx", 0.0),
        ("unidentified", "4xx", 1.0),
    ] {
        let labels = [("plan", plan), ("status", status)];
        let count = metrics.sum("perijove_plan_requests_total", &labels);
        assert!((count - expected).abs() < 0.1, "{plan} {status}: {count}");
    }
}

#[tokio::test]
async fn who_is_a_little_too_fast_is_served_a_little_later() {
    let plan = json!({"requests_per_minute": 600, "burst": 2, "queue": "10s"});
    let scene = planned(plan).await;
    let calls = (0..4).map(|number| send(&scene, Some(BOT), echo(number)));
    for reply in join_all(calls).await {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(scene.hits("sandboxEcho"), [4]);
}

#[tokio::test]
async fn a_batch_counts_by_its_calls_and_is_refused_whole() {
    let scene = planned(slow_plan()).await;
    let batch = |calls: usize| Value::Array((0..calls).map(echo).collect());
    let reply = send(&scene, Some(BOT), batch(4)).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    let reason = "counts as 4 calls, and your plan allows 3 at once";
    assert!(reply.text().contains(reason), "{}", reply.text());
    let words = "request body size exceeds allowed maximum";
    assert!(
        reply.text().starts_with(words),
        "as a node says it: {}",
        reply.text()
    );
    let content_type = reply.header("content-type").unwrap();
    assert!(content_type.starts_with("text/plain"), "{content_type}");
    assert_eq!(
        reply.header("retry-after"),
        None,
        "it would never be served"
    );
    assert_eq!(send(&scene, Some(BOT), batch(2)).await.status, 200);
    let reply = send(&scene, Some(BOT), batch(2)).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert!(reply.header("retry-after").is_some());
    assert_eq!(reply.json()["error"]["code"], 429, "one object, no list");
    assert_eq!(scene.hits("sandboxEcho"), [2]);
}

#[tokio::test]
async fn a_plan_names_methods_and_others_are_not_asked_for() {
    let plan = json!({"allow": ["sandboxEcho", "getSlot"], "deny": ["getSlot"]});
    let scene = planned(plan).await;
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 200);
    let balance = json!({"jsonrpc": "2.0", "id": 7, "method": "getBalance", "params": [KEY]});
    let slot = json!({"jsonrpc": "2.0", "id": 8, "method": "getSlot"});
    for call in [&balance, &slot] {
        let reply = send(&scene, Some(BOT), call.clone()).await;
        assert_eq!((reply.status, reply.code()), (403, Some(403)));
        assert_eq!(reply.json()["id"], call["id"]);
    }
    let reply = send(&scene, Some(BOT), json!([echo(1), balance])).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()[1]["error"]["code"], 403);
    assert_eq!(scene.hits("getBalance"), [0]);
    assert_eq!(send(&scene, Some(WALLET), balance).await.status, 200);
}

#[tokio::test]
async fn without_consumers_nothing_is_limited_unless_addresses_have_a_plan() {
    let open = Scene::equals(1).await;
    let calls = join_all((0..150).map(|number| send(&open, None, echo(number)))).await;
    assert!(calls.iter().all(|reply| reply.status == 200));
    assert_eq!(calls[0].header("x-ratelimit-limit"), None);

    let scene = Scene::equals_with(1, |config| {
        let mut plan = slow_plan();
        plan["id"] = json!("public");
        config
            .set("plans", json!([plan]))
            .set("anonymous_plan", "public")
    })
    .await;
    let calls = join_all((0..5).map(|number| send(&scene, None, echo(number)))).await;
    let served = calls.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(served, 3);
}

#[tokio::test]
async fn a_key_may_stand_in_the_configuration_as_its_hash() {
    let made = std::process::Command::new(binary("perijove-gateway"))
        .args(["keys", "new"])
        .output()
        .unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let word = |name: &str| {
        let line = made.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    let (key, hash) = (word("key:"), word("hash:"));
    let scene = Scene::equals_with(1, |config| {
        config.set("consumers", json!([{"id": "bot", "key_hashes": [hash]}]))
    })
    .await;
    assert_eq!(send(&scene, Some(&key), echo(1)).await.status, 200);
    assert_eq!(send(&scene, Some(&hash), echo(1)).await.status, 401);
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 401);
    assert_eq!(send(&scene, None, echo(1)).await.status, 401);
}

#[tokio::test]
async fn whoever_guesses_keys_has_to_wait() {
    let scene = planned(slow_plan()).await;
    let mut told = Vec::new();
    for guess in 0..20 {
        let key = format!("a-guess-of-somebody-{guess}");
        told.push(send(&scene, Some(&key), echo(1)).await.status);
    }
    assert_eq!(told[..10], [401; 10]);
    assert_eq!(told[19], 429);
    // Not even a right one is looked at from there for now.
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 429);
    assert_eq!(scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn whoever_guesses_keys_holds_up_nobody_whose_key_was_right_before() {
    let scene = planned(slow_plan()).await;
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 200);
    for guess in 0..20 {
        let key = format!("a-guess-of-somebody-{guess}");
        send(&scene, Some(&key), echo(1)).await;
    }
    assert_eq!(send(&scene, Some(WALLET), echo(1)).await.status, 429, "new");
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 200);
    assert_eq!(scene.hits("sandboxEcho"), [2]);
}

#[tokio::test]
async fn a_key_that_was_right_in_one_path_is_right_in_any_and_lends_itself_to_no_guess() {
    let scene = planned(slow_plan()).await;
    let at = async |path: String| {
        let url = format!("{}{path}", scene.gateway.url());
        let call = scene.gateway.client().post(url).body(echo(1).to_string());
        let call = call.header("content-type", "application/json");
        scene.gateway.send(call).await.status
    };
    assert_eq!(at(format!("v2/{BOT}")).await, 200);
    for guess in 0..20 {
        at(format!("a-guess-of-somebody-{guess}")).await;
    }
    assert_eq!(at(format!("{WALLET}/v2/{BOT}")).await, 429, "a new key");
    assert_eq!(at(format!("v2/{WALLET}")).await, 429);
    assert_eq!(at(format!("another/{BOT}/rpc")).await, 200);
    let by_header = send(&scene, Some(BOT), echo(1)).await;
    assert_eq!(by_header.status, 200);
    assert_eq!(scene.hits("sandboxEcho"), [3]);
}

#[tokio::test]
async fn where_anybody_may_call_a_guesser_holds_up_nobody_without_a_key() {
    let scene = Scene::equals_with(1, |config| {
        limited(config, slow_plan()).set("anonymous", true)
    })
    .await;
    for guess in 0..20 {
        let key = format!("a-guess-of-somebody-{guess}");
        send(&scene, Some(&key), echo(1)).await;
    }
    assert_eq!(send(&scene, Some(WALLET), echo(1)).await.status, 429);
    let gateway = &scene.gateway;
    let to_a_path = gateway.client().post(format!("{}rpc", gateway.url()));
    let to_a_path = to_a_path
        .header("content-type", "application/json")
        .body(echo(1).to_string());
    assert_eq!(gateway.send(to_a_path).await.status, 200);
}

#[tokio::test]
async fn the_header_asks_for_no_more_than_the_priority_of_the_plan() {
    let plan = json!({"priority": "low"});
    let scene = planned(plan).await;
    let request = scene.gateway.client().post(scene.gateway.url());
    let request = request
        .header("content-type", "application/json")
        .header("x-api-key", BOT)
        .header("x-priority", "critical")
        .body(echo(1).to_string());
    assert_eq!(scene.gateway.send(request).await.status, 200);
    let metrics = scene.gateway.metrics().await;
    let calls = |class| metrics.sum("perijove_rpc_class_calls_total", &[("class", class)]);
    assert_eq!((calls("low"), calls("critical")), (1.0, 0.0));
}

#[tokio::test]
async fn methods_may_cost_more_than_one_call() {
    let mut plan = slow_plan();
    plan["costs"] = json!({"sandboxEcho": 2, "getVersion": 0});
    let scene = planned(plan).await;
    let version = json!({"jsonrpc": "2.0", "id": 1, "method": "getVersion"});
    for _ in 0..5 {
        assert_eq!(send(&scene, Some(BOT), version.clone()).await.status, 200);
    }
    let batch = json!([echo(1), echo(2)]);
    assert_eq!(
        send(&scene, Some(BOT), batch).await.status,
        413,
        "four of three"
    );
    let reply = send(&scene, Some(BOT), echo(1)).await;
    assert_eq!(reply.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(send(&scene, Some(BOT), echo(1)).await.status, 429);
    assert_eq!(scene.hits("sandboxEcho"), [1]);
}

#[tokio::test]
async fn who_has_taken_too_many_bytes_has_to_wait() {
    let scene = planned(json!({"answer_bytes_per_minute": "2KiB"})).await;
    let large = json!({
        "jsonrpc": "2.0", "id": 1, "method": "sandboxEcho", "params": ["x".repeat(3000)]
    });
    // The answer that exceeds it comes whole.
    let reply = send(&scene, Some(BOT), large).await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().len() > 3000);
    let reply = send(&scene, Some(BOT), echo(1)).await;
    assert_eq!((reply.status, reply.code()), (429, Some(429)));
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(send(&scene, Some(WALLET), echo(1)).await.status, 200);
    let labels = [("plan", "small"), ("reason", "bytes")];
    let metrics = scene.gateway.metrics().await;
    assert!(metrics.sum("perijove_plan_refused_requests_total", &labels) > 0.5);
}

#[tokio::test]
async fn so_many_sockets_are_open_and_no_more() {
    let scene = planned(json!({"sockets": 2})).await;
    let path = format!("/?api-key={BOT}");
    let open = || Socket::try_open(scene.gateway.address(), &path);
    let first = open().await.unwrap();
    let _second = open().await.unwrap();
    assert!(open().await.is_err());
    // The refusal is that consumer's, in the log and among those of its plan.
    let line = until("the line of the refusal", || async {
        let lines = scene.gateway.process.log();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["target"] == "access" && line["status"] == 429)
    })
    .await;
    assert_eq!(line["consumer"], "bot", "{line}");
    let metrics = scene.gateway.metrics().await;
    let labels = [("plan", "small"), ("status", "429")];
    let refused = metrics.sum("perijove_plan_requests_total", &labels);
    assert!((refused - 1.0).abs() < 0.5, "{refused}");
    drop(first);
    until("a place to be free", || async { open().await.ok() }).await;
}
