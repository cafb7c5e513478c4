//! Faults planted on purpose, and whether an operator who has only the log, `/status`, the metrics
//! and the docs finds the cause: each is named where it is looked for, once, with what helps.

mod limits;
mod loops;
mod refusals;

use std::net::SocketAddr;

use perijove_tests::gateway::{Endpoint, Gateway, GatewayConfig};
use perijove_tests::redis::Redis;
use perijove_tests::sandbox::{Fault, Kind, RateShape, Sandbox, chain};
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
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
