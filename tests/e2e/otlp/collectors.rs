//! Collectors that are no use, each in its own way: no call waits for them, what waits for them is bounded,
//! what they do not take is counted, and the log says so once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use perijove_tests::wait::until;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Collector, exporting, read};
use crate::scene::Scene;

/// Spans that may wait for the thread that exports, and those of one export.
const QUEUE: usize = 64;
const EXPORT: usize = 512;

/// A call is at least: the request, its dispatch, the attempt.
const SPANS: usize = 3;

/// What a collector does with each export, which it reads.
#[derive(Clone, Debug)]
enum Script {
    Answers(StatusCode),
    Redirects(StatusCode, SocketAddr),
    /// No answer for as long as anybody waits.
    Holds,
    /// An answer that says 200 and never ends.
    Trickles,
}

struct Useless {
    address: SocketAddr,
    exports: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Useless {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Useless {
    async fn start(script: Script) -> Self {
        let exports: Arc<AtomicUsize> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = (script, Arc::clone(&exports));
        let router = Router::new().fallback(answer).with_state(state);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            exports,
            serving,
        }
    }

    fn exports(&self) -> usize {
        self.exports.load(Ordering::Relaxed)
    }
}

async fn answer(
    State((script, exports)): State<(Script, Arc<AtomicUsize>)>,
    _export: Bytes,
) -> Response {
    exports.fetch_add(1, Ordering::Relaxed);
    match script {
        Script::Answers(status) => status.into_response(),
        Script::Redirects(status, to) => {
            let location = format!("http://{to}/v1/traces");
            (status, [(LOCATION, location)]).into_response()
        }
        Script::Holds => std::future::pending().await,
        Script::Trickles => {
            let drips = stream::unfold((), |()| async {
                sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b"\0")), ()))
            });
            Body::from_stream(drips).into_response()
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count"
)]
async fn spans(scene: &Scene, outcome: &str) -> usize {
    let metrics = scene.gateway.metrics().await;
    metrics.sum("perijove_telemetry_spans_total", &[("outcome", outcome)]) as usize
}

/// How often the log says that the collector is no use.
fn told(scene: &Scene) -> usize {
    let log = scene.gateway.process.log();
    let lines = log
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.filter(|line| {
        let message = line["message"].as_str();
        message.is_some_and(|message| message.starts_with("collector rejects spans"))
    });
    told.count()
}

#[tokio::test]
async fn a_collector_that_is_slow_refuses_or_sends_elsewhere_is_counted_and_told_once() {
    let elsewhere = Collector::start().await;
    for script in [
        Script::Answers(StatusCode::SERVICE_UNAVAILABLE),
        Script::Answers(StatusCode::UNAUTHORIZED),
        Script::Redirects(StatusCode::FOUND, elsewhere.address),
        Script::Redirects(StatusCode::TEMPORARY_REDIRECT, elsewhere.address),
        Script::Holds,
        Script::Trickles,
    ] {
        let collector = Useless::start(script.clone()).await;
        let scene = Scene::equals_with(1, |config| exporting(config, collector.address, 1.0)).await;
        for _ in 0..20 {
            assert_eq!(read(&scene, "", None).await.status, 200, "{script:?}");
        }
        until("spans to be lost", || async {
            (spans(&scene, "failed").await >= 20 * SPANS).then_some(())
        })
        .await;
        let exports = collector.exports();
        until("another export to fail", || async {
            assert_eq!(read(&scene, "", None).await.status, 200, "{script:?}");
            let failed = spans(&scene, "failed").await > 20 * SPANS;
            (failed && collector.exports() > exports).then_some(())
        })
        .await;
        assert_eq!(spans(&scene, "exported").await, 0, "{script:?}");
        assert_eq!(told(&scene), 1, "{script:?}");
    }
    assert!(elsewhere.spans().is_empty(), "redirects are not followed");
}

#[tokio::test]
async fn while_a_collector_holds_an_export_calls_are_answered_and_few_spans_wait() {
    let collector = Useless::start(Script::Holds).await;
    let scene = Scene::equals_with(1, |config| {
        exporting(config, collector.address, 1.0)
            .set("telemetry.otlp.timeout", "1m")
            .set("telemetry.otlp.queue", QUEUE)
    })
    .await;
    assert_eq!(read(&scene, "", None).await.status, 200);
    until("an export", || async {
        (collector.exports() == 1).then_some(())
    })
    .await;
    let calls = 400;
    for _ in 0..calls {
        assert_eq!(read(&scene, "", None).await.status, 200);
    }
    // All of them while the first export is held.
    let dropped = spans(&scene, "dropped").await;
    let most = QUEUE + EXPORT;
    assert!(dropped >= calls * SPANS - most, "{dropped}");
    let settled = [
        spans(&scene, "failed").await,
        spans(&scene, "exported").await,
    ];
    assert_eq!((settled, collector.exports()), ([0, 0], 1));
    assert_eq!(told(&scene), 0);
}
