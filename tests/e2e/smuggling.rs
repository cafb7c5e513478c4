//! Requests on whose framing two servers could disagree: refused, with nothing reaching an
//! upstream and the connection closed.

use perijove_tests::client::raw::{RawConnection, post};

use crate::scene::Scene;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getBalance","params":["x"]}"#;

/// What is hidden behind the first request.
fn hidden() -> String {
    post(CALL, "")
}

/// Sends the bytes on a fresh connection, and behind a good call: it must be closed, and no upstream
/// asked for anything.
async fn is_refused(what: &str, scene: &Scene, bytes: String) {
    let good = post(r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#, "");
    for before in [None, Some(good)] {
        let mut raw = scene.gateway.raw().await;
        if let Some(good) = &before {
            raw.send(good).await;
            assert_eq!(raw.reply().await.unwrap().status, 200);
            raw.send(format!("{good}{bytes}")).await;
            assert_eq!(raw.reply().await.unwrap().status, 200);
        } else {
            raw.send(&bytes).await;
        }
        ends_in_a_refusal(what, scene, raw).await;
    }
}

async fn ends_in_a_refusal(what: &str, scene: &Scene, mut raw: RawConnection) {
    let mut said = Vec::new();
    while let Some(reply) = raw.reply().await {
        said.push(reply.status);
    }
    assert!(said.len() <= 1, "{what}: answered {said:?}");
    assert!(
        said.iter().all(|status| (400..=501).contains(status)),
        "{what}: {said:?}"
    );
    assert_eq!(scene.hits("getBalance"), [0], "{what}");
}

fn headed(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{lines}\r\n{body}")
}

#[tokio::test]
async fn conflicting_lengths_are_refused() {
    let scene = Scene::equals(1).await;
    let length = CALL.len();
    let chunked = format!("{length:x}\r\n{CALL}\r\n0\r\n\r\n");
    for (what, lines, body) in [
        (
            "length and chunked",
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            chunked.clone(),
        ),
        (
            "chunked and length",
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
            chunked.clone(),
        ),
        (
            "the same length twice",
            format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "two lengths",
            format!("content-length: {length}\r\ncontent-length: 0\r\n"),
            CALL.to_owned(),
        ),
        (
            "a list of lengths",
            format!("content-length: {length}, {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a signed length",
            format!("content-length: +{length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a negative length",
            "content-length: -1\r\n".to_owned(),
            CALL.to_owned(),
        ),
        (
            "a length in hexadecimal",
            format!("content-length: 0x{length:x}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a length beyond 64 bits",
            "content-length: 99999999999999999999\r\n".to_owned(),
            CALL.to_owned(),
        ),
        (
            "an unknown coding",
            "transfer-encoding: gzip, chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
            chunked.clone(),
        ),
        (
            "identity",
            format!("transfer-encoding: identity\r\ncontent-length: {length}\r\n"),
            CALL.to_owned(),
        ),
        (
            "a disguised coding",
            "transfer-encoding: xchunked\r\n".to_owned(),
            chunked,
        ),
    ] {
        is_refused(what, &scene, headed(&lines, &body) + &hidden()).await;
    }
}

#[tokio::test]
async fn malformed_header_lines_are_refused() {
    let scene = Scene::equals(1).await;
    let length = CALL.len();
    for (what, lines) in [
        (
            "a folded header",
            format!("x: a\r\n b\r\ncontent-length: {length}\r\n"),
        ),
        (
            "a folded length",
            format!("content-length:\r\n {length}\r\n"),
        ),
        (
            "a bare line feed",
            format!("x: a\ncontent-length: {length}\r\n"),
        ),
        (
            "a bare carriage return",
            format!("x: a\rb\r\ncontent-length: {length}\r\n"),
        ),
        (
            "space before the colon",
            format!("content-length : {length}\r\n"),
        ),
        (
            "no colon",
            format!("nonsense\r\ncontent-length: {length}\r\n"),
        ),
        (
            "a zero byte",
            format!("x: a\0b\r\ncontent-length: {length}\r\n"),
        ),
    ] {
        is_refused(what, &scene, headed(&lines, CALL) + &hidden()).await;
    }
    let bare = format!(
        "POST / HTTP/1.1\nhost: a\ncontent-type: application/json\ncontent-length: {length}\n\n\
         {CALL}"
    );
    is_refused("bare line feeds throughout", &scene, bare).await;
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let scene = Scene::equals(1).await;
    let chunked = "transfer-encoding: chunked\r\n";
    let length = CALL.len();
    for (what, body) in [
        (
            "a size that is no number",
            format!("xyz\r\n{CALL}\r\n0\r\n\r\n"),
        ),
        ("a negative size", format!("-1\r\n{CALL}\r\n0\r\n\r\n")),
        (
            "a size beyond 64 bits",
            format!("ffffffffffffffffff\r\n{CALL}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk longer than its size",
            format!("2\r\n{CALL}\r\n0\r\n\r\n"),
        ),
        ("a size line without end", format!("{length:x}{CALL}")),
    ] {
        let mut raw = scene.gateway.raw().await;
        raw.send(headed(chunked, &body)).await;
        raw.finish().await;
        if let Some(reply) = raw.reply().await {
            assert!(
                (400..=501).contains(&reply.status),
                "{what}: {}",
                reply.status
            );
        }
        assert_eq!(scene.hits("getBalance"), [0], "{what}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let scene = Scene::equals(1).await;
    for bytes in [
        "\0\0\0\0",
        "hello\r\n\r\n",
        "POST / HTTP/9.9\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
    ] {
        let mut raw = scene.gateway.raw().await;
        raw.send(bytes).await;
        raw.finish().await;
        if let Some(reply) = raw.reply().await {
            assert!(reply.status >= 400, "{bytes:?}: {}", reply.status);
        }
    }
    assert_eq!(scene.v(0).hits_total(), 0);
}
