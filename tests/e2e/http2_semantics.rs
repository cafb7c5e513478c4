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
