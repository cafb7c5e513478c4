//! Clients as they come, with their defaults: what they say about protocols that the gateway does not
//! speak is no reason to refuse them.

use std::process::{Output, Stdio};

use perijove_tests::client::raw::{RawConnection, post};
use perijove_tests::client::{Reply, call};
use perijove_tests::gateway::loopback;
use perijove_tests::proxy::Proxy;
use perijove_tests::sandbox::{Coding, Fault, Kind};
use perijove_tests::tls::Identity;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::scene::Scene;

const REMEDY: &str = "install it with: scripts/setup test";

/// More than is held and checked as a whole.
const LARGE: u64 = 3_000_000;

async fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}; {REMEDY}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}; {REMEDY}");
    output
}

/// What a client printed: a line for each exchange, with version, status and body.
fn lines(output: &Output) -> Vec<(String, u16, Value)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let exchange = |line: &str| {
        let (version, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{text}"));
        let (status, body) = rest.split_once(' ').unwrap_or_else(|| panic!("{text}"));
        let body = serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}"));
        (version.to_owned(), status.parse().unwrap(), body)
    };
    text.lines().map(exchange).collect()
}

#[tokio::test]
async fn javas_own_client_is_served_from_its_first_request_on() {
    let scene = Scene::equals(1).await;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/java/Calls.java");
    let output = run("java", &["-Xshare:auto", source, &scene.gateway.url()]).await;
    let exchanges = lines(&output);
    assert_eq!(exchanges.len(), 5);
    for (number, (version, status, body)) in exchanges.iter().enumerate() {
        assert_eq!(*status, 200, "{version} {body}");
        assert_eq!(version, "HTTP_1_1");
        assert_eq!(body["result"], json!([number]));
    }
    assert_eq!(scene.hits("sandboxEcho"), [5]);
}

#[tokio::test]
async fn curl_is_served_over_http_2_however_it_asks_for_it() {
    let scene = Scene::equals(1).await;
    let body = call("sandboxEcho", &json!([7]));
    for (option, version) in [
        ("--http2", "1.1"),
        ("--http2-prior-knowledge", "2"),
        ("--http1.1", "1.1"),
        ("--http1.0", "1.1"),
    ] {
        let url = scene.gateway.url();
        let output = run(
            "curl",
            &[
                "-sS",
                option,
                "-H",
                "content-type: application/json",
                "-d",
                &body,
                "-w",
                "%{stderr}%{http_version} %{http_code}",
                &url,
            ],
        )
        .await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said, format!("{version} 200"), "{option}");
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(reply["result"], json!([7]), "{option}");
    }
}

#[tokio::test]
async fn curl_that_offers_http_1_0_alone_is_served_over_tls() {
    let own = Identity::of("localhost");
    let listener = json!([{
        "address": loopback(),
        "certificate": own.certificate_file().display().to_string(),
        "key": own.key_file().display().to_string(),
    }]);
    let scene = Scene::equals_with(1, |config| config.set("listen.tls", listener)).await;
    let url = format!("https://{}/health", scene.gateway.tls_address());
    let output = run("curl", &["-sSk", "--http1.0", &url]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((said.as_str(), output.stdout.as_slice()), ("", &b"ok"[..]));
}

#[tokio::test]
async fn httpx_is_served_over_both_versions_without_tls() {
    let scene = Scene::equals(1).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let python = format!("{folder}/.venv/http/bin/python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/flow/httpx_calls.py");
    let exchanges = lines(&run(&python, &[script, &scene.gateway.url()]).await);
    let versions: Vec<_> = exchanges.iter().map(|(version, ..)| &**version).collect();
    assert_eq!(versions, ["HTTP/2", "HTTP/2", "HTTP/1.1", "HTTP/1.1"]);
    for (_, status, body) in &exchanges {
        assert_eq!((*status, &body["result"]), (200, &json!(["x"])));
    }
}

#[tokio::test]
async fn only_an_upgrade_to_websocket_is_refused() {
    let scene = Scene::equals(1).await;
    let body = call("sandboxEcho", &json!([7]));
    for (upgrade, status) in [
        ("h2c", 200),
        ("TLS/1.0", 200),
        ("TLS/1.0, HTTP/1.1", 200),
        ("foo/1, bar", 200),
        ("websocket", 501),
        ("WebSocket", 501),
    ] {
        let mut raw = scene.gateway.raw().await;
        let fields = format!("connection: upgrade\r\nupgrade: {upgrade}\r\n");
        for _ in 0..2 {
            raw.send(post(&body, &fields)).await;
            let reply = raw.reply().await.unwrap();
            assert_eq!(reply.status, status, "{upgrade}: {}", reply.text());
            assert_eq!(reply.header("upgrade"), None);
        }
    }
    assert_eq!(scene.hits("sandboxEcho"), [8]);
}

#[tokio::test]
async fn answers_pass_nginx_as_it_comes() {
    let scene = Scene::equals(1).await;
    let proxy = Proxy::nginx(scene.gateway.address()).await;
    let client = Client::new();
    let send = |body: String| {
        let request = client.post(format!("http://{}/", proxy.address()));
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    for bytes in [10, 200_000, LARGE] {
        let body = call("sandboxPad", &json!([{ "bytes": bytes }]));
        let reply = Reply::read(send(body).await.unwrap()).await.unwrap();
        let length = reply.result().as_str().unwrap().len() as u64;
        assert_eq!(length, bytes);
    }
}

#[tokio::test]
async fn an_answer_cut_short_is_never_whole_to_a_client_of_http_1_0() {
    let scene = Scene::equals(1).await;
    let proxy = Proxy::nginx(scene.gateway.address()).await;
    let body = call("sandboxPad", &json!([{ "bytes": LARGE }]));
    for chunked in [false, true] {
        scene.v(0).faults().clear();
        scene
            .v(0)
            .fault(Fault::from(Kind::Truncate).on("sandboxPad"));
        if chunked {
            scene
                .v(0)
                .fault(Fault::from(Kind::Chunked).on("sandboxPad"));
        }
        let old = post(&body, "").replace("HTTP/1.1", "HTTP/1.0");
        let mut raw = scene.gateway.raw().await;
        raw.send(&old).await;
        let ended = raw.ends().await;
        assert!(ended.is_cut(), "{chunked}: {ended:?}");

        let mut raw = RawConnection::open(proxy.address()).await;
        raw.send(post(&body, "")).await;
        assert_eq!(raw.reply().await, None, "through nginx, {chunked}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asked_to_be_compressed_is_read() {
    let scene = Scene::equals(1).await;
    let expected = scene.balance().await.result();
    for coding in [Coding::Gzip, Coding::Deflate] {
        for chunked in [false, true] {
            scene.v(0).faults().clear();
            scene.v(0).fault(Kind::Compressed { coding });
            if chunked {
                scene.v(0).fault(Kind::Chunked);
            }
            let reply = scene.balance().await;
            assert_eq!(reply.result()["value"], expected["value"], "{coding:?}");
            for bytes in [100_000, LARGE] {
                let params = json!([{ "bytes": bytes }]);
                let reply = scene.gateway.rpc("sandboxPad", params).await;
                let length = reply.result().as_str().unwrap().len() as u64;
                assert_eq!(length, bytes, "{coding:?}");
            }
        }
    }
    let status = scene.gateway.status().await;
    assert_eq!(status["upstreams"][0]["health"], "healthy", "{status}");
}

#[tokio::test]
async fn what_only_says_that_it_is_compressed_is_asked_of_another() {
    let scene = Scene::ranked().await;
    let coding = Coding::FalseGzip;
    let fault = Fault::from(Kind::Compressed { coding }).on("getBalance");
    scene.v(0).fault(fault);
    let reply = scene.balance().await;
    assert_eq!(reply.upstream(), "v1");
    assert!(reply.result()["value"].is_u64());
}

#[tokio::test]
async fn a_json_rpc_answer_is_judged_as_one_behind_most_statuses() {
    for status in [400, 404, 405, 422, 500] {
        let scene = Scene::ranked().await;
        let behind = Fault::from(Kind::Behind { status });
        scene.v(0).fault(behind.on("getBalance"));
        let reply = scene.balance().await;
        assert_eq!((reply.status, reply.upstream()), (200, "v0"), "{status}");
        assert!(reply.result()["value"].is_u64(), "{status}");

        // The caller's own fault stays the caller's, and the upstream stays in service.
        for _ in 0..10 {
            let reply = scene.gateway.rpc("getBalance", json!(["no key"])).await;
            assert_eq!(reply.status, 200, "{status}");
            assert_eq!(reply.code(), Some(-32602), "{status}: {}", reply.text());
        }
        assert_eq!(scene.balance().await.upstream(), "v0", "{status}");
    }
}
