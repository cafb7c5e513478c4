//! The admin port is the operator's: no page in a browser changes anything through it, no body fills
//! it, and its connections go on where they say so.

use perijove_tests::client::Reply;
use serde_json::json;

use crate::scene::{Scene, equals};

async fn reload_as(scene: &Scene, fields: &[(&str, &str)]) -> Reply {
    let client = scene.gateway.client();
    let mut request = client.post(scene.gateway.admin_url("/-/reload"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    scene.gateway.send(request).await
}

async fn reloads(scene: &Scene) -> f64 {
    let metrics = scene.gateway.metrics().await;
    metrics.sum("perijove_config_reloads_total", &[])
}

#[tokio::test]
async fn a_page_of_another_site_cannot_reload() {
    let scene = Scene::equals(1).await;
    for fields in [
        [("origin", "https://evil.example")].as_slice(),
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        // A name that has been made to lead here (DNS rebinding): its pages are of the same origin.
        &[
            ("host", "evil.example:9090"),
            ("origin", "http://evil.example:9090"),
        ],
        &[("host", "127.0.0.1.evil.example")],
    ] {
        let reply = reload_as(&scene, fields).await;
        assert_eq!(reply.status, 403, "{fields:?}: {}", reply.text());
    }
    assert!(reloads(&scene).await < 0.5, "none has been carried out");
    let own = scene.gateway.admin_url("");
    for fields in [
        [].as_slice(),
        &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        &[("host", "localhost:9090")],
    ] {
        assert_eq!(reload_as(&scene, fields).await.status, 200, "{fields:?}");
    }
    // What changes nothing may be asked under any name: monitoring does.
    let request = scene
        .gateway
        .client()
        .get(scene.gateway.admin_url("/ready"));
    let reply = scene
        .gateway
        .send(request.header("host", "perijove.monitoring.svc"))
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_name_that_the_configuration_knows_may_reload_from_the_next_call_on() {
    let scene = Scene::equals(1).await;
    let by_name = [("host", "Gateway.example.internal:9090")];
    assert_eq!(reload_as(&scene, &by_name).await.status, 403);
    let config = equals(&scene.cluster).set("admin.hosts", json!(["gateway.example.internal"]));
    scene.gateway.write_config(config);
    assert_eq!(scene.gateway.reload().await.status, 200);
    assert_eq!(reload_as(&scene, &by_name).await.status, 200);
}

#[tokio::test]
async fn connections_go_on_after_every_kind_of_answer() {
    let scene = Scene::equals(1).await;
    let address = scene.gateway.admin_url("");
    let address = address.trim_start_matches("http://").parse().unwrap();
    let mut connection = scene.gateway.raw_to(address).await;
    let head = format!("host: {address}\r\n");
    for (request, status) in [
        (format!("GET /health HTTP/1.1\r\n{head}\r\n"), 200),
        (format!("GET /nothing HTTP/1.1\r\n{head}\r\n"), 404),
        (format!("GET /-/reload HTTP/1.1\r\n{head}\r\n"), 405),
        (
            format!("POST /-/reload HTTP/1.1\r\n{head}content-length: 5\r\n\r\nhello"),
            200,
        ),
        (
            format!(
                "POST /-/reload HTTP/1.1\r\n{head}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ),
            200,
        ),
        (
            "POST /-/reload HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 2\r\n\r\nhi"
                .to_owned(),
            403,
        ),
        (format!("GET /ready HTTP/1.1\r\n{head}\r\n"), 200),
    ] {
        connection.send(request.clone()).await;
        let reply = connection.reply().await;
        let reply = reply.unwrap_or_else(|| panic!("no reply to {request}"));
        assert_eq!(reply.status, status, "{request}");
        assert_ne!(reply.header("connection"), Some("close"), "{request}");
    }
    // The head of the answer to HEAD announces a body that does not come.
    connection.send(format!("HEAD /health HTTP/1.1\r\n{head}\r\nGET /health HTTP/1.1\r\n{head}connection: close\r\n\r\n")).await;
    let rest = String::from_utf8(connection.closed().await).unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200").count(), 2, "{rest}");
    assert_eq!(rest.matches("\r\n\r\nok\n").count(), 1, "{rest}");
    assert!(rest.to_lowercase().contains("connection: close"), "{rest}");
}

#[tokio::test]
async fn what_two_servers_could_read_differently_is_refused_in_our_shape() {
    let scene = Scene::equals(1).await;
    let address = scene.gateway.admin_url("");
    let address = address.trim_start_matches("http://").parse().unwrap();
    let host = format!("host: {address}\r\n");
    let hidden = format!("POST /-/reload HTTP/1.1\r\n{host}\r\n");
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let long = format!("x: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("{}\r\n", "x: y\r\n".repeat(129));
    let cases = [
        (
            "two framings",
            format!("GET /health HTTP/1.1\r\n{host}{both}"),
            400,
        ),
        ("bare LF", format!("GET /health HTTP/1.1\n{host}\n"), 400),
        (
            "two hosts",
            format!("POST /-/reload HTTP/1.1\r\n{host}{host}\r\n"),
            400,
        ),
        (
            "two lengths",
            format!(
                "POST /-/reload HTTP/1.1\r\n{host}content-length: 0\r\ncontent-length: 0\r\n\r\n"
            ),
            400,
        ),
        ("no host", "POST /-/reload HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "a bad host",
            "POST /-/reload HTTP/1.1\r\nhost: localhost:evil\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a fragment",
            format!("POST /-/reload#x HTTP/1.1\r\n{host}\r\n"),
            400,
        ),
        (
            "another server",
            format!("POST http://evil.example/-/reload HTTP/1.1\r\n{host}\r\n"),
            400,
        ),
        (
            "a bad chunk",
            format!("POST /-/reload HTTP/1.1\r\n{host}transfer-encoding: chunked\r\n\r\nx\r\n"),
            400,
        ),
        (
            "a long head",
            format!("GET /health HTTP/1.1\r\n{host}{long}"),
            431,
        ),
        (
            "many fields",
            format!("GET /health HTTP/1.1\r\n{host}{many}"),
            431,
        ),
    ];
    for (what, request, status) in &cases {
        let mut connection = scene.gateway.raw_to(address).await;
        connection.send(format!("{request}{hidden}")).await;
        let reply = connection.reply().await;
        let reply = reply.unwrap_or_else(|| panic!("no answer to {what}"));
        assert_eq!(reply.status, *status, "{what}: {}", reply.text());
        assert_eq!(reply.header("connection"), Some("close"), "{what}");
        assert!(!reply.text().trim().is_empty(), "{what}");
        assert!(connection.reply().await.is_none(), "{what}");
    }
    assert!(reloads(&scene).await < 0.5, "none has been carried out");
    let log = scene.gateway.process.log();
    let lines = log
        .iter()
        .filter(|line| line.contains("\"method\":\"admin\""));
    assert_eq!(lines.count(), cases.len());
    let metrics = scene.gateway.metrics().await;
    let refused = metrics.sum("perijove_http_refused_total", &[("reason", "bad_http")]);
    assert!((refused - 9.0).abs() < 0.5, "{refused}");
}

#[tokio::test]
async fn half_a_head_has_the_time_of_heads() {
    let scene = Scene::equals_with(1, |config| config.set("limits.head_timeout", "300ms")).await;
    let address = scene.gateway.admin_url("");
    let address = address.trim_start_matches("http://").parse().unwrap();
    for part in ["G", "GET /health HTTP/1.1\r\n", "\r\n"] {
        let mut connection = scene.gateway.raw_to(address).await;
        connection.send(part).await;
        assert_eq!(connection.reply().await.unwrap().status, 408, "{part:?}");
        connection.closed().await;
    }
}

#[tokio::test]
async fn a_long_body_is_refused_and_not_waited_for() {
    let scene = Scene::equals(1).await;
    let address = scene.gateway.admin_url("");
    let address = address.trim_start_matches("http://").parse().unwrap();
    let head = format!("POST /-/reload HTTP/1.1\r\nhost: {address}\r\n");
    let mut announced = scene.gateway.raw_to(address).await;
    announced
        .send(format!("{head}content-length: 100000000\r\n\r\n"))
        .await;
    let reply = announced.reply().await.unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("connection"), Some("close"));
    announced.closed().await;

    let mut endless = scene.gateway.raw_to(address).await;
    endless
        .send(format!("{head}transfer-encoding: chunked\r\n\r\n"))
        .await;
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..3 {
        endless.send(&chunk).await;
    }
    assert_eq!(endless.reply().await.unwrap().status, 413);
    endless.closed().await;
    assert!(reloads(&scene).await < 0.5);
}

#[tokio::test]
async fn with_a_token_only_health_is_for_everybody() {
    const TOKEN: &str = "an-operator-has-this";
    let scene = Scene::equals(1).await;
    let set = |open: bool| {
        let config = equals(&scene.cluster).set("admin.token", TOKEN);
        scene
            .gateway
            .write_config(config.set("admin.open_metrics", open));
    };
    let get = async |path: &str, token: Option<&str>| {
        let request = scene.gateway.client().get(scene.gateway.admin_url(path));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        scene.gateway.send(request).await
    };
    let reload = async |token: &str| {
        let request = scene.gateway.client();
        let request = request.post(scene.gateway.admin_url("/-/reload"));
        scene.gateway.send(request.bearer_auth(token)).await.status
    };
    set(false);
    // The last call that needs none.
    assert_eq!(scene.gateway.reload().await.status, 200);
    for path in ["/health", "/ready"] {
        assert_eq!(get(path, None).await.status, 200, "{path}");
    }
    for path in ["/", "/status", "/status.js", "/metrics", "/nothing"] {
        let reply = get(path, None).await;
        assert_eq!(reply.status, 401, "{path}");
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic "), "{challenge}");
        assert_eq!(get(path, Some("another-token-of-some")).await.status, 401);
        let shown = get(path, Some(TOKEN)).await;
        assert_eq!(shown.status, if path == "/nothing" { 404 } else { 200 });
        assert!(!shown.text().contains(TOKEN));
    }
    assert_eq!(scene.gateway.reload().await.status, 401);
    assert_eq!(reload("another-token-of-some").await, 401);
    set(true);
    assert_eq!(reload(TOKEN).await, 200);
    assert_eq!(get("/metrics", None).await.status, 200);
    assert_eq!(get("/status", None).await.status, 401);
    // Pages of other sites are refused with it too.
    let request = scene.gateway.client();
    let request = request.post(scene.gateway.admin_url("/-/reload"));
    let request = request
        .bearer_auth(TOKEN)
        .header("origin", "https://evil.example");
    assert_eq!(scene.gateway.send(request).await.status, 403);
}
