//! Several lines of a field that is a list are one list (RFC 9110 §5.3), over both versions of HTTP.

use perijove_tests::client::{Reply, builder, call, h2c, keep_alive};
use serde_json::json;

use crate::scene::Scene;

/// A request with all of these fields, each in a line of its own.
async fn ask(
    scene: &Scene,
    client: &reqwest::Client,
    (verb, body): (reqwest::Method, String),
    fields: &[(&str, &str)],
) -> Reply {
    let mut request = client.request(verb, scene.gateway.url()).body(body);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    scene.gateway.send(request).await
}

#[tokio::test]
async fn a_coding_counts_in_whichever_line_it_stands() {
    let scene = Scene::equals(1).await;
    let long = call("sandboxPad", &json!([{"bytes": 20_000}]));
    let json = ("content-type", "application/json");
    let accept = |coding| ("accept-encoding", coding);
    for client in [keep_alive(), h2c()] {
        for (lines, expected) in [
            ([accept("br"), accept("gzip")], Some("gzip")),
            ([accept("identity"), accept("zstd, *;q=0.1")], Some("gzip")),
            ([accept("*"), accept("gzip;q=0")], None),
            ([accept("br"), accept("gzip;q=abc")], None),
            ([accept("br"), accept("gzip;Q=0")], None),
        ] {
            let fields = [json, lines[0], lines[1]];
            let asked = (reqwest::Method::POST, long.clone());
            let reply = ask(&scene, &client, asked, &fields).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-encoding"), expected, "{lines:?}");
        }
    }
}

#[tokio::test]
async fn a_preflight_may_ask_for_headers_in_several_lines() {
    let scene = Scene::equals(1).await;
    let asks = |headers| ("access-control-request-headers", headers);
    let fields = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        asks("content-type"),
        asks("x-api-key, solana-client"),
    ];
    for client in [builder().build().unwrap(), h2c()] {
        let asked = (reqwest::Method::OPTIONS, String::new());
        let reply = ask(&scene, &client, asked, &fields).await;
        assert_eq!(
            reply.header("access-control-allow-headers"),
            Some("content-type, x-api-key, solana-client")
        );
    }
}
