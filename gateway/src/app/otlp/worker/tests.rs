//! A collector that follows a script, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use parking_lot::Mutex;
use prometheus::Registry;

use super::*;
use crate::app::otlp::queue::SpanQueue;

const TAKES: u8 = 0;
const REFUSES: u8 = 1;
const HANGS: u8 = 2;

const BOUND: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
struct Script {
    act: Arc<AtomicU8>,
    /// Spans of each export.
    exports: Arc<Mutex<Vec<usize>>>,
}

impl SpanExporter for Script {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exports.lock().push(batch.len());
        match self.act.load(Ordering::Relaxed) {
            TAKES => Ok(()),
            REFUSES => Err(OTelSdkError::InternalFailure("no".to_owned())),
            _ => std::future::pending().await,
        }
    }
}

fn span() -> SpanData {
    SpanData {
        span_context: SpanContext::empty_context(),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "span".into(),
        start_time: std::time::UNIX_EPOCH,
        end_time: std::time::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

struct Scene {
    script: Script,
    queue: SpanQueue,
    metrics: SpanMetrics,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

impl Scene {
    fn new(act: u8, most: usize) -> Self {
        let metrics = SpanMetrics::register(&Registry::new()).unwrap();
        let (queue, spans) = SpanQueue::new(most, metrics.clone());
        let (flushes, flushed) = mpsc::channel(1);
        let script = Script::default();
        script.act.store(act, Ordering::Relaxed);
        let (exporter, counts) = (script.clone(), metrics.clone());
        drop(tokio::spawn(async move {
            run(exporter, (spans, flushed), BOUND, &counts).await;
        }));
        Self {
            script,
            queue,
            metrics,
            flushes,
        }
    }

    fn put(&self, count: usize) {
        for _ in 0..count {
            self.queue.put(span());
        }
    }

    async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        self.flushes.send(done).await.unwrap();
        sent.await.unwrap();
    }

    /// Exported, dropped, failed.
    fn counts(&self) -> [u64; 3] {
        let metrics = &self.metrics;
        [&metrics.exported, &metrics.dropped, &metrics.failed].map(prometheus::IntCounter::get)
    }
}

#[tokio::test(start_paused = true)]
async fn spans_go_out_together_and_a_flush_sends_all_at_once() {
    let scene = Scene::new(TAKES, 2000);
    scene.put(3);
    tokio::time::sleep(Duration::from_millis(500)).await;
    scene.put(2);
    assert_eq!(scene.counts(), [0, 0, 0]);
    tokio::time::sleep(INTERVAL).await;
    assert_eq!(*scene.script.exports.lock(), [5]);
    scene.put(1100);
    scene.flush().await;
    assert_eq!(scene.counts(), [1105, 0, 0]);
    assert_eq!(scene.script.exports.lock().iter().sum::<usize>(), 1105);
    assert!(
        scene
            .script
            .exports
            .lock()
            .iter()
            .all(|count| *count <= BATCH)
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_has_its_time_and_the_queue_its_bound() {
    let scene = Scene::new(HANGS, 100);
    scene.put(1);
    tokio::time::sleep(INTERVAL * 2).await;
    // One is on its way; of these a hundred wait and the others are dropped.
    scene.put(130);
    assert_eq!(scene.counts(), [0, 30, 0]);
    tokio::time::sleep(BOUND).await;
    assert_eq!(scene.counts(), [0, 30, 1]);
    scene.script.act.store(TAKES, Ordering::Relaxed);
    scene.flush().await;
    let [exported, dropped, failed] = scene.counts();
    assert_eq!((exported + failed, dropped), (101, 30));
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_refuses_is_lost_and_counted_and_later_spans_are_not() {
    let scene = Scene::new(REFUSES, 100);
    scene.put(2);
    scene.flush().await;
    assert_eq!(scene.counts(), [0, 0, 2]);
    scene.script.act.store(TAKES, Ordering::Relaxed);
    scene.put(3);
    scene.flush().await;
    assert_eq!(scene.counts(), [3, 0, 2]);
}
