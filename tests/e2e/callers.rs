//! From where calls come: addresses behind proxies, and plans that are not for everywhere.

use std::net::SocketAddr;

use perijove_tests::client::Reply;
use perijove_tests::client::raw::RawConnection;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::ports;
use serde_json::{Value, json};

use crate::scene::Scene;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#;

/// One call a minute for each address.
fn one_each(config: GatewayConfig) -> GatewayConfig {
    let plan = json!([{"id": "public", "requests_per_minute": 1, "burst": 1, "queue": "0s"}]);
    config.set("plans", plan).set("anonymous_plan", "public")
}

async fn forwarded(scene: &Scene, lines: &[&str]) -> Reply {
    let mut request = scene.gateway.client().post(scene.gateway.url());
    request = request
        .header("content-type", "application/json")
        .body(CALL);
    for line in lines {
        request = request.header("x-forwarded-for", *line);
    }
    scene.gateway.send(request).await
}

#[tokio::test]
async fn callers_behind_a_trusted_proxy_have_a_plan_each() {
    let scene = Scene::equals_with(1, |config| {
        one_each(config).set(
            "listen.trusted_proxies",
            json!(["127.0.0.0/8", "10.0.0.0/8"]),
        )
    })
    .await;
    for (lines, status) in [
        (&["192.0.2.1"][..], 200),
        (&["192.0.2.2"], 200),
        (&["192.0.2.1"], 429),
        // What stands before the last hop that nobody vouches for is the caller's invention.
        (&["192.0.2.3, 192.0.2.1"], 429),
        (&["192.0.2.4", "192.0.2.1, 10.0.0.7"], 429),
        (&["192.0.2.1:4711"], 429),
        (&["2001:db8::1"], 200),
        (&["2001:db8::2"], 429),
        (&["unknown"], 200),
        (&[], 429),
    ] {
        let reply = forwarded(&scene, lines).await;
        assert_eq!(reply.status, status, "{lines:?}: {}", reply.text());
    }
    let log = scene.gateway.process.log().join("\n");
    assert!(log.contains("192.0.2.2"), "the log names the caller");
}

#[tokio::test]
async fn a_forged_header_of_somebody_who_is_not_trusted_is_ignored() {
    let scene = Scene::equals_with(1, |config| {
        one_each(config).set("listen.trusted_proxies", json!(["10.0.0.0/8"]))
    })
    .await;
    assert_eq!(forwarded(&scene, &["192.0.2.1"]).await.status, 200);
    for forged in ["192.0.2.2", "10.0.0.1", "127.0.0.1"] {
        assert_eq!(forwarded(&scene, &[forged]).await.status, 429, "{forged}");
    }
}

/// A gateway on a port of its own to which load balancers speak the PROXY protocol.
async fn balanced(trusted: Value) -> (Scene, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], ports::take_two()));
    let scene = Scene::equals_with(1, |config| {
        one_each(config)
            .set("listen.rpc", json!(["127.0.0.1:0", address.to_string()]))
            .set("listen.proxy_protocol", json!([address.to_string()]))
            .set("listen.trusted_proxies", trusted)
    })
    .await;
    (scene, address)
}

fn request() -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\
         {CALL}",
        CALL.len()
    )
}

async fn introduced(address: SocketAddr, header: &[u8]) -> Option<u16> {
    let mut raw = RawConnection::open(address).await;
    raw.send([header, request().as_bytes()].concat()).await;
    Some(raw.reply().await?.status)
}

#[tokio::test]
async fn a_load_balancer_introduces_its_callers() {
    let (scene, address) = balanced(json!(["127.0.0.0/8"])).await;
    let four = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x02\x0a\0\0\x01\x12\x34\x22\xc3";
    for (header, status) in [
        (
            &b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8899\r\n"[..],
            Some(200),
        ),
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 4712 8899\r\n", Some(429)),
        (four, Some(200)),
        (b"PROXY TCP4 192.0.2.2 10.0.0.1 4712 8899\r\n", Some(429)),
        (
            b"PROXY TCP6 2001:db8::1 2001:db8::2 4712 8899\r\n",
            Some(200),
        ),
        // The balancer itself.
        (b"PROXY UNKNOWN\r\n", Some(200)),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Some(429)),
        (b"", None),
        (b"PROXY TCP4 192.0.2.9\r\n", None),
    ] {
        assert_eq!(introduced(address, header).await, status, "{header:?}");
    }
    // The other port has no such header, and takes none.
    let mut raw = scene.gateway.raw().await;
    raw.send("PROXY TCP4 192.0.2.8 10.0.0.1 4711 8899\r\n")
        .await;
    raw.send(request()).await;
    assert_eq!(raw.reply().await.unwrap().status, 400);
}

#[tokio::test]
async fn nobody_else_may_introduce_anybody() {
    let (scene, address) = balanced(json!(["10.0.0.0/8"])).await;
    let header = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8899\r\n";
    assert_eq!(introduced(address, header).await, None);
    assert_eq!(scene.hits("getSlot"), [0]);
    let metrics = scene.gateway.metrics().await;
    let refused = metrics.sum(
        "perijove_http_refused_total",
        &[("reason", "proxy_protocol")],
    );
    assert!(refused > 0.5, "{refused}");
}

#[tokio::test]
async fn a_plan_may_be_for_some_addresses_and_pages_only() {
    let key = "a-key-of-somebody-inside";
    let scene = Scene::equals_with(1, |config| {
        config
            .set("listen.trusted_proxies", json!(["127.0.0.0/8"]))
            .set(
                "plans",
                json!([
                    {"id": "inside", "allow_addresses": ["192.0.2.0/24"], "deny_addresses": ["192.0.2.66"]},
                    {"id": "page", "allow_origins": ["https://*.shop.example"], "deny_origins": ["https://old.shop.example"]},
                ]),
            )
            .set(
                "consumers",
                json!([
                    {"id": "inside", "keys": [key], "plan": "inside"},
                    {"id": "page", "keys": ["a-key-within-a-page"], "plan": "page"},
                ]),
            )
    })
    .await;
    for (key, name, value, status) in [
        (key, "x-forwarded-for", "192.0.2.1", 200),
        (key, "x-forwarded-for", "192.0.2.66", 403),
        (key, "x-forwarded-for", "198.51.100.1", 403),
        (
            "a-key-within-a-page",
            "origin",
            "https://www.shop.example",
            200,
        ),
        (
            "a-key-within-a-page",
            "origin",
            "https://old.shop.example",
            403,
        ),
        (
            "a-key-within-a-page",
            "origin",
            "https://shop.example.evil",
            403,
        ),
        ("a-key-within-a-page", "x-nothing", "no page", 403),
    ] {
        let request = scene.gateway.client().post(scene.gateway.url());
        let request = request
            .header("content-type", "application/json")
            .header("x-api-key", key)
            .header(name, value)
            .body(CALL);
        let reply = scene.gateway.send(request).await;
        assert_eq!(reply.status, status, "{value}: {}", reply.text());
    }
    assert_eq!(scene.hits("getSlot"), [2]);
}
