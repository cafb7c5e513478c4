//! Where ended spans wait for the thread that exports them. Putting one in never waits.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;

use super::metrics::SpanMetrics;

/// The end of the queue that requests have.
#[derive(Debug)]
pub(super) struct SpanQueue {
    spans: mpsc::Sender<Box<SpanData>>,
    metrics: SpanMetrics,
}

impl SpanQueue {
    /// One for so many spans, and its other end.
    pub(super) fn new(most: usize, metrics: SpanMetrics) -> (Self, mpsc::Receiver<Box<SpanData>>) {
        let (spans, other) = mpsc::channel(most);
        (Self { spans, metrics }, other)
    }

    pub(super) fn put(&self, span: SpanData) {
        if self.spans.try_send(Box::new(span)).is_err() {
            self.metrics.dropped.inc();
        }
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.put(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
