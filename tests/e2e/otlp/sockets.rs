//! Messages on a socket are recorded as requests are.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::Span;
use perijove_tests::client::socket::Socket;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::{Collector, PARENT, TRACE, attributes, exporting};
use crate::scene::{KEY, Scene};

async fn open(scene: &Scene, fields: &[(&'static str, &str)]) -> Socket {
    let opened = Socket::try_open_with(scene.gateway.address(), "/", fields).await;
    opened.unwrap()
}

#[tokio::test]
async fn messages_of_a_client_that_records_are_spans_below_its_own() {
    let collector = Collector::start().await;
    let scene = Scene::equals_with(1, |config| {
        let mut upstreams = config.get("upstreams").unwrap().clone();
        upstreams[0]["propagate"] = json!({ "trace": true });
        exporting(config.set("upstreams", upstreams), collector.address, 0.0)
    })
    .await;
    let fields = [("traceparent", PARENT), ("x-request-id", "order-8")];
    let mut socket = open(&scene, &fields).await;
    let balance = socket.call("getBalance", json!([KEY])).await;
    assert!(balance["result"].is_object(), "{balance}");
    let subscribed = socket.call("slotSubscribe", json!([])).await;
    let id = subscribed["result"].clone();
    assert!(id.is_u64(), "{subscribed}");
    socket.call("slotUnsubscribe", json!([id])).await;
    let wrong = socket.call("accountSubscribe", json!(["no key"])).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");

    // Four messages, and two spans below the first.
    let spans = collector.trace(TRACE, 6).await;
    let of = |method: &str, name: &str| -> &Span {
        let found = spans
            .iter()
            .find(|span| span.name == name && attributes(span)["rpc.method"] == method);
        found.unwrap_or_else(|| panic!("{name} of {method}: {spans:?}"))
    };
    for (method, outcome) in [
        ("getBalance", "ok"),
        ("slotSubscribe", "ok"),
        ("slotUnsubscribe", "ok"),
        ("accountSubscribe", "refused_unasked"),
    ] {
        let message = of(method, "message");
        assert_eq!(hex::encode(&message.parent_span_id), "b7ad6b7169203331");
        assert_eq!(message.kind, 2, "server");
        let said = attributes(message);
        for (name, value) in [
            ("network.protocol.name", "websocket"),
            ("client.address", "127.0.0.1"),
            ("rpc.system.name", "jsonrpc"),
            ("perijove.request_id", "order-8"),
            ("perijove.outcome", outcome),
        ] {
            assert_eq!(said.get(name).map(String::as_str), Some(value), "{said:?}");
        }
    }
    let dispatch = of("getBalance", "dispatch");
    assert_eq!(dispatch.parent_span_id, of("getBalance", "message").span_id);
    let attempt = of("getBalance", "getBalance");
    assert_eq!(attempt.parent_span_id, dispatch.span_id);
    let seen = scene.v(0).counts().seen("getBalance");
    let expected = format!("00-{TRACE}-{}-01", hex::encode(&attempt.span_id));
    assert_eq!(seen[0].header("traceparent"), Some(&*expected));

    // Who does not record is not recorded.
    let silent = PARENT.replace("-01", "-00");
    for fields in [&[("traceparent", &*silent)][..], &[]] {
        let mut socket = open(&scene, fields).await;
        socket.call("getBalance", json!([KEY])).await;
    }
    let mut last = open(&scene, &[("traceparent", PARENT)]).await;
    last.call("getBlockHeight", json!([])).await;
    let spans = collector.trace_with(TRACE, &["getBlockHeight"]).await;
    let messages = spans.iter().filter(|span| span.name == "message");
    assert_eq!(messages.count(), 5, "{spans:?}");
}

#[tokio::test]
async fn messages_of_others_are_traces_of_their_own_by_the_ratio() {
    let collector = Collector::start().await;
    let scene = Scene::equals_with(1, |config| exporting(config, collector.address, 1.0)).await;
    let mut socket = open(&scene, &[]).await;
    for _ in 0..3 {
        socket.call("getBalance", json!([KEY])).await;
    }
    let messages = until("three messages", || async {
        let spans = collector.spans().into_iter();
        let messages: Vec<Span> = spans.filter(|span| span.name == "message").collect();
        (messages.len() == 3).then_some(messages)
    })
    .await;
    assert!(messages.iter().all(|one| one.parent_span_id.is_empty()));
    let traces: BTreeSet<String> = messages
        .iter()
        .map(|one| hex::encode(&one.trace_id))
        .collect();
    assert_eq!(traces.len(), 3);
    // The access lines of the messages say which.
    until("their access lines", || async {
        let log = scene.gateway.process.log();
        let lines = log
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told: BTreeSet<String> = lines
            .filter(|line| line["method"] == "getBalance")
            .filter_map(|line| Some(line["trace_id"].as_str()?.to_owned()))
            .collect();
        told.is_superset(&traces).then_some(())
    })
    .await;
}
