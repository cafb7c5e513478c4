//! What became of spans.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// Counts spans by what became of them.
#[derive(Clone, Debug)]
pub(in crate::app) struct SpanMetrics {
    pub(super) exported: IntCounter,
    /// The queue was full.
    pub(super) dropped: IntCounter,
    /// The collector did not take them.
    pub(super) failed: IntCounter,
}

impl SpanMetrics {
    pub(in crate::app) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let spans = IntCounterVec::new(
            Opts::new(
                "perijove_telemetry_spans_total",
                "Spans by what became of them: exported, dropped (the queue was full), failed (the collector did not take them)",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(spans.clone()))?;
        let outcome = |outcome: &str| spans.with_label_values(&[outcome]);
        Ok(Self {
            exported: outcome("exported"),
            dropped: outcome("dropped"),
            failed: outcome("failed"),
        })
    }
}
