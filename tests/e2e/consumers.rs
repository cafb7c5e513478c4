//! API keys of consumers: where they may stand, and what happens without a right one.

use perijove_tests::client::Reply;
use perijove_tests::wait::until;
use serde_json::json;

use crate::scene::Scene;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#;

async fn closed() -> Scene {
    Scene::equals_with(1, |config| {
        config
            .set(
                "consumers",
                json!([
                    {"id": "bots", "keys": ["sesame-open", "second-key"]},
                    {"id": "wallet", "keys": ["plum"]},
                ]),
            )
            .set("anonymous", false)
    })
    .await
}

async fn send(scene: &Scene, path: &str, header: Option<(&str, &str)>) -> Reply {
    let mut request = scene
        .gateway
        .client()
        .post(format!("{}{path}", scene.gateway.url()))
        .header("content-type", "application/json")
        .body(CALL);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    scene.gateway.send(request).await
}

#[tokio::test]
async fn a_key_is_found_in_header_query_and_path() {
    let scene = closed().await;
    for (path, header) in [
        ("", Some(("x-api-key", "sesame-open"))),
        ("", Some(("authorization", "Bearer second-key"))),
        ("?api-key=plum", None),
        ("?x=1&api_key=plum", None),
        ("sesame-open", None),
        ("v2/sesame-open/", None),
    ] {
        let reply = send(&scene, path, header).await;
        assert_eq!(reply.status, 200, "{path} {header:?}: {}", reply.text());
    }
    assert_eq!(scene.hits("getSlot"), [6]);
}

#[tokio::test]
async fn without_a_right_key_nobody_is_asked() {
    let scene = closed().await;
    for (path, header) in [
        ("", None),
        ("wrong", None),
        ("?api-key=wrong", None),
        ("?api-key=", None),
        ("", Some(("x-api-key", "wrong"))),
        ("", Some(("x-api-key", "sesame-ope"))),
        ("", Some(("x-api-key", ""))),
        ("", Some(("authorization", "Bearer wrong"))),
        ("", Some(("authorization", "Basic c2VzYW1lLW9wZW4="))),
    ] {
        let reply = send(&scene, path, header).await;
        assert_eq!(reply.status, 401, "{path} {header:?}: {}", reply.text());
        assert_eq!(reply.code(), Some(401));
    }
    assert_eq!(scene.v(0).hits_total(), 0);
}

#[tokio::test]
async fn a_refused_client_need_not_have_sent_its_body() {
    let scene = closed().await;
    let mut raw = scene.gateway.raw().await;
    raw.send(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: \
         5000\r\n\r\n",
    )
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 401);
}

#[tokio::test]
async fn a_key_never_reaches_the_upstream_or_the_log() {
    let scene = closed().await;
    for (path, header) in [
        ("", Some(("x-api-key", "sesame-open"))),
        ("", Some(("authorization", "Bearer sesame-open"))),
        ("sesame-open?api-key=sesame-open", None),
    ] {
        assert_eq!(send(&scene, path, header).await.status, 200);
    }
    let seen = scene.v(0).counts().seen("getSlot");
    assert_eq!(seen.len(), 3);
    for request in seen {
        let whole = format!("{request:?}");
        assert!(!whole.contains("sesame"), "{whole}");
    }
    let log = scene.gateway.process.log().join("\n");
    assert!(!log.contains("sesame"), "{log}");
    let status = scene.gateway.admin("/status").await.text();
    assert!(!status.contains("sesame"), "{status}");
}

#[tokio::test]
async fn a_key_in_a_malformed_request_is_not_logged_at_any_level() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set(
                "consumers",
                json!([{"id": "bots", "keys": ["sesame-open"]}]),
            )
            .set("log.level", "trace")
    })
    .await;
    let mut raw = scene.gateway.raw().await;
    raw.send(
        "POST /sesame-open?api-key=sesame-open HTTP/1.1\r\nhost: a\r\nx-api-key: \
         sesame-open\r\nno colon here\r\n\r\n",
    )
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 400);
    let line = until("the refusal in the log", || {
        let log = scene.gateway.process.log();
        std::future::ready(
            log.into_iter()
                .find(|line| line.contains("invalid request head")),
        )
    })
    .await;
    assert!(!line.contains("sesame"), "{line}");
    let log = scene.gateway.process.log().join("\n");
    assert!(!log.contains("sesame"), "{log}");
}

#[tokio::test]
async fn strangers_may_be_let_in_beside_consumers() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set("consumers", json!([{"id": "bots", "keys": ["sesame"]}]))
            .set("anonymous", true)
    })
    .await;
    assert_eq!(send(&scene, "", None).await.status, 200);
    assert_eq!(send(&scene, "any/path", None).await.status, 200);
    assert_eq!(send(&scene, "?api-key=wrong", None).await.status, 401);
    assert_eq!(send(&scene, "?api-key=sesame", None).await.status, 200);
}

#[tokio::test]
async fn health_needs_no_key() {
    let scene = closed().await;
    let url = format!("{}health", scene.gateway.url());
    let reply = scene.gateway.send(scene.gateway.client().get(url)).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_preflight_needs_no_key() {
    let scene = closed().await;
    let preflight = scene
        .gateway
        .client()
        .request(reqwest::Method::OPTIONS, scene.gateway.url())
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-api-key");
    let reply = scene.gateway.send(preflight).await;
    assert_eq!(reply.status, 200);
    let allowed = reply
        .header("access-control-allow-headers")
        .unwrap_or_default();
    assert!(allowed.to_lowercase().contains("x-api-key"), "{allowed}");
}
