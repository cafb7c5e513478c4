//! Client connections: keep-alive, pipelining, `Expect`, HTTP/2, TLS, compression.

use perijove_tests::client::raw::post;
use perijove_tests::client::{Reply, builder, call, h2c};
use perijove_tests::gateway::{Gateway, loopback};
use perijove_tests::sandbox::{Fault, Sandbox};
use perijove_tests::tls::Identity;
use perijove_tests::wait::eventually;
use reqwest::Version;
use serde_json::json;

use crate::scene::{Scene, equals, on_reads};

fn echo(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"sandboxEcho","params":[{id}]}}"#)
}

#[tokio::test]
async fn a_connection_is_kept_for_further_requests() {
    let scene = Scene::equals(1).await;
    let mut raw = scene.gateway.raw().await;
    for id in 0..20 {
        raw.send(post(&echo(id), "")).await;
        let reply = raw.reply().await.unwrap();
        assert!(
            reply.text().ends_with(&format!("\"id\":{id}}}\n")),
            "{}",
            reply.text()
        );
    }
    assert_eq!(scene.hits("sandboxEcho"), [20]);
    assert!(
        scene.v(0).counts().tally().accepted <= 4,
        "upstream connections are reused"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let scene = Scene::equals(1).await;
    scene.v(0).fault(Fault::slow(100).on("getSlot"));
    let slow = post(r#"{"jsonrpc":"2.0","id":"slow","method":"getSlot"}"#, "");
    let mut raw = scene.gateway.raw().await;
    raw.send(slow + &post(&echo(1), "") + &post(&echo(2), ""))
        .await;
    for id in ["\"slow\"", "1", "2"] {
        let reply = raw.reply().await.unwrap();
        assert!(
            reply.text().contains(&format!("\"id\":{id}")),
            "{}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn calls_and_other_requests_follow_each_other_on_one_connection() {
    let scene = Scene::equals(1).await;
    let long = call("sandboxPad", &json!([{"bytes": 20_000}]));
    let get = "GET /health HTTP/1.1\r\nhost: a\r\n\r\n".to_owned();
    let requests = [
        (post(&echo(1), ""), 200, "[1]"),
        (get, 200, "ok"),
        (post(&long, ""), 200, "\"result\":\""),
        (post("[", ""), 200, "-32700"),
        ("OPTIONS / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 200, ""),
        (post(&echo(3), "connection: keep-alive\r\n"), 200, "[3]"),
        (post(&echo(4), "x-request-id: mine\r\n"), 200, "[4]"),
        (post(&echo(5), "connection: close\r\n"), 200, "[5]"),
    ];
    // One after the other, and all at once.
    for at_once in [false, true] {
        let mut raw = scene.gateway.raw().await;
        if at_once {
            let all: String = requests.iter().map(|(request, ..)| &**request).collect();
            raw.send(all).await;
        }
        for (request, status, text) in &requests {
            if !at_once {
                raw.send(request).await;
            }
            let reply = raw.reply().await.unwrap();
            assert_eq!(reply.status, *status, "{request}: {}", reply.text());
            assert!(reply.text().contains(text), "{request}: {}", reply.text());
            let id = reply.header("x-request-id").unwrap_or_default();
            assert_eq!(id == "mine", request.contains("mine"), "{request}: {id}");
        }
        assert!(raw.closed().await.is_empty());
    }
}

#[tokio::test]
async fn a_request_may_arrive_in_small_pieces() {
    let scene = Scene::equals(1).await;
    let mut raw = scene.gateway.raw().await;
    for _ in 0..2 {
        for byte in post(&echo(1), "").bytes() {
            raw.send([byte]).await;
        }
        assert_eq!(raw.reply().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_chunked_request_is_read() {
    let scene = Scene::equals(1).await;
    let body = echo(7);
    let (first, second) = body.split_at(10);
    let mut raw = scene.gateway.raw().await;
    raw.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: \
         chunked\r\n\r\na\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        second.len()
    ))
    .await;
    let reply = raw.reply().await.unwrap();
    assert!(reply.text().contains("\"result\":[7]"), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_expects_continue_is_told_to() {
    let scene = Scene::equals(1).await;
    let request = post(&echo(1), "expect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    let mut raw = scene.gateway.raw().await;
    raw.send(head).await;
    assert_eq!(raw.reply().await.unwrap().status, 100);
    raw.send(body).await;
    let reply = raw.reply().await.unwrap();
    assert!(reply.text().contains("\"result\":[1]"), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_expects_continue_and_is_refused_need_not_send_its_body() {
    let scene = Scene::equals(1).await;
    let mut raw = scene.gateway.raw().await;
    raw.send(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 50\r\nexpect: \
         100-continue\r\n\r\n",
    )
    .await;
    assert_eq!(raw.reply().await.unwrap().status, 415);
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let scene = Scene::equals(1).await;
    let mut raw = scene.gateway.raw().await;
    raw.send(post(&echo(1), "").replace("HTTP/1.1", "HTTP/1.0"))
        .await;
    let reply = raw.reply().await.unwrap();
    assert!(reply.text().contains("\"result\":[1]"), "{}", reply.text());
    assert!(raw.closed().await.is_empty());
}

#[tokio::test]
async fn a_request_shorter_than_the_preface_of_http_2_is_answered() {
    let scene = Scene::equals(1).await;
    // What HAProxy sends as a check unless told otherwise.
    let mut raw = scene.gateway.raw().await;
    raw.send("OPTIONS / HTTP/1.0\r\n\r\n").await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_any_more_is_closed() {
    let scene = Scene::equals_with(1, |config| config.set("listen.keepalive", "1s")).await;
    let mut raw = scene.gateway.raw().await;
    for id in 0..3 {
        raw.send(post(&echo(id), "")).await;
        assert_eq!(raw.reply().await.unwrap().status, 200);
    }
    assert!(raw.closed().await.is_empty());
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    let scene = Scene::equals_with(1, |config| config.set("listen.keepalive", "1s")).await;
    for beginning in ["", "P", "PRI * HT"] {
        let mut raw = scene.gateway.raw().await;
        raw.send(beginning).await;
        assert!(raw.closed().await.is_empty(), "{beginning:?}");
    }
}

#[tokio::test]
async fn close_is_respected() {
    let scene = Scene::equals(1).await;
    let mut raw = scene.gateway.raw().await;
    raw.send(post(&echo(1), "connection: close\r\n")).await;
    assert_eq!(raw.reply().await.unwrap().status, 200);
    assert!(raw.closed().await.is_empty());
}

#[tokio::test]
async fn a_client_that_sends_its_body_too_slowly_is_let_go() {
    let scene = Scene::equals_with(1, |config| config.set("limits.body_timeout", "300ms")).await;
    let request = post(&echo(1), "");
    let mut raw = scene.gateway.raw().await;
    raw.send(request.split_at(request.len() - 5).0).await;
    if let Some(reply) = raw.reply().await {
        assert_eq!(reply.status, 408);
    }
    assert!(raw.closed().await.is_empty());
    assert_eq!(scene.hits("sandboxEcho"), [0]);
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_call() {
    let scene = Scene::ranked().await;
    scene
        .v(0)
        .fault(on_reads(perijove_tests::sandbox::Kind::Hang));
    let balance = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["x"]}"#;
    // What could not be answered from one piece waits elsewhere.
    for (before, header) in [(1, ""), (2, "expect: nothing\r\n")] {
        let mut raw = scene.gateway.raw().await;
        raw.send(post(balance, header)).await;
        eventually("the call to arrive", || {
            scene.v(0).hits("getBalance") == before
        })
        .await;
        drop(raw);
        eventually("it to be cancelled", || {
            scene.v(0).counts().tally().abandoned == before
        })
        .await;
    }
    assert_eq!(scene.hits("getBalance"), [2, 0]);
}

#[tokio::test]
async fn http_2_without_tls_is_served() {
    let scene = Scene::equals(1).await;
    let client = h2c();
    let calls = (0..50).map(|id| {
        let request = client
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .body(echo(id));
        async move { (id, request.send().await.unwrap()) }
    });
    for (id, response) in futures::future::join_all(calls).await {
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(Reply::read(response).await.unwrap().result(), json!([id]));
    }
    let plain = client.get(scene.gateway.url()).send().await.unwrap();
    assert_eq!(plain.status(), 405);
}

#[tokio::test]
async fn a_cancelled_http_2_stream_cancels_its_call_and_no_other() {
    let scene = Scene::equals(1).await;
    scene
        .v(0)
        .fault(on_reads(perijove_tests::sandbox::Kind::Hang));
    let client = h2c();
    let request = |body: String| {
        client
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    let hanging = tokio::spawn(request(call("getBalance", &json!(["x"]))));
    eventually("the call to arrive", || scene.v(0).hits("getBalance") >= 1).await;
    hanging.abort();
    eventually("it to be cancelled", || {
        scene.v(0).counts().tally().abandoned >= 1
    })
    .await;
    assert_eq!(request(echo(1)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn tls_offers_both_versions_of_http() {
    let cluster = Sandbox::start(1).await.unwrap();
    let own = Identity::of("localhost");
    let listener = json!([{
        "address": loopback(),
        "certificate": own.certificate_file().display().to_string(),
        "key": own.key_file().display().to_string(),
    }]);
    let gateway = Gateway::start(equals(&cluster).set("listen.tls", listener)).await;
    let url = format!("https://localhost:{}/", gateway.tls_address().port());
    for (client, version) in [
        (builder(), Version::HTTP_2),
        (builder().http1_only(), Version::HTTP_11),
    ] {
        let client = client.tls_certs_only([own.trusted()]).build().unwrap();
        for _ in 0..3 {
            let request = client.post(&url).header("content-type", "application/json");
            let response = request.body(echo(3)).send().await.unwrap();
            assert_eq!(response.version(), version);
            assert_eq!(Reply::read(response).await.unwrap().result(), json!([3]));
        }
    }
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_ask() {
    let scene = Scene::equals(1).await;
    let long = call("sandboxPad", &json!([{"bytes": 100_000}]));
    let plain = scene.gateway.post(long.clone()).await;
    assert_eq!(plain.header("content-encoding"), None);
    let send = async |body: String, accept: &'static str| {
        let request = scene
            .gateway
            .client()
            .post(scene.gateway.url())
            .header("content-type", "application/json")
            .header("accept-encoding", accept);
        scene.gateway.send(request.body(body)).await
    };
    let small = send(echo(1), "gzip").await;
    assert_eq!(small.header("content-encoding"), None);
    let refused = send(long.clone(), "br, gzip;q=0").await;
    assert_eq!(refused.header("content-encoding"), None);
    let gzipped = send(long.clone(), "gzip, deflate").await;
    assert_eq!(gzipped.header("content-encoding"), Some("gzip"));
    assert!(
        gzipped
            .header("vary")
            .unwrap_or_default()
            .contains("accept-encoding")
    );
    assert!(gzipped.body.len() < 5_000, "{} bytes", gzipped.body.len());
    let unpacking = builder().gzip(true).build().unwrap();
    let request = unpacking
        .post(scene.gateway.url())
        .header("content-type", "application/json");
    let unpacked = scene.gateway.send(request.body(long)).await;
    assert_eq!(unpacked.body, plain.body);
}

#[tokio::test]
async fn answers_that_stream_are_compressed_too() {
    let scene = Scene::equals(1).await;
    let long = call("sandboxPad", &json!([{"bytes": 3_000_000}]));
    let unpacking = builder().gzip(true).build().unwrap();
    for _ in 0..2 {
        let request = unpacking
            .post(scene.gateway.url())
            .header("content-type", "application/json");
        let unpacked = scene.gateway.send(request.body(long.clone())).await;
        assert_eq!(unpacked.result().as_str().unwrap().len(), 3_000_000);
    }
}
