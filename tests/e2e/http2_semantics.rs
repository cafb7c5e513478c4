//! What HTTP requires whatever its version, where HTTP/2 needs something of its own for it.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use perijove_tests::client::{call, h2c, keep_alive};
use serde_json::json;
use tokio::net::TcpStream;

use crate::scene::Scene;

#[tokio::test]
async fn head_is_answered_without_a_body_and_where_get_is() {
    let scene = Scene::equals(1).await;
    for client in [keep_alive(), h2c()] {
        let url = format!("{}health", scene.gateway.url());
        let reply = scene.gateway.send(client.head(url.as_str())).await;
        assert_eq!((reply.status, reply.body.len()), (200, 0));
        assert_eq!(reply.header("content-length"), Some("2"), "that of `ok`");
        let reply = scene.gateway.send(client.head(scene.gateway.url())).await;
        assert_eq!((reply.status, reply.body.len()), (405, 0));
        let reply = scene.gateway.send(client.delete(url)).await;
        assert_eq!(reply.status, 405);
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
    }
}

/// Asks over HTTP/2 for a call whose body is sent with the head, later, or never.
async fn expecting(scene: &Scene, sends: bool) -> StatusCode {
    let stream = TcpStream::connect(scene.gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::builder()
        .method(Method::POST)
        .uri(scene.gateway.url())
        .header("content-type", "application/json")
        .header("expect", "x")
        .header("expect", "100-Continue");
    let request = request.body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    if sends {
        let call = Bytes::from(call("sandboxEcho", &json!([1])));
        body.send_data(call, true).unwrap();
    }
    let status = response.await.unwrap().status();
    connection.abort();
    status
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told_that_nobody_will() {
    let scene = Scene::equals(1).await;
    assert_eq!(expecting(&scene, true).await, StatusCode::OK);
    assert_eq!(scene.hits("sandboxEcho"), [1]);
    assert_eq!(
        expecting(&scene, false).await,
        StatusCode::EXPECTATION_FAILED
    );
    assert_eq!(scene.hits("sandboxEcho"), [1]);
    let metrics = scene.gateway.metrics().await;
    let refused = [("reason", "expectation")];
    let refused = metrics.sum("perijove_http_refused_total", &refused);
    assert!((refused - 1.0).abs() < 0.5, "{refused}");
}

#[tokio::test]
async fn what_http_1_refuses_is_refused_in_the_same_shape() {
    let scene = Scene::equals(1).await;
    let stream = TcpStream::connect(scene.gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let many = 129;
    for (uri, fields, status) in [
        ("http://rpc.example/", 0, 200),
        ("ftp://rpc.example/", 0, 400),
        ("http://rpc.example:99999/", 0, 400),
        ("http://rpc.example,other.example/", 0, 400),
        ("http://rpc.example/", many, 431),
    ] {
        let mut client = client.clone().ready().await.unwrap();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("content-type", "application/json");
        for number in 0..fields {
            request = request.header("x", number);
        }
        let (response, mut body) = client
            .send_request(request.body(()).unwrap(), false)
            .unwrap();
        let call = Bytes::from(call("sandboxEcho", &json!([1])));
        body.send_data(call, true).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), status, "{uri}");
        assert!(response.headers().contains_key("x-request-id"), "{uri}");
        let mut body = response.into_body();
        let said = body.data().await.unwrap().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
        let refused = said["error"]["code"] == -32600;
        assert_eq!(refused, status != 200, "{said}");
    }
    connection.abort();
    assert_eq!(scene.hits("sandboxEcho"), [1]);
    let log = scene.gateway.process.log();
    let told = |outcome: &str| log.iter().filter(|line| line.contains(outcome)).count();
    assert_eq!(told("\"outcome\":\"bad_http\""), 3);
    assert_eq!(told("\"outcome\":\"head_too_large\""), 1);
}

#[tokio::test]
async fn what_pingora_refuses_by_itself_is_counted_and_logged() {
    let scene = Scene::equals(1).await;
    let stream = TcpStream::connect(scene.gateway.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://rpc.example/")
        .header("host", "other.example")
        .body(())
        .unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::BAD_REQUEST);
    connection.abort();
    let metrics = scene.gateway.metrics().await;
    let refused = metrics.sum("perijove_http_refused_total", &[("reason", "bad_http")]);
    assert!((refused - 1.0).abs() < 0.5, "{refused}");
    let log = scene.gateway.process.log();
    let told = log
        .iter()
        .filter(|line| line.contains("\"outcome\":\"bad_http\""));
    assert_eq!(told.count(), 1);
}
