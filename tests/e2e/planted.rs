//! Faults planted on purpose, and whether an operator who has only the log, `/status`, the metrics
//! and the docs finds the cause: each is named where it is looked for, once, with what helps.

use std::net::SocketAddr;

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::{Fault, Kind, RateShape, Sandbox, chain};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::scene::{KEY, Scene, brisk, on_reads, ranked};

/// The lines of the log, as JSON.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.process.log();
    log.iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// The lines of this level that say this.
fn said(gateway: &Gateway, level: &str, text: &str) -> Vec<Value> {
    let of = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == level && message.contains(text)
    };
    lines(gateway).into_iter().filter(of).collect()
}

/// Waits for a line of this level that says this.
async fn until_said(gateway: &Gateway, level: &str, text: &str) -> Value {
    until(&format!("{level}: {text}"), || async {
        said(gateway, level, text).into_iter().next()
    })
    .await
}

/// Changes of an upstream's health to this state.
fn changes(gateway: &Gateway, upstream: &str, to: &str) -> Vec<Value> {
    let mut changes = said(gateway, "WARN", "upstream health changed");
    changes.retain(|line| line["upstream"] == upstream && line["to"] == to);
    changes
}

/// Waits for the line that says so.
async fn until_changed(gateway: &Gateway, upstream: &str, to: &str) -> Value {
    until(&format!("{upstream} to be {to}"), || async {
        changes(gateway, upstream, to).into_iter().next()
    })
    .await
}

/// An upstream in `/status`.
async fn status_of(gateway: &Gateway, id: &str) -> Value {
    let status = gateway.status().await;
    let upstreams = status["upstreams"].as_array().unwrap();
    upstreams
        .iter()
        .find(|one| one["id"] == id)
        .unwrap()
        .clone()
}

fn says(value: &Value, text: &str) -> bool {
    value.as_str().is_some_and(|said| said.contains(text))
}

/// Probed as rarely as a metered upstream is by default.
fn metered(cluster: &Sandbox, index: usize) -> Endpoint {
    let endpoint = Endpoint::of(cluster.validator(index));
    endpoint
        .tier("paid")
        .set("probe", json!({ "timeout": "10s" }))
}

/// What speaks of one upstream without being asked for by a call.
fn lines_about(gateway: &Gateway, upstream: &str) -> usize {
    let about = |line: &&Value| line["target"] != "access" && line["upstream"] == upstream;
    lines(gateway).iter().filter(about).count()
}

async fn refuses_everything(status: u16) {
    let cluster = Sandbox::start(2).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(metered(&cluster, 0))
        .endpoint(metered(&cluster, 1));
    let gateway = Gateway::start(config).await;
    let shown = format!("failing (HTTP {status})");
    cluster.validator(0).fault(Fault::status(status));
    until(&shown, || async {
        gateway.rpc("getBalance", json!([KEY])).await;
        gateway.rpc("getEpochInfo", json!([])).await;
        (status_of(&gateway, "v0").await["state"] == shown.as_str()).then_some(())
    })
    .await;
    let told = status_of(&gateway, "v0").await;
    assert_eq!(told["health"], "failing", "{told}");
    // Whichever was refused first, a probe or a call.
    let methods = ["getSlot", "getBalance", "getEpochInfo"];
    let named = methods.iter().any(|method| says(&told["cause"], method));
    assert!(
        named && says(&told["cause"], &format!("HTTP {status}")),
        "{told}"
    );
    assert!(told["cure"].is_string(), "{told}");
    assert_eq!(told["last_error"]["http_status"], status, "{told}");
    let metrics = gateway.metrics().await;
    let failing = [("upstream", "v0"), ("state", "failing")];
    assert!(metrics.sum("perijove_upstream_state", &failing) > 0.5);
    let line = until_changed(&gateway, "v0", "failing").await;
    assert!(says(&line["cause"], &format!("HTTP {status}")), "{line}");
    assert!(line["cure"].is_string(), "{line}");
    // Whatever is called from now on, it has been said.
    let before = lines_about(&gateway, "v0");
    for number in 0..30 {
        let method = ["getBalance", "getAccountInfo"][number % 2];
        let reply = gateway.rpc(method, json!([chain::identity(number)])).await;
        assert_eq!(reply.upstream(), "v1", "{}", reply.text());
    }
    assert_eq!(changes(&gateway, "v0", "failing").len(), 1);
    assert!(
        lines_about(&gateway, "v0") <= before + 2,
        "{:#?}",
        lines(&gateway)
    );
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_403_fails_and_says_so_once() {
    refuses_everything(403).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_401_fails_and_says_so_once() {
    refuses_everything(401).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_402_fails_and_says_so_once() {
    refuses_everything(402).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_every_call_with_404_fails_and_says_so_once() {
    refuses_everything(404).await;
}

#[tokio::test]
async fn an_upstream_that_never_was_well_fails_too() {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(Fault::status(403));
    let config = GatewayConfig::new()
        .endpoint(metered(&cluster, 0))
        .endpoint(metered(&cluster, 1));
    let gateway = Gateway::start(config).await;
    until_changed(&gateway, "v0", "failing").await;
    cluster.validator(0).heal().unwrap();
    until("it to be healthy", || async {
        (status_of(&gateway, "v0").await["health"] == "healthy").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_method_that_the_key_does_not_allow_is_named_with_the_likely_cure() {
    let scene = Scene::ranked().await;
    // What a client has made up is no trouble of an upstream's.
    scene.gateway.rpc("aTypo", json!([])).await;
    let well = status_of(&scene.gateway, "v0").await;
    assert_eq!(
        (&well["state"], &well["holds"]),
        (&json!("healthy"), &json!([]))
    );
    scene.v(0).fault(on_reads(Fault::status(403)));
    for _ in 0..10 {
        scene.balance().await;
    }
    let refused = "v0 refuses getBalance with HTTP 403; is the key valid?";
    let line = until_said(&scene.gateway, "WARN", refused).await;
    assert_eq!(line["method"], "getBalance", "{line}");
    assert_eq!(line["http_status"], 403, "{line}");
    assert_eq!(said(&scene.gateway, "WARN", refused).len(), 1);
    let told = status_of(&scene.gateway, "v0").await;
    assert_eq!(told["health"], "healthy", "{told}");
    assert_eq!(told["state"], "refuses getBalance (HTTP 403)", "{told}");
    let hold = &told["holds"][0];
    assert_eq!(hold["method"], "getBalance", "{told}");
    assert_eq!(hold["cause"], "key-refused", "{told}");
    assert!(
        hold["since_seconds"].is_u64() && hold["seconds_left"].is_u64(),
        "{told}"
    );
    assert_eq!(told["last_error"]["fault"], "forbidden", "{told}");
}

#[tokio::test]
async fn a_dead_key_is_told_once_whatever_is_called() {
    let scene = Scene::ranked().await;
    let methods = [
        "getBalance",
        "getAccountInfo",
        "getSignaturesForAddress",
        "getProgramAccounts",
    ];
    for method in methods {
        scene.v(0).fault(Fault::status(403).on(method));
    }
    for method in methods {
        for _ in 0..3 {
            let reply = scene.gateway.rpc(method, json!([KEY])).await;
            assert_eq!(reply.upstream(), "v1", "{method}: {}", reply.text());
        }
    }
    let refused = until_said(&scene.gateway, "WARN", "v0 refuses").await;
    assert_eq!(refused["http_status"], 403, "{refused}");
    let told = said(&scene.gateway, "WARN", "v0 refuses");
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[tokio::test]
async fn an_upstream_of_another_cluster_is_told_with_both_genesis_hashes() {
    let cluster = brisk(2).await;
    cluster.validator(0).fault(Kind::WrongGenesis);
    let config = ranked(&cluster).set("cluster.genesis", chain::GENESIS);
    let gateway = Gateway::start(config).await;
    let line = until_changed(&gateway, "v0", "wrong-cluster").await;
    let told = status_of(&gateway, "v0").await;
    let own = told["genesis"].as_str().unwrap();
    assert_ne!(own, chain::GENESIS);
    for cause in [&line["cause"], &told["cause"]] {
        assert!(
            says(cause, own) && says(cause, chain::GENESIS),
            "{line} {told}"
        );
    }
    assert!(says(&line["cure"], "URL"), "{line}");
}

#[tokio::test]
async fn no_usable_upstream_is_one_error_and_its_end_is_told() {
    let scene = Scene::ranked().await;
    for validator in scene.cluster.validators() {
        validator.down().await;
    }
    let none = "no upstream available";
    let line = until_said(&scene.gateway, "ERROR", none).await;
    let states = line["upstreams"].as_array().unwrap();
    assert_eq!(states.len(), 2, "{line}");
    assert!(says(&states[0]["state"], "failing"), "{line}");
    let looks = scene.v(0).probes();
    scene.v(0).heal().unwrap();
    until_said(&scene.gateway, "INFO", "upstream available again").await;
    assert!(scene.v(0).probes() > looks);
    assert_eq!(said(&scene.gateway, "ERROR", none).len(), 1);
}

#[tokio::test]
async fn a_gateway_that_is_its_own_upstream_says_so_and_takes_no_call_twice() {
    // A way back to the gateway that its configuration does not show.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", way.local_addr().unwrap());
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("itself", &url))
        .endpoint(Endpoint::of(cluster.validator(0)).tier("paid"));
    let gateway = Gateway::start(config).await;
    let forwards = forward(way, gateway.address());
    until("the cause to be shown", || async {
        let told = status_of(&gateway, "itself").await;
        let shown = told["state"] == "failing (HTTP 508)"
            && says(&told["cure"], "points back at this gateway");
        shown.then_some(())
    })
    .await;
    let line = until_changed(&gateway, "itself", "failing").await;
    assert!(says(&line["cure"], "points back at this gateway"), "{line}");
    cluster.reset_counts();
    for number in 0..10 {
        let reply = gateway
            .rpc("getBalance", json!([chain::identity(number)]))
            .await;
        assert_eq!(reply.upstream(), "v0", "{}", reply.text());
    }
    assert_eq!(cluster.hits("getBalance"), 10);
    forwards.abort();
}

/// Forwards connections until it is aborted.
fn forward(way: TcpListener, to: SocketAddr) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((mut near, _)) = way.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                drop(copy_bidirectional(&mut near, &mut far).await);
            });
        }
    })
}

#[tokio::test]
async fn two_gateways_that_are_each_others_upstreams_send_no_call_in_circles() {
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", way.local_addr().unwrap());
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .endpoint(Endpoint::at("second", &url))
        .endpoint(Endpoint::of(cluster.validator(0)).tier("paid"));
    let first = Gateway::start(config).await;
    let second = GatewayConfig::new().endpoint(Endpoint::at("first", &first.url()));
    let second = Gateway::start(second).await;
    let forwards = forward(way, second.address());
    for number in 0..10 {
        for gateway in [&first, &second] {
            let account = json!([chain::identity(number)]);
            let reply = until("an answer", || async {
                let reply = gateway.rpc("getBalance", account.clone()).await;
                reply.json()["result"].is_object().then_some(reply)
            })
            .await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    let refused = first.metrics().await;
    let loops = refused.sum("perijove_http_refused_total", &[("reason", "loop")]);
    assert!(loops > 0.0, "what came back was refused");
    forwards.abort();
}

#[tokio::test]
async fn what_keeps_calls_from_a_well_upstream_is_told_with_what_helps() {
    for (fault, state, cause, cure) in [
        (
            Fault::rate_limit(RateShape::Plain, Some("60")),
            "refuses getBalance (HTTP 429)",
            "limits the rate of getBalance with HTTP 429",
            "raise the provider's limit",
        ),
        (
            Fault::rate_limit(RateShape::Credits, None),
            "credits-exhausted",
            "credits",
            "buy credits",
        ),
        (Fault::status(503), "breaker open", "HTTP 503", "own log"),
    ] {
        let scene = Scene::ranked().await;
        scene.v(0).fault(on_reads(fault));
        let told = until(state, || async {
            scene.balance().await;
            let told = status_of(&scene.gateway, "v0").await;
            says(&told["state"], state).then_some(told)
        })
        .await;
        assert!(says(&told["cause"], cause), "{told}");
        assert!(says(&told["cure"], cure), "{told}");
    }
}

#[tokio::test]
async fn a_gateway_whose_upstream_is_for_history_alone_is_not_ready() {
    let cluster = Sandbox::start(2).await.unwrap();
    let config = GatewayConfig::new()
        .upstream(cluster.validator(0))
        .endpoint(Endpoint::of(cluster.validator(1)).set("allow", json!(["getTransaction"])));
    let gateway = Gateway::start(config).await;
    cluster.validator(0).down().await;
    until("it not to be ready", || async {
        let status = gateway.admin("/ready").await.status;
        let well = status_of(&gateway, "v1").await["health"] == "healthy";
        (status == 503 && well).then_some(())
    })
    .await;
    cluster.validator(0).heal().unwrap();
    until("it to be ready", || async {
        (gateway.admin("/ready").await.status == 200).then_some(())
    })
    .await;
    // One that is meant for history says so.
    let config = GatewayConfig::new()
        .endpoint(Endpoint::of(cluster.validator(1)).set("allow", json!(["getTransaction"])))
        .set("health.ready_for", json!(["getTransaction"]));
    Gateway::start(config).await;
}

#[tokio::test]
async fn a_host_that_is_not_resolved_is_warned_of_once_and_shown() {
    let cluster = Sandbox::start(1).await.unwrap();
    let config = GatewayConfig::new()
        .upstream(cluster.validator(0))
        .endpoint(Endpoint::at("lost", "http://rpc.invalid:8899").tier("paid"));
    let gateway = Gateway::start(config).await;
    let unresolved = "upstream DNS lookup failed";
    let line = until_said(&gateway, "WARN", unresolved).await;
    assert_eq!(line["host"], "rpc.invalid", "{line}");
    assert!(says(&line["cure"], "DNS"), "{line}");
    until("the state to be shown", || async {
        let told = status_of(&gateway, "lost").await;
        let shown = told["state"] == "failing (dns)" && says(&told["cause"], "rpc.invalid");
        shown.then_some(())
    })
    .await;
    // It has been tried again meanwhile.
    let probes = cluster.validator(0).probes();
    eventually("some more probes", || {
        cluster.validator(0).probes() > probes + 100
    })
    .await;
    assert_eq!(said(&gateway, "WARN", unresolved).len(), 1);
}

#[tokio::test]
async fn a_lag_is_told_in_slots() {
    let scene = Scene::ranked().await;
    scene.v(0).fault(Fault::lag(50));
    let line = until_changed(&scene.gateway, "v0", "lagging").await;
    assert!(says(&line["cause"], "slots behind"), "{line}");
    assert!(line["lag"].as_u64().unwrap() > 16, "{line}");
    let told = status_of(&scene.gateway, "v0").await;
    assert!(says(&told["state"], "lagging ("), "{told}");
    assert!(told["since_seconds"].is_u64(), "{told}");
}

#[tokio::test]
async fn the_page_shows_state_cause_cure_and_holds() {
    let scene = Scene::equals(1).await;
    let page = scene.gateway.admin("/").await.text();
    assert!(page.contains("viewport"));
    let style = scene.gateway.admin("/status.css").await.text();
    assert!(style.contains("@media"));
    let script = scene.gateway.admin("/status.js").await.text();
    for field in [
        "state",
        "cause",
        "cure",
        "since_seconds",
        "last_error",
        "holds",
    ] {
        assert!(script.contains(&format!("one.{field}")), "{field}");
    }
}

#[tokio::test]
async fn a_redis_without_memory_is_told_with_the_setting_that_helps() {
    let redis = Redis::start().await;
    let () = redis
        .ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])
        .await;
    let () = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let cluster = Sandbox::start(1).await.unwrap();
    let config = ranked(&cluster)
        .set("cache.enabled", true)
        .set("cache.redis", json!({ "url": redis.url() }));
    let gateway = Gateway::start(config).await;
    let full = "shared cache writes failing";
    let line = until("the warning", || async {
        let slot = cluster.cluster().clock.tip() - 300;
        gateway
            .rpc("getBlockTime", json!([chain::block_at_or_before(slot)]))
            .await;
        gateway.rpc("getGenesisHash", json!([])).await;
        said(&gateway, "WARN", full).into_iter().next()
    })
    .await;
    assert_eq!(line["failure"], "oom", "{line}");
    assert!(says(&line["cure"], "maxmemory"), "{line}");
    let trouble = gateway.status().await["shared_cache"]["trouble"].clone();
    assert!(says(&trouble, "maxmemory"), "{trouble}");
    assert_eq!(said(&gateway, "WARN", full).len(), 1);
}

#[tokio::test]
async fn connections_that_are_all_in_use_are_told_with_what_helps() {
    let scene = Scene::equals_with(1, |config| {
        let endpoint = config.get("upstreams").unwrap()[0].clone();
        let mut endpoint = endpoint.as_object().unwrap().clone();
        endpoint.insert("connections".to_owned(), json!(1));
        endpoint.insert("connections_ceiling".to_owned(), json!(1));
        config.set("upstreams", json!([endpoint]))
    })
    .await;
    scene.v(0).fault(on_reads(Kind::Hold));
    let calls = async {
        let reads = [scene.balance(), scene.balance(), scene.balance()];
        futures::future::join_all(reads).await
    };
    let told = async {
        let line = until_said(&scene.gateway, "WARN", "upstream connection limit reached").await;
        assert_eq!(line["upstream"], "v0", "{line}");
        let told = status_of(&scene.gateway, "v0").await;
        assert_eq!(told["saturated"], true, "{told}");
        assert_eq!(told["state"], "saturated", "{told}");
        scene.v(0).heal().unwrap();
    };
    let (replies, ()) = tokio::join!(calls, told);
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(
        said(&scene.gateway, "WARN", "upstream connection limit reached").len(),
        1
    );
}

#[tokio::test]
async fn a_want_of_file_descriptors_is_an_error_that_names_the_limit() {
    let scene = Scene::equals_with(2, |config| config.set("retry.attempts", 2)).await;
    for validator in scene.cluster.validators() {
        // Each call needs a connection of its own, and so a descriptor.
        validator.fault(Kind::ConnectionClose);
    }
    scene.balance().await;
    let limit = |soft: u64| {
        let pid = scene.gateway.pid().to_string();
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={soft}:")])
            .status();
        assert!(
            set.is_ok_and(|status| status.success()),
            "prlimit of util-linux"
        );
    };
    limit(4);
    let line = until("the error", || async {
        scene.balance().await;
        said(&scene.gateway, "ERROR", "out of file descriptors")
            .into_iter()
            .next()
    })
    .await;
    assert!(says(&line["message"], "ulimit -n"), "{line}");
    assert_eq!(line["fault"], "no-descriptors", "{line}");
    limit(1024);
    until("a call to be served again", || async {
        let reply = scene.balance().await;
        reply.json().get("result").is_some().then_some(())
    })
    .await;
    assert_eq!(
        said(&scene.gateway, "ERROR", "out of file descriptors").len(),
        1
    );
}

#[tokio::test]
async fn a_slow_upstream_is_seen_in_the_access_log_and_the_metrics() {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", true)).await;
    scene.v(0).fault(on_reads(Fault::slow(2_000)));
    let line = until("a call that v0 did not answer in time", || async {
        scene.balance().await;
        lines(&scene.gateway).into_iter().find(|line| {
            line["upstreams"][0]["upstream"] == "v0"
                && line["upstreams"][0]["outcome"] == "unanswered"
        })
    })
    .await;
    assert_eq!(line["upstream"], "v1", "{line}");
    let started = [("upstream", "v1"), ("result", "started")];
    let metrics = scene.gateway.metrics().await;
    assert!(metrics.sum("perijove_upstream_hedges_total", &started) > 0.5);
}
