//! The one task that takes spans to the collector, a batch at a time.

use std::time::Duration;

use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::metrics::SpanMetrics;

/// Most spans of one export.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const INTERVAL: Duration = Duration::from_secs(1);

/// Spans that ended, and those who ask for all of them to be sent.
pub(super) type Incoming = (
    mpsc::Receiver<Box<SpanData>>,
    mpsc::Receiver<oneshot::Sender<()>>,
);

/// Exports until nobody can end spans any more. One export lasts no longer than `bound`; what the
/// collector does not take is lost and counted, and said once in the log.
pub(super) async fn run(
    exporter: impl SpanExporter,
    (mut spans, mut flushes): Incoming,
    bound: Duration,
    metrics: &SpanMetrics,
) {
    let mut collector = Collector {
        exporter,
        bound,
        metrics,
        failing: false,
    };
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let mut asked = None;
        tokio::select! {
            received = spans.recv_many(&mut batch, BATCH) => if received == 0 {
                return;
            },
            Some(done) = flushes.recv() => asked = Some(done),
        }
        let until = Instant::now() + INTERVAL;
        while asked.is_none() && batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                more = timeout_at(until, spans.recv_many(&mut batch, room)) => match more {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                },
                Some(done) = flushes.recv() => asked = Some(done),
            }
        }
        if asked.is_some() {
            while let Ok(span) = spans.try_recv() {
                batch.push(span);
            }
        }
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(BATCH));
            collector.export(std::mem::replace(&mut batch, rest)).await;
        }
        if let Some(done) = asked {
            // Whoever asked may have left.
            done.send(()).ok();
        }
    }
}

struct Collector<'a, E> {
    exporter: E,
    bound: Duration,
    metrics: &'a SpanMetrics,
    /// It was said that it does not take spans.
    failing: bool,
}

impl<E: SpanExporter> Collector<'_, E> {
    #[expect(clippy::vec_box, reason = "as they came from the queue")]
    async fn export(&mut self, batch: Vec<Box<SpanData>>) {
        let count = batch.len() as u64;
        let batch = batch.into_iter().map(|span| *span).collect();
        let failure = match timeout(self.bound, self.exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_elapsed) => Some("no answer in time".to_owned()),
        };
        match failure {
            None => {
                self.metrics.exported.inc_by(count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("collector accepts spans again");
                }
            }
            Some(error) => {
                self.metrics.failed.inc_by(count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%error, "collector rejects spans; they are dropped and counted");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
