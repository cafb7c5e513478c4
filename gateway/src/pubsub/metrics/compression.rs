//! Metrics of compressed messages.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

#[derive(Debug)]
pub(in crate::pubsub) struct CompressionMetrics {
    sent: IntCounter,
    /// Counted where they are decompressed.
    pub(in crate::pubsub) received: IntCounter,
    saved: IntCounter,
}

impl CompressionMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let messages = IntCounterVec::new(
            Opts::new(
                "perijove_websocket_compressed_messages_total",
                "Compressed messages, to clients and from them",
            ),
            &["direction"],
        )?;
        registry.register(Box::new(messages.clone()))?;
        let saved = IntCounter::new(
            "perijove_websocket_compression_saved_bytes_total",
            "Bytes by which messages to clients became shorter",
        )?;
        registry.register(Box::new(saved.clone()))?;
        Ok(Self {
            sent: messages.with_label_values(&["sent"]),
            received: messages.with_label_values(&["received"]),
            saved,
        })
    }

    /// Counts a message to a client that became shorter.
    pub(in crate::pubsub) fn sent(&self, text: usize, payload: usize) {
        self.sent.inc();
        let saved = text.saturating_sub(payload);
        self.saved.inc_by(u64::try_from(saved).unwrap_or(0));
    }
}
