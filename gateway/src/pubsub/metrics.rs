//! Sockets of clients, and what goes over them.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::session::End;

#[derive(Clone, Debug)]
pub struct PubSubMetrics {
    clients: IntGauge,
    closed: IntCounterVec,
    messages: IntCounter,
}

impl PubSubMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let clients = IntGauge::new("perijove_websocket_clients", "Sockets of clients")?;
        registry.register(Box::new(clients.clone()))?;
        let closed = IntCounterVec::new(
            Opts::new(
                "perijove_websocket_closed_total",
                "Sockets of clients that ended, by cause",
            ),
            &["cause"],
        )?;
        registry.register(Box::new(closed.clone()))?;
        drop(End::ALL.map(|end| closed.with_label_values(&[end.label()])));
        let messages = IntCounter::new(
            "perijove_websocket_messages_total",
            "Messages of clients, pings left out",
        )?;
        registry.register(Box::new(messages.clone()))?;
        Ok(Self {
            clients,
            closed,
            messages,
        })
    }

    pub(super) fn opened(&self) {
        self.clients.inc();
    }

    pub(super) fn closed(&self, end: End) {
        self.clients.dec();
        self.closed.with_label_values(&[end.label()]).inc();
    }

    pub(super) fn message(&self) {
        self.messages.inc();
    }
}
