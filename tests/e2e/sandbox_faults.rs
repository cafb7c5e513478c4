//! What the sandbox's faults put on the wire, where more than a status or a code is at stake.

use std::time::Duration;

use perijove_tests::client::raw::{RawConnection, RawReply, post};
use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::{Fault, Kind, Sandbox, Spoilage, StallAfter, Validator, transaction};
use perijove_tests::wait::eventually;
use serde_json::{Value, json};

fn slot_call(id: u64) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"getSlot"}}"#);
    post(&body, "")
}

async fn with(fault: impl Into<Fault>) -> (Sandbox, RawConnection) {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(0).fault(fault);
    let connection = RawConnection::open(cluster.validator(0).address()).await;
    (cluster, connection)
}

fn id(reply: &RawReply) -> Value {
    serde_json::from_str::<Value>(&reply.text()).unwrap()["id"].clone()
}

async fn send(validator: &Validator, params: &Value) -> reqwest::Result<Reply> {
    let request = client::keep_alive()
        .post(validator.url())
        .header("content-type", "application/json")
        .body(client::call("sendTransaction", params));
    Reply::read(request.send().await?).await
}

/// Params of a transaction that needs no known blockhash.
fn unchecked() -> Value {
    let text = bs58::encode(transaction::sample(1, "")).into_string();
    json!([text, {"skipPreflight": true}])
}

#[tokio::test]
async fn an_answer_may_be_that_of_the_request_before() {
    let (_cluster, mut connection) = with(Kind::Previous).await;
    let mut ids = Vec::new();
    for asked in 1..=3 {
        connection.send(slot_call(asked)).await;
        ids.push(id(&connection.reply().await.unwrap()));
    }
    assert_eq!(ids, [1, 1, 2]);
}

#[tokio::test]
async fn an_answer_may_come_once_more_later_or_before_the_next() {
    let (_cluster, mut connection) = with(Kind::Twice { ms: 20 }).await;
    connection.send(slot_call(1)).await;
    for _ in 0..2 {
        assert_eq!(id(&connection.reply().await.unwrap()), 1);
    }
    let (_cluster, mut connection) = with(Kind::Twice { ms: 3_600_000 }).await;
    let mut ids = Vec::new();
    connection.send(slot_call(1)).await;
    ids.push(id(&connection.reply().await.unwrap()));
    connection.send(slot_call(2)).await;
    for _ in 0..2 {
        ids.push(id(&connection.reply().await.unwrap()));
    }
    assert_eq!(ids, [1, 1, 2]);
}

#[tokio::test]
async fn an_answer_stalls_after_its_head_or_half_of_its_body() {
    for after in [StallAfter::Head, StallAfter::Half] {
        let (cluster, mut connection) = with(Kind::Stall { after }).await;
        connection.send(slot_call(1)).await;
        connection.finish().await;
        // The peer is gone then, which ends the waiting.
        let text = String::from_utf8(connection.closed().await).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let expected = match after {
            StallAfter::Head => 0,
            StallAfter::Half => length / 2,
        };
        assert_eq!(body.len(), expected, "{after:?}");
        assert_eq!(cluster.validator(0).counts().tally().abandoned, 1);
    }
}

#[tokio::test]
async fn an_answer_trickles_and_is_whole_in_the_end() {
    let (_cluster, mut connection) = with(Kind::Trickle { ms: 1 }).await;
    let start = tokio::time::Instant::now();
    connection.send(slot_call(5)).await;
    let reply = connection.reply().await.unwrap();
    assert_eq!(id(&reply), 5);
    let bytes = u64::try_from(reply.body.len()).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(bytes));
}

#[tokio::test]
async fn a_connection_is_closed_in_place_of_an_answer_with_or_without_doing_the_work() {
    for (kind, done) in [(Kind::Close, 0), (Kind::Swallow, 1)] {
        let cluster = Sandbox::start(1).await.unwrap();
        cluster.validator(0).fault(kind);
        assert!(send(cluster.validator(0), &unchecked()).await.is_err());
        assert_eq!(cluster.hits("sendTransaction"), 1);
        assert_eq!(cluster.cluster().ledger.len(), done);
    }
}

#[tokio::test]
async fn what_another_validator_took_is_refused_as_processed() {
    let cluster = Sandbox::start(2).await.unwrap();
    cluster.validator(1).fault(Kind::AlreadyProcessed);
    let tip = cluster.cluster().clock.tip();
    let hash = perijove_tests::sandbox::chain::blockhash(tip - 60);
    let text = bs58::encode(transaction::sample(1, &hash)).into_string();
    let first = send(cluster.validator(0), &json!([text])).await.unwrap();
    assert!(first.result().is_string());
    let second = send(cluster.validator(1), &json!([text])).await.unwrap();
    assert_eq!(second.code(), Some(-32002));
    assert_eq!(second.json()["error"]["data"]["err"], "AlreadyProcessed");
}

#[tokio::test]
async fn a_body_is_sent_as_what_it_is() {
    for (body, expected) in [
        ("{\"error\":1}", "application/json; charset=utf-8"),
        ("<html></html>", "text/html; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
    ] {
        let kind = Kind::HttpStatus {
            status: 403,
            body: Some(body.to_owned()),
        };
        let (_cluster, mut connection) = with(kind).await;
        connection.send(slot_call(1)).await;
        let reply = connection.reply().await.unwrap();
        assert_eq!(reply.status, 403);
        assert_eq!(reply.header("content-type"), Some(expected));
        assert_eq!(reply.text(), body);
    }
}

#[tokio::test]
async fn a_spoilt_answer_keeps_its_connection() {
    let (cluster, mut connection) = with(Fault::spoil(Spoilage::WrongId).times(1)).await;
    for expected in [777, 6] {
        connection.send(slot_call(6)).await;
        assert_eq!(id(&connection.reply().await.unwrap()), expected);
    }
    eventually("one connection", || {
        cluster.validator(0).counts().tally().accepted == 1
    })
    .await;
}
