//! Bodies that do not come to their end, many of them.

use perijove_tests::client::call;
use serde_json::json;

use super::line::{ALL, Stage};

const BODIES: &str = "perijove_http_unfinished_body_bytes";
const REFUSED: &str = "perijove_http_refused_total";

#[tokio::test]
async fn unfinished_bodies_are_bounded_in_all() {
    for way in ALL {
        let stage = Stage::with(|config| config.set("limits.unfinished_bodies", "1MiB")).await;
        let label = [("reason", "too_many_bodies")];
        // HTTP/2 lets a client send 64 KiB of a body before it is read, and more as it is.
        let part = " ".repeat(60_000);
        let mut lines = Vec::new();
        while stage.count(REFUSED, &label).await == 0 {
            let mut line = stage.begin(way, 65_535).await;
            line.ask_in_part(&part, 100_000).await;
            lines.push(line);
            let bytes = stage.metric(BODIES, &[]).await;
            assert!(bytes <= 1.2 * 1024.0 * 1024.0, "{way:?}: {bytes}");
            assert!(lines.len() < 100, "{way:?}");
        }
        assert!(lines.len() > 6, "{way:?}: {}", lines.len());
        // A call that comes in one piece is not concerned.
        stage.serves().await;
        drop(lines);
        stage.until(BODIES, &[], |bytes| bytes == 0.0).await;
    }
}

#[tokio::test]
async fn heads_that_wait_for_their_bodies_or_their_ends_are_bounded_with_them() {
    for way in ALL {
        let stage = Stage::with(|config| config.set("limits.unfinished_bodies", "1MiB")).await;
        let label = [("reason", "too_many_bodies")];
        let mut lines = Vec::new();
        while stage.count(REFUSED, &label).await == 0 {
            let mut line = stage.begin(way, 65_535).await;
            // Of as many fields as one may have.
            line.only_head(10_000).await;
            lines.push(line);
            let bytes = stage.metric(BODIES, &[]).await;
            assert!(bytes <= 1.2 * 1024.0 * 1024.0, "{way:?}: {bytes}");
            assert!(lines.len() < 200, "{way:?}: nothing is refused");
        }
        assert!(lines.len() > 5, "{way:?}: {}", lines.len());
        stage.serves().await;
        drop(lines);
        stage.until(BODIES, &[], |bytes| bytes == 0.0).await;
    }
}

#[tokio::test]
async fn a_body_that_is_refused_for_want_of_room_is_told_so() {
    let stage = Stage::with(|config| config.set("limits.unfinished_bodies", "1MiB")).await;
    let mut first = stage.gateway.raw().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    first.send(head.to_owned() + &" ".repeat(999_000)).await;
    stage.until(BODIES, &[], |bytes| bytes >= 900_000.0).await;
    let mut second = stage.gateway.raw().await;
    second.send(head.to_owned() + &" ".repeat(500_000)).await;
    let reply = second.reply().await.unwrap();
    assert_eq!(reply.status, 503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(
        reply.text().contains("too many requests in pieces"),
        "{}",
        reply.text()
    );
    // The first one may go on.
    let rest = call("sandboxEcho", &json!([3]));
    first.send(" ".repeat(1000 - rest.len()) + &rest).await;
    let reply = first.reply().await.unwrap();
    assert!(reply.text().contains("[3]"), "{}", reply.text());
}
