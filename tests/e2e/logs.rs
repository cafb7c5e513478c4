//! What the log says, and what it does not: an error is something to look at, values are JSON, and
//! a stranger at the door is neither.

use perijove_tests::gateway::{Gateway, GatewayConfig, loopback};
use perijove_tests::sandbox::{Fault, Kind, Sandbox};
use perijove_tests::tls::Identity;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{Scene, on_reads, ranked};

/// The lines of the log as JSON.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.process.log();
    log.iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Lines at a level that somebody is called for.
fn alarms(gateway: &Gateway) -> Vec<Value> {
    let loud = |line: &Value| line["level"] == "ERROR" || line["level"] == "WARN";
    lines(gateway).into_iter().filter(loud).collect()
}

fn with_tls(identity: &Identity, config: GatewayConfig) -> GatewayConfig {
    let listener = json!([{
        "address": loopback(),
        "certificate": identity.certificate_file().display().to_string(),
        "key": identity.key_file().display().to_string(),
    }]);
    config.set("listen.tls", listener)
}

#[tokio::test]
async fn a_gateway_that_is_started_and_scanned_alarms_nobody() {
    let identity = Identity::of("localhost");
    let cluster = Sandbox::start(2).await.unwrap();
    let gateway = Gateway::start(with_tls(&identity, ranked(&cluster))).await;
    let failed = "perijove_tls_handshakes_failed_total";
    for garbage in [
        "",
        "GET / HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\0",
        "SSH-2.0-x\r\n",
    ] {
        let before = gateway.metrics().await.sum(failed, &[]);
        let mut scanner = gateway.raw_to(gateway.tls_address()).await;
        scanner.send(garbage).await;
        drop(scanner);
        until("the handshake to be counted", || async {
            let now = gateway.metrics().await.sum(failed, &[]);
            (now > before).then_some(())
        })
        .await;
    }
    for garbage in [
        "SSH-2.0-x\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{5}\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame",
        "GET /.env HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}",
    ] {
        let mut scanner = gateway.raw().await;
        scanner.send(garbage).await;
        drop(scanner);
    }
    // The last word of all, so that those before it have been said.
    let reply = gateway.rpc("getSlot", json!([])).await;
    let id = reply.header("x-request-id").unwrap().to_owned();
    until("the line of the last request", || async {
        let all = lines(&gateway);
        all.iter()
            .any(|line| line["request_id"] == id.as_str())
            .then_some(())
    })
    .await;
    assert_eq!(alarms(&gateway), Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_no_http_is_refused_in_our_words_and_stands_in_the_access_log() {
    let scene = Scene::equals(1).await;
    let mut client = scene.gateway.raw().await;
    client.send("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.status, 400);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"]["code"], -32600, "{body}");
    assert_eq!(body["id"], Value::Null, "{body}");
    let id = reply.header("x-request-id").unwrap().to_owned();
    let line = until("the line of the request", || async {
        let all = lines(&scene.gateway);
        all.into_iter()
            .find(|line| line["request_id"] == id.as_str())
    })
    .await;
    assert_eq!(line["status"], 400, "{line}");
    assert_eq!(line["outcome"], "bad_http", "{line}");
    assert_eq!(line["client"], "127.0.0.1", "{line}");
}

#[tokio::test]
async fn no_line_into_a_pipe_has_colours() {
    let scene = Scene::equals_with(1, |config| config.set("log.format", "pretty")).await;
    scene.balance().await;
    let log = until("the line of the request", || async {
        let log = scene.gateway.process.log();
        log.iter()
            .any(|line| line.contains("getBalance"))
            .then_some(log)
    })
    .await;
    for line in log {
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
}

#[tokio::test]
async fn lists_and_numbers_in_the_log_are_json() {
    let scene = Scene::equals(1).await;
    let listening = lines(&scene.gateway)
        .into_iter()
        .find(|line| line["message"] == "listening")
        .unwrap();
    assert_eq!(listening["rpc"][0], scene.gateway.address().to_string());
    let changed = lines(&scene.gateway)
        .into_iter()
        .find(|line| line["message"] == "upstream health changed")
        .unwrap();
    assert!(changed["after_seconds"].is_number(), "{changed}");
    scene.gateway.sigterm();
    let stopping = until("the line of the signal", || async {
        let all = lines(&scene.gateway);
        all.into_iter().find(|line| line["message"] == "stopping")
    })
    .await;
    assert!(stopping["delay_seconds"].is_number(), "{stopping}");
}

/// The access line of a reply.
pub async fn line_of(gateway: &Gateway, reply: &perijove_tests::client::Reply) -> Value {
    let id = reply.header("x-request-id").unwrap().to_owned();
    until("the line of the request", || async {
        let all = lines(gateway);
        all.into_iter()
            .find(|line| line["request_id"] == id.as_str())
    })
    .await
}

#[tokio::test]
async fn an_access_line_has_no_empty_field_and_names_the_method_also_of_refused_calls() {
    let scene = Scene::equals_with(1, |config| {
        let plan = json!({
            "id": "small", "requests_per_minute": 1, "burst": 1, "queue": "0s", "deny": ["getBlock"]
        });
        config
            .set("plans", json!([plan]))
            .set("anonymous_plan", "small")
            .set("cache.enabled", false)
    })
    .await;
    for (method, status, outcome) in [
        ("getBlock", 403, "not_in_plan"),
        ("getBalance", 429, "over_limit"),
    ] {
        let reply = scene.gateway.rpc(method, json!([1])).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        let line = line_of(&scene.gateway, &reply).await;
        assert_eq!(line["method"], method, "{line}");
        assert_eq!(line["outcome"], outcome, "{line}");
        let empty = |(_, value): &(&String, &Value)| *value == "" || value.is_null();
        let fields = line.as_object().unwrap().iter();
        let empty: Vec<_> = fields.filter(empty).collect();
        assert!(empty.is_empty(), "{empty:?}");
        assert!(line.get("fault").is_none(), "{line}");
    }
}

/// Upstream and outcome of each attempt.
pub fn tried(line: &Value) -> Vec<(&str, &str)> {
    let attempts = line["upstreams"].as_array().unwrap().iter();
    attempts
        .map(|one| {
            assert!(one["micros"].is_u64(), "{line}");
            (
                one["upstream"].as_str().unwrap(),
                one["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn an_access_line_names_every_upstream_that_was_tried_with_what_it_did() {
    let scene = Scene::ranked_of(3, |config| config).await;
    let reply = scene.balance().await;
    let line = line_of(&scene.gateway, &reply).await;
    assert_eq!(tried(&line), [("v0", "good")], "{line}");
    scene.v(0).fault(on_reads(Fault::status(503)).times(1));
    let reply = scene.balance().await;
    let line = line_of(&scene.gateway, &reply).await;
    let by = reply.upstream();
    assert_eq!(
        tried(&line),
        [("v0", "server-error"), (by, "good")],
        "{line}"
    );
    assert_eq!(line["upstream"], by, "{line}");
    for validator in scene.cluster.validators() {
        validator.fault(on_reads(Fault::status(403)));
    }
    let reply = scene.balance().await;
    let line = line_of(&scene.gateway, &reply).await;
    let tried = tried(&line);
    assert_eq!(tried.len(), 3, "{line}");
    assert!(
        tried.iter().all(|(_, outcome)| *outcome == "forbidden"),
        "{line}"
    );
    assert_eq!(line["outcome"], "key_refused", "{line}");
}

#[tokio::test]
async fn an_access_line_of_a_hedged_call_names_the_one_that_did_not_answer() {
    let scene = Scene::ranked_with(|config| config.set("hedge.enabled", true)).await;
    scene.v(0).fault(on_reads(Kind::Hold));
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    let line = line_of(&scene.gateway, &reply).await;
    assert_eq!(
        tried(&line),
        [("v0", "unanswered"), ("v1", "good")],
        "{line}"
    );
    assert_eq!(line["hedged"], true, "{line}");
    let won = [("upstream", "v1"), ("result", "won")];
    let metrics = scene.gateway.metrics().await;
    assert!(metrics.sum("perijove_upstream_hedges_total", &won) > 0.5);
    scene.v(0).heal().unwrap();
}

#[tokio::test]
async fn an_access_line_of_a_batch_puts_attempts_together() {
    let scene = Scene::ranked().await;
    let call = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "getSlot"});
    let batch = Value::from((0..5).map(call).collect::<Vec<_>>());
    let reply = scene.gateway.post(batch.to_string()).await;
    let line = line_of(&scene.gateway, &reply).await;
    assert_eq!(line["method"], "batch", "{line}");
    let attempts = line["upstreams"].as_array().unwrap();
    assert_eq!(attempts[0]["upstream"], "v0", "{line}");
    let times = attempts
        .iter()
        .map(|one| one["times"].as_u64().unwrap_or(1));
    assert!(times.sum::<u64>() >= 5, "{line}");
}
