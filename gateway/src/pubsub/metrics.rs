//! Metrics of client sockets, their subscriptions and notifications.

mod compression;
mod feed;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

pub(super) use self::compression::CompressionMetrics;
pub(super) use self::feed::FeedMetrics;
use super::socket_end::SocketEnd;
use super::subscription_kind::SubscriptionKind;

#[derive(Debug)]
pub struct PubSubMetrics {
    clients: IntGauge,
    closed: IntCounterVec,
    messages: IntCounter,
    waiting: IntGauge,
    subscriptions: IntGaugeVec,
    told: IntCounterVec,
    pub(super) compression: CompressionMetrics,
    /// Of the sockets to upstreams.
    pub(super) feed: FeedMetrics,
}

impl PubSubMetrics {
    /// # Errors
    /// When one of the names is taken in `registry`.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, text, label| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, text), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let clients = IntGauge::new(
            "perijove_websocket_clients",
            "WebSocket connections of clients",
        )?;
        registry.register(Box::new(clients.clone()))?;
        let messages = IntCounter::new(
            "perijove_websocket_messages_total",
            "Messages from clients, not counting pings",
        )?;
        registry.register(Box::new(messages.clone()))?;
        let waiting = IntGauge::new(
            "perijove_websocket_waiting_bytes",
            "Bytes waiting to be accepted by clients",
        )?;
        registry.register(Box::new(waiting.clone()))?;
        let subscriptions = IntGaugeVec::new(
            Opts::new(
                "perijove_websocket_subscriptions",
                "Subscriptions of clients",
            ),
            &["kind"],
        )?;
        registry.register(Box::new(subscriptions.clone()))?;
        let metrics = Self {
            clients,
            closed: counter(
                "perijove_websocket_closed_total",
                "Client WebSockets that were closed, by cause",
                "cause",
            )?,
            messages,
            waiting,
            subscriptions,
            told: counter(
                "perijove_websocket_notifications_total",
                "Notifications to clients",
                "kind",
            )?,
            compression: CompressionMetrics::register(registry)?,
            feed: FeedMetrics::register(registry)?,
        };
        // All series exist from the start.
        drop(SocketEnd::ALL.map(|end| metrics.closed.with_label_values(&[end.label()])));
        for kind in SubscriptionKind::ALL {
            metrics.subscriptions.with_label_values(&[kind.label()]);
            metrics.told.with_label_values(&[kind.label()]);
        }
        Ok(metrics)
    }

    pub(super) fn opened(&self) {
        self.clients.inc();
    }

    pub(super) fn left(&self) {
        self.clients.dec();
    }

    pub(super) fn closed(&self, end: SocketEnd) {
        self.closed.with_label_values(&[end.label()]).inc();
    }

    pub(super) fn message(&self) {
        self.messages.inc();
    }

    /// Sets the bytes that wait for clients.
    pub(super) fn waiting(&self, bytes: usize) {
        self.waiting.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn subscribed(&self, kind: SubscriptionKind) {
        self.subscriptions.with_label_values(&[kind.label()]).inc();
    }

    pub(super) fn unsubscribed(&self, kind: SubscriptionKind, clients: usize) {
        if clients > 0 {
            let clients = i64::try_from(clients).unwrap_or(0);
            let gauge = self.subscriptions.with_label_values(&[kind.label()]);
            gauge.sub(clients);
        }
    }

    /// Counts notifications to this many clients.
    pub(super) fn told(&self, kind: SubscriptionKind, clients: usize) {
        let clients = u64::try_from(clients).unwrap_or(0);
        self.told.with_label_values(&[kind.label()]).inc_by(clients);
    }
}
