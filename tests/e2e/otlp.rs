//! Spans as a collector gets them: their order, names and attributes, and nothing secret; and a collector
//! that is no use costs no request anything.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use perijove_tests::client::call;
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::sandbox::Fault;
use perijove_tests::wait::until;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::scene::{KEY, Scene, on_reads};

mod collectors;
mod sockets;

pub const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SECRET: &str = "sesame-4711";

/// What a collector was sent.
#[derive(Default)]
struct Received {
    bodies: Vec<Bytes>,
    heads: Vec<(Uri, HeaderMap)>,
}

/// A collector of OTLP; ends when dropped.
pub struct Collector {
    pub address: SocketAddr,
    received: Arc<Mutex<Received>>,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    pub async fn start() -> Self {
        let received: Arc<Mutex<Received>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(take)
            .with_state(Arc::clone(&received));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            received,
            serving,
        }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.lock();
        let bodies = received.bodies.iter();
        let decoded = bodies.map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        decoded.collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let resources = self
            .requests()
            .into_iter()
            .flat_map(|one| one.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The spans of a trace once there is one of each of these names.
    pub async fn trace_with(&self, id: &str, names: &[&str]) -> Vec<Span> {
        until("the spans of the trace", || async {
            let spans = self.trace(id, names.len()).await;
            let is_there = |name: &&str| spans.iter().any(|span| span.name == *name);
            names.iter().all(is_there).then_some(spans)
        })
        .await
    }

    /// The spans of a trace once there are as many as that.
    async fn trace(&self, id: &str, count: usize) -> Vec<Span> {
        until("the spans of the trace", || async {
            let spans = self.spans().into_iter();
            let spans: Vec<Span> = spans
                .filter(|span| hex::encode(&span.trace_id) == id)
                .collect();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

async fn take(
    State(received): State<Arc<Mutex<Received>>>,
    uri: Uri,
    head: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut received = received.lock();
    received.bodies.push(body);
    received.heads.push((uri, head));
    StatusCode::OK
}

pub fn attributes(span: &Span) -> HashMap<String, String> {
    let text = |value: &Any| match value {
        Any::StringValue(text) => text.clone(),
        Any::IntValue(number) => number.to_string(),
        Any::BoolValue(word) => word.to_string(),
        other => format!("{other:?}"),
    };
    let all = span.attributes.iter().map(|one| {
        let value = one.value.as_ref().and_then(|value| value.value.as_ref());
        (one.key.clone(), value.map(text).unwrap_or_default())
    });
    all.collect()
}

/// Exports to a collector a share of what does not say itself whether it is recorded.
pub fn exporting(config: GatewayConfig, address: SocketAddr, ratio: f64) -> GatewayConfig {
    config
        .set("telemetry.otlp.endpoint", format!("http://{address}"))
        .set("telemetry.otlp.timeout", "1s")
        .set("telemetry.otlp.headers.x-collector-key", SECRET)
        .set("telemetry.otlp.ratio", ratio)
}

async fn read(scene: &Scene, query: &str, parent: Option<&str>) -> perijove_tests::client::Reply {
    let gateway = &scene.gateway;
    let mut request = gateway
        .client()
        .post(format!("{}{query}", gateway.url()))
        .header("content-type", "application/json")
        .header("x-request-id", "order-7")
        .body(call("getBalance", &json!([KEY])));
    if let Some(parent) = parent {
        request = request.header("traceparent", parent);
    }
    gateway.send(request).await
}

#[tokio::test]
async fn a_request_its_steps_and_its_attempts_are_spans_below_each_other() {
    let collector = Collector::start().await;
    let scene = Scene::ranked_with(|config| {
        let upstreams = config.get("upstreams").unwrap().as_array().unwrap();
        let mut upstreams = upstreams.clone();
        for upstream in &mut upstreams {
            let url = upstream["url"].as_str().unwrap().trim_end_matches('/');
            upstream["url"] = format!("{url}/{SECRET}?api-key={SECRET}").into();
            upstream["headers"] = json!({ "x-token": SECRET });
            upstream["propagate"] = json!({ "request_id": true, "trace": true });
        }
        let keyed = json!([{ "id": "shop", "keys": [SECRET] }]);
        let config = config
            .set("upstreams", upstreams)
            .set("consumers", keyed)
            .set("cache.enabled", true);
        exporting(config, collector.address, 0.0)
    })
    .await;
    scene.v(0).fault(on_reads(Fault::status(503)));
    let reply = read(&scene, &format!("?api-key={SECRET}"), Some(PARENT)).await;
    assert_eq!((reply.status, reply.upstream()), (200, "v1"));

    let spans = collector.trace(TRACE, 7).await;
    let named =
        |name: &str| -> Vec<&Span> { spans.iter().filter(|one| one.name == name).collect() };
    let [request] = named("POST")[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(hex::encode(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.kind, 2, "server");
    let told = attributes(request);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("network.protocol.name", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("rpc.system.name", "jsonrpc"),
        ("rpc.method", "getBalance"),
        ("perijove.request_id", "order-7"),
        ("perijove.consumer", "shop"),
        ("perijove.cache", "miss"),
        ("perijove.outcome", "ok"),
    ] {
        assert_eq!(
            told.get(name).map(String::as_str),
            Some(value),
            "{name} in {told:?}"
        );
    }
    for step in ["cache.memory", "single_flight", "dispatch", "store"] {
        let [step] = named(step)[..] else {
            panic!("{step}: {spans:?}");
        };
        assert_eq!(step.parent_span_id, request.span_id);
        assert_eq!(attributes(step)["rpc.method"], "getBalance");
    }
    let dispatch = named("dispatch")[0];
    let mut attempts = named("getBalance");
    attempts.sort_by_key(|one| one.start_time_unix_nano);
    assert_eq!(attempts.len(), 2);
    for (index, attempt) in attempts.iter().enumerate() {
        assert_eq!(attempt.parent_span_id, dispatch.span_id);
        assert_eq!(attempt.kind, 3, "client");
        let told = attributes(attempt);
        let address = scene.v(index).url();
        let port = address
            .trim_end_matches('/')
            .rsplit(':')
            .next()
            .unwrap()
            .to_owned();
        for (name, value) in [
            ("server.address", "127.0.0.1"),
            ("server.port", port.as_str()),
            (
                "http.response.status_code",
                if index == 0 { "503" } else { "200" },
            ),
            ("perijove.upstream", if index == 0 { "v0" } else { "v1" }),
            ("perijove.hedge", "false"),
        ] {
            assert_eq!(
                told.get(name).map(String::as_str),
                Some(value),
                "{name} in {told:?}"
            );
        }
        assert_eq!(told.contains_key("error.type"), index == 0, "{told:?}");
        let failed = attempt
            .status
            .as_ref()
            .is_some_and(|status| status.code == 2);
        assert_eq!(failed, index == 0);
        // The upstream was told of this very span.
        let seen = scene.v(index).counts().seen("getBalance");
        let parent = seen[0].header("traceparent").unwrap();
        let expected = format!("00-{TRACE}-{}-01", hex::encode(&attempt.span_id));
        assert_eq!(parent, expected);
    }

    for body in &collector.received.lock().bodies {
        let found = body
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!found, "a key was exported");
    }
    let received = collector.received.lock();
    for (uri, head) in &received.heads {
        assert_eq!(uri.path(), "/v1/traces");
        assert_eq!(head["x-collector-key"], SECRET);
        assert_eq!(head["content-type"], "application/x-protobuf");
    }
    drop(received);
    let resource = collector.requests()[0].resource_spans[0]
        .resource
        .clone()
        .unwrap();
    let named = |key: &str| {
        let one = resource.attributes.iter().find(|one| one.key == key);
        one.and_then(|one| one.value.clone())
            .and_then(|value| value.value)
    };
    assert_eq!(
        named("service.name"),
        Some(Any::StringValue("perijove-gateway".to_owned()))
    );
}

#[tokio::test]
async fn who_does_not_record_is_not_recorded_and_the_ratio_decides_for_others() {
    let collector = Collector::start().await;
    let config = |config: GatewayConfig| exporting(config, collector.address, 1.0);
    let mut scene = Scene::equals_with(1, config).await;
    let silent = PARENT.replace("-01", "-00");
    assert_eq!(read(&scene, "", Some(&silent)).await.status, 200);
    let id = read(&scene, "", None).await;
    assert_eq!(id.status, 200);
    // What waits is sent before the process ends.
    scene.gateway.sigterm();
    scene.gateway.process.wait(Duration::from_mins(1)).await;
    let spans = collector.spans();
    let requests: Vec<&Span> = spans.iter().filter(|one| one.name == "POST").collect();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].parent_span_id.is_empty());
    assert_ne!(hex::encode(&requests[0].trace_id), TRACE);
    assert!(
        spans
            .iter()
            .any(|one| attributes(one).contains_key("perijove.probe"))
    );
}

#[tokio::test]
async fn a_collector_that_is_down_or_says_nothing_costs_no_request_anything() {
    // One that takes connections and never answers, and one that is not there.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mute_at, gone_at) = (mute.local_addr().unwrap(), gone.local_addr().unwrap());
    drop(gone);
    for address in [mute_at, gone_at] {
        let scene = Scene::equals_with(1, |config| {
            exporting(config, address, 1.0).set("telemetry.otlp.queue", 64)
        })
        .await;
        for _ in 0..200 {
            assert_eq!(read(&scene, "", None).await.status, 200);
        }
        let lost = async |outcome| {
            let metrics = scene.gateway.metrics().await;
            metrics.sum("perijove_telemetry_spans_total", &[("outcome", outcome)])
        };
        until("spans to be lost", || async {
            (lost("failed").await > 0.0).then_some(())
        })
        .await;
        if address == mute_at {
            until("spans to be dropped", || async {
                read(&scene, "", None).await;
                (lost("dropped").await > 0.0).then_some(())
            })
            .await;
        }
        assert!(lost("exported").await < 0.5);
        let said = || {
            let log = scene.gateway.process.log();
            let lines = log
                .iter()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let told = lines.filter(|line| {
                let message = line["message"].as_str();
                message.is_some_and(|message| message.starts_with("collector rejects spans"))
            });
            told.count()
        };
        until("the log to say so", || async { (said() > 0).then_some(()) }).await;
        let before = lost("failed").await;
        until("another export to fail", || async {
            read(&scene, "", None).await;
            (lost("failed").await > before).then_some(())
        })
        .await;
        assert_eq!(said(), 1);
    }
}
