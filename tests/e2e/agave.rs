//! The HTTP and JSON-RPC manners of an Agave node, kept by the gateway.

use perijove_tests::client::keep_alive;
use serde_json::json;

use crate::scene::Scene;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getSlot"}"#;

#[tokio::test]
async fn any_path_is_served() {
    let scene = Scene::equals(1).await;
    for path in ["", "rpc", "a/b/c?x=%20y", "?api-key=", "v1/mainnet/"] {
        let request = scene
            .gateway
            .client()
            .post(format!("{}{path}", scene.gateway.url()))
            .header("content-type", "application/json")
            .body(CALL);
        assert!(
            scene.gateway.send(request).await.result().is_u64(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_post_and_options_are_allowed() {
    let scene = Scene::equals(1).await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let reply = scene
            .gateway
            .send(
                scene
                    .gateway
                    .client()
                    .request(method.clone(), scene.gateway.url()),
            )
            .await;
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), Some("OPTIONS, POST"), "{method}");
        assert_eq!(
            reply.text(),
            "Used HTTP Method is not allowed. POST or OPTIONS is required\n"
        );
    }
    assert_eq!(scene.hits("getSlot"), [0]);
}

#[tokio::test]
async fn a_body_that_is_not_declared_json_is_refused() {
    let scene = Scene::equals(1).await;
    let send = async |kind: Option<&str>| {
        let mut request = keep_alive().post(scene.gateway.url()).body(CALL);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        scene.gateway.send(request).await
    };
    for kind in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        let reply = send(kind).await;
        assert_eq!(reply.status, 415, "{kind:?}");
        assert_eq!(
            reply.text(),
            "Supplied content type is not allowed. Content-Type: application/json is required\n"
        );
    }
    assert_eq!(scene.hits("getSlot"), [0]);
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
    ] {
        assert_eq!(send(Some(kind)).await.status, 200, "{kind}");
    }
    assert_eq!(scene.hits("getSlot"), [4]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_or_not_its_length_is_told() {
    let scene = Scene::equals_with(1, |config| config.set("limits.max_body", "64KiB")).await;
    let filler = "x".repeat(100_000);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"sandboxEcho","params":["{filler}"]}}"#);
    let told = scene.gateway.post(body.clone()).await;
    assert_eq!(told.status, 413);
    assert_eq!(
        told.text().trim(),
        "request body size exceeds allowed maximum: 65536 bytes (limits.max_body)"
    );
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(body)]);
    let untold = scene.gateway.post(reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!(untold.status, 413);
    assert_eq!(scene.hits("sandboxEcho"), [0]);
    let within = "x".repeat(60_000);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"sandboxEcho","params":["{within}"]}}"#);
    assert_eq!(scene.gateway.post(body).await.status, 200);
}

#[tokio::test]
async fn browsers_are_let_in() {
    let scene = Scene::equals(1).await;
    let preflight = scene
        .gateway
        .client()
        .request(reqwest::Method::OPTIONS, scene.gateway.url())
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type,solana-client",
        );
    let reply = scene.gateway.send(preflight).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    let allowed = reply
        .header("access-control-allow-headers")
        .unwrap()
        .to_lowercase();
    assert!(allowed.contains("solana-client") && allowed.contains("content-type"));
    let post = scene
        .gateway
        .client()
        .post(scene.gateway.url())
        .header("origin", "https://app.example")
        .header("content-type", "application/json")
        .body(CALL);
    let reply = scene.gateway.send(post).await;
    assert_eq!(
        reply.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(reply.result().is_u64());
    let plain = scene.gateway.post(CALL).await;
    assert_eq!(plain.header("access-control-allow-origin"), None);
    assert_eq!(scene.hits("getSlot"), [2]);
}

#[tokio::test]
async fn requests_that_are_no_json_rpc_are_told_so_without_asking_anybody() {
    let scene = Scene::equals(1).await;
    for (body, code, id) in [
        ("{", -32700, json!(null)),
        ("", -32700, json!(null)),
        ("not json", -32700, json!(null)),
        (
            r#"{"jsonrpc":"2.0","id":-1,"method":"getSlot"}"#,
            -32700,
            json!(null),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"getSlot"}"#,
            -32700,
            json!(null),
        ),
        (
            r#"{"jsonrpc":"1.0","id":3,"method":"getSlot"}"#,
            -32600,
            json!(3),
        ),
        (
            r#"{"jsonrpc":"2.0","id":3,"method":"getSlot","extra":1}"#,
            -32600,
            json!(3),
        ),
        (r#"{"jsonrpc":"2.0","id":3}"#, -32600, json!(3)),
        (r#""text""#, -32700, json!(null)),
        ("17", -32700, json!(null)),
        (r#"{"foo":1}"#, -32600, json!(null)),
        ("[17]", -32700, json!(null)),
    ] {
        let reply = scene.gateway.post(body).await;
        assert_eq!(reply.status, 200, "{body}");
        assert_eq!(reply.code(), Some(code), "{body}: {}", reply.text());
        assert_eq!(reply.json()["id"], id, "{body}: {}", reply.text());
        assert!(reply.text().ends_with("}\n"), "{body}");
    }
    let versionless = scene.gateway.post(r#"{"id":3,"method":"getSlot"}"#).await;
    assert_eq!(
        versionless.text(),
        "{\"error\":{\"code\":-32600,\"message\":\"Unsupported JSON-RPC protocol version\"},\
         \"id\":3}\n"
    );
    assert_eq!(scene.hits("getSlot"), [0]);
}

#[tokio::test]
async fn a_notification_is_answered_with_nothing_and_costs_nothing() {
    let scene = Scene::equals(1).await;
    let reply = scene
        .gateway
        .post(r#"{"jsonrpc":"2.0","method":"getSlot"}"#)
        .await;
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
    // A node runs none of its methods for a notification.
    assert_eq!(scene.hits("getSlot"), [0]);
}

#[tokio::test]
async fn a_body_that_is_no_text_is_a_bad_request() {
    let scene = Scene::equals(1).await;
    let reply = scene.gateway.post(&b"{\"id\":\"\xff\"}"[..]).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(reply.text(), "the request body is not valid UTF-8\n");
}

#[tokio::test]
async fn health_on_the_rpc_port_is_a_word() {
    let scene = Scene::equals(1).await;
    let url = format!("{}health", scene.gateway.url());
    let reply = scene.gateway.send(scene.gateway.client().get(&url)).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
}
