//! Clients that begin and do not go on.

use std::time::Duration;

use perijove_tests::client::call;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::line::{ALL, PREFACE, Stage, Way, beginning};
use perijove_tests::wait::PATIENCE;

async fn quick() -> Stage {
    Stage::with(|config| config.set("limits.head_timeout", "500ms")).await
}

fn echo() -> String {
    call("sandboxEcho", &json!([1]))
}

#[tokio::test]
async fn a_head_that_trickles_is_refused_in_time() {
    let stage = quick().await;
    for way in [Way::Http1, Way::TlsHttp1] {
        // Connections that say nothing, and those between two requests, have a time of their own.
        let mut idle = stage.open(way).await;
        let mut used = stage.open(way).await;
        used.ask(&echo()).await;
        used.reads("[1]").await;
        for before in ["", "POST / HTTP/1.1\r\nhost: a\r\n"] {
            let mut line = stage.open(way).await;
            line.send(before).await;
            let (mut reading, mut writing) = tokio::io::split(line.into_io());
            let trickle = tokio::spawn(async move {
                while writing.write_all(b"x").await.is_ok() && writing.flush().await.is_ok() {
                    sleep(Duration::from_millis(50)).await;
                }
            });
            let mut read = Vec::new();
            let end = timeout(PATIENCE, reading.read_to_end(&mut read)).await;
            drop(end.expect("the end of the connection"));
            trickle.abort();
            let text = String::from_utf8_lossy(&read);
            assert!(
                text.is_empty() || text.starts_with("HTTP/1.1 408"),
                "{text}"
            );
        }
        for line in [&mut idle, &mut used] {
            line.ask(&echo()).await;
            line.reads("[1]").await;
        }
    }
    let refused = [("reason", "head_timeout")];
    let count = stage.count("perijove_http_refused_total", &refused).await;
    assert_eq!(count, 4);
    assert_eq!(stage.told("\"outcome\":\"head_timeout\"").len(), 4);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_to_its_end_is_ended() {
    let stage = quick().await;
    for way in [Way::TlsHttp1, Way::TlsHttp2] {
        // Nothing, and the first bytes of a record that never gets whole.
        for hello in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
            let mut tcp = stage.tcp(way).await;
            tcp.write_all(hello).await.unwrap();
            let end = timeout(PATIENCE, tcp.read_to_end(&mut Vec::new())).await;
            drop(end.expect("the end of the connection"));
        }
    }
    stage
        .until("perijove_tls_handshakes_failed_total", &[], |n| n >= 4.0)
        .await;
}

#[tokio::test]
async fn http_2_that_does_not_begin_or_asks_for_nothing_is_ended() {
    let stage = quick().await;
    for way in [Way::Http2, Way::TlsHttp2] {
        let whole = beginning(65_535);
        for bytes in [&PREFACE[..3], &PREFACE[..23], PREFACE, &whole[..]] {
            let mut line = stage.open(way).await;
            line.send(bytes).await;
            line.closed().await;
        }
    }
    let mut silent = stage.open(Way::TlsHttp2).await;
    silent.send("").await;
    silent.closed().await;
}

#[tokio::test]
async fn http_2_that_has_asked_for_something_may_be_idle() {
    let stage = quick().await;
    for way in [Way::Http2, Way::TlsHttp2] {
        let mut used = stage.begin(way, 65_535).await;
        used.ask(&echo()).await;
        used.reads("[1]").await;
        // As long as it takes another one to be ended.
        let other = stage.begin(way, 65_535).await;
        other.closed().await;
        used.ask(&echo()).await;
        used.reads("[1]").await;
    }
}

#[tokio::test]
async fn http_2_that_begins_a_frame_and_does_not_go_on_is_ended() {
    let stage = quick().await;
    // A frame's head in part, a PING in part, a header block without its end, and one that goes on.
    let block = [0, 0, 1, 1, 0, 0, 0, 0, 99, 0x82];
    let goes_on = [&block[..], &[0, 0, 0, 9, 0, 0, 0, 0, 99]].concat();
    let parts = [
        &[0, 0][..],
        &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1],
        &block,
        &goes_on,
    ];
    for way in [Way::Http2, Way::TlsHttp2] {
        for part in parts {
            let mut used = stage.begin(way, 65_535).await;
            used.ask(&echo()).await;
            used.reads("[1]").await;
            used.send(part).await;
            used.closed().await;
        }
    }
    let refused = [("reason", "head_timeout")];
    let count = stage.count("perijove_http_refused_total", &refused).await;
    assert_eq!(count, 8);
}

#[tokio::test]
async fn an_empty_line_or_the_first_letters_of_a_request_begin_one() {
    let stage = quick().await;
    for part in ["\r\n", "P", "PO", "PR"] {
        for way in [Way::Http1, Way::TlsHttp1] {
            let mut fresh = stage.open(way).await;
            fresh.send(part).await;
            fresh.closed().await;
            let mut used = stage.open(way).await;
            used.ask(&echo()).await;
            used.reads("[1]").await;
            used.send(part).await;
            used.closed().await;
        }
    }
    // What follows an empty line in time is served.
    let mut late = stage.open(Way::Http1).await;
    for _ in 0..2 {
        late.send("\r\n").await;
        late.ask(&echo()).await;
        late.reads("[1]").await;
    }
}

#[tokio::test]
async fn every_way_is_served() {
    let stage = quick().await;
    for way in ALL {
        let mut line = stage.begin(way, 65_535).await;
        for _ in 0..3 {
            line.ask(&echo()).await;
            line.reads("[1]").await;
        }
    }
}
