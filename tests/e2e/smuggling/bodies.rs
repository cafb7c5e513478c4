//! Where a body ends.

use super::*;

#[tokio::test]
async fn conflicting_lengths_are_refused() {
    let edge = Edge::start().await;
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
        edge.refuses(what, &(headed(&lines, &body) + &hidden()))
            .await;
    }
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let edge = Edge::start().await;
    let length = CALL.len();
    let whole = format!("{length:x}\r\n{CALL}\r\n");
    let end = "0\r\n\r\n";
    for (what, body) in [
        ("no number", format!("xyz\r\n{CALL}\r\n{end}")),
        ("a negative size", format!("-{whole}{end}")),
        ("a signed size", format!("+{whole}{end}")),
        ("a prefixed size", format!("0x{whole}{end}")),
        ("a size after white space", format!(" {whole}{end}")),
        (
            "white space after a size",
            format!("{length:x} \r\n{CALL}\r\n{end}"),
        ),
        (
            "a size beyond 64 bits",
            format!("ffffffffffffffffff\r\n{CALL}\r\n{end}"),
        ),
        (
            "a size that overflows to the right one",
            format!("1{length:016x}\r\n{CALL}\r\n{end}"),
        ),
        (
            "a chunk longer than its size",
            format!("2\r\n{CALL}\r\n{end}"),
        ),
        (
            "a chunk without its end",
            format!("{length:x}\r\n{CALL}{end}"),
        ),
        (
            "a chunk that ends in a bare LF",
            format!("{length:x}\r\n{CALL}\n{end}"),
        ),
        (
            "a size that ends in a bare LF",
            format!("{length:x}\n{CALL}\r\n{end}"),
        ),
        ("an empty line as the last size", format!("{whole}\r\n\r\n")),
        (
            "an extension as the last size",
            format!("{whole};a\r\n\r\n"),
        ),
        (
            "an extension that ends in a bare LF",
            format!("{length:x};a\nb\r\n{CALL}\r\n{end}"),
        ),
        (
            "a last size that ends in a bare LF",
            format!("{whole}0\n\r\n"),
        ),
        (
            "a last extension that ends in a bare LF",
            format!("{whole}0;a\n\r\n"),
        ),
        ("a bare LF as the end", format!("{whole}0\r\n\n")),
        (
            "a trailer that ends in a bare LF",
            format!("{whole}0\r\na: b\n\r\n"),
        ),
        (
            "a trailer that is no field",
            format!("{whole}0\r\nPOST / HTTP/1.1\r\n\r\n"),
        ),
    ] {
        let request = headed("transfer-encoding: chunked\r\n", &body) + &hidden();
        edge.refuses(what, &request).await;
    }
}

#[tokio::test]
async fn chunks_by_the_grammar_are_read() {
    let edge = Edge::start().await;
    let (first, second) = CALL.split_at(20);
    let chunks = format!(
        "14;a;b=c;d=\"e;\\\"f\"\r\n{first}\r\n{:04X}\r\n{second}\r\n000;x\r\nTrailer: y\r\n\r\n",
        second.len()
    );
    let request = headed("Transfer-Encoding: Chunked\r\n", &chunks);
    for tls in [false, true] {
        let mut raw = edge.connect(tls).await;
        raw.send(format!("{request}{request}")).await;
        for _ in 0..2 {
            assert_eq!(raw.reply().await.unwrap().status, 200);
        }
    }
    assert_eq!(edge.scene.hits("getBalance"), [4]);
}

#[tokio::test]
async fn a_chunk_that_announces_too_much_is_not_waited_for() {
    let scene = Scene::equals_with(1, |config| {
        config
            .set("limits.max_body", "1KiB")
            .set("limits.body_timeout", "10m")
    })
    .await;
    for chunks in [
        "401\r\n".to_owned(),
        "ffffffffffffffff\r\n{".to_owned(),
        format!("3ff\r\n{}\r\n2\r\n", "x".repeat(0x3ff)),
    ] {
        let mut raw = scene.gateway.raw().await;
        raw.send(headed("transfer-encoding: chunked\r\n", &chunks))
            .await;
        assert_eq!(raw.reply().await.unwrap().status, 413, "{chunks:.20}");
    }
}
