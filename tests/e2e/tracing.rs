//! Ids that go with a request: into answers and log lines, and to the upstreams that are to be told.

use perijove_tests::client::{Reply, call};
use perijove_tests::sandbox::Fault;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, on_reads};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Two upstreams of which the first, or both, are told everything.
async fn told(both: bool) -> Scene {
    Scene::ranked_with(|config| {
        let told = json!({ "request_id": true, "trace": true });
        let upstreams = config.get("upstreams").unwrap().as_array().unwrap();
        let mut upstreams = upstreams.clone();
        upstreams[0]["propagate"] = told.clone();
        if both {
            upstreams[1]["propagate"] = told;
        }
        config.set("upstreams", upstreams)
    })
    .await
}

/// A read with headers of its client.
async fn read(scene: &Scene, headers: &[(&str, &str)]) -> Reply {
    let gateway = &scene.gateway;
    let request = gateway
        .client()
        .post(gateway.url())
        .header("content-type", "application/json")
        .body(call("getBalance", &json!([KEY])));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    gateway.send(request).await
}

/// What a validator was told by its reads: request id, traceparent, tracestate.
fn seen(scene: &Scene, validator: usize) -> Vec<[Option<String>; 3]> {
    let names = ["x-request-id", "traceparent", "tracestate"];
    let reads = scene.v(validator).counts().seen("getBalance");
    let told = reads
        .iter()
        .map(|seen| names.map(|name| seen.header(name).map(str::to_owned)));
    told.collect()
}

/// Trace, span and flags of a traceparent of version 00.
fn parts(parent: &str) -> [String; 3] {
    let parts: Vec<&str> = parent.split('-').collect();
    assert_eq!(parts.len(), 4, "{parent}");
    assert_eq!(parts[0], "00", "{parent}");
    [1, 2, 3].map(|part| parts[part].to_owned())
}

async fn line_of(scene: &Scene, id: &str) -> Value {
    until("the line of the request", || async {
        let log = scene.gateway.process.log();
        let lines = log
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .into_iter()
            .find(|line: &Value| line["request_id"] == id)
    })
    .await
}

#[tokio::test]
async fn an_upstream_that_is_told_has_the_clients_ids_and_one_span_for_each_attempt() {
    let scene = told(true).await;
    scene.v(0).fault(on_reads(Fault::status(503)));
    let headers = [
        ("x-request-id", "order-7"),
        ("traceparent", PARENT),
        ("tracestate", "vendor=1,other=x"),
    ];
    let reply = read(&scene, &headers).await;
    assert_eq!(reply.upstream(), "v1");
    assert_eq!(reply.header("x-request-id"), Some("order-7"));
    let (first, second) = (seen(&scene, 0), seen(&scene, 1));
    assert_eq!((first.len(), second.len()), (1, 1));
    let mut spans = vec!["b7ad6b7169203331".to_owned()];
    for [id, parent, state] in [&first[0], &second[0]] {
        assert_eq!(id.as_deref(), Some("order-7"));
        assert_eq!(state.as_deref(), Some("vendor=1,other=x"));
        let [trace, span, flags] = parts(parent.as_deref().unwrap());
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
        assert!(!spans.contains(&span), "{span} twice");
        spans.push(span);
    }
    let line = line_of(&scene, "order-7").await;
    assert_eq!(line["trace_id"], TRACE, "{line}");
}

#[tokio::test]
async fn an_upstream_that_is_not_told_sees_nothing_of_it() {
    let scene = told(false).await;
    scene.v(0).fault(on_reads(Fault::status(503)));
    let headers = [("x-request-id", "order-7"), ("traceparent", PARENT)];
    assert_eq!(read(&scene, &headers).await.upstream(), "v1");
    assert_eq!(seen(&scene, 1), [[None, None, None]]);
    assert_eq!(seen(&scene, 0)[0][0].as_deref(), Some("order-7"));
    // Nor does anybody by default.
    let scene = Scene::equals(1).await;
    let reply = read(&scene, &headers).await;
    assert_eq!(reply.header("x-request-id"), Some("order-7"));
    assert_eq!(seen(&scene, 0), [[None, None, None]]);
}

#[tokio::test]
async fn a_trace_that_is_none_is_begun_anew() {
    let scene = told(false).await;
    let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    let upper = PARENT.to_uppercase();
    let version = PARENT.replacen("00", "ff", 1);
    let bad: [&[(&str, &str)]; 5] = [
        &[("traceparent", &zero), ("tracestate", "a=1")],
        &[("traceparent", &upper)],
        &[("traceparent", &version)],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
        &[("tracestate", "a=1")],
    ];
    for (at, headers) in bad.into_iter().enumerate() {
        let id = read(&scene, headers).await;
        let id = id.header("x-request-id").unwrap().to_owned();
        let [told, parent, state] = seen(&scene, 0).pop().unwrap();
        assert_eq!(told.as_deref(), Some(id.as_str()), "{at}");
        assert_eq!(state, None, "{at}");
        let [trace, _, flags] = parts(parent.as_deref().unwrap());
        assert_ne!(trace, TRACE, "{at}");
        // Whoever comes next decides for itself.
        assert_eq!(flags, "00", "{at}");
        assert_eq!(line_of(&scene, &id).await["trace_id"], trace.as_str());
    }
}

#[tokio::test]
async fn each_call_of_a_batch_is_a_span_of_the_same_trace() {
    let scene = told(false).await;
    let gateway = &scene.gateway;
    let one = |key: &str, id: u8| json!({ "jsonrpc": "2.0", "id": id, "method": "getBalance", "params": [key] });
    let other = "So11111111111111111111111111111111111111112";
    let request = gateway
        .client()
        .post(gateway.url())
        .header("content-type", "application/json")
        .header("traceparent", PARENT)
        .body(json!([one(KEY, 1), one(other, 2)]).to_string());
    assert_eq!(gateway.send(request).await.status, 200);
    let told = seen(&scene, 0);
    assert_eq!(told.len(), 2);
    let spans = told.iter().map(|[_, parent, _]| {
        let [trace, span, _] = parts(parent.as_deref().unwrap());
        assert_eq!(trace, TRACE);
        span
    });
    let spans: Vec<String> = spans.collect();
    assert_ne!(spans[0], spans[1]);
}
