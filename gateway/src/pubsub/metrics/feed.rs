//! Metrics of the sockets to upstreams, their notifications, and of subscriptions that move between
//! them.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::pubsub::delivered::NotificationVerdict;
use crate::pubsub::feeds::move_cause::MoveCause;
use crate::pubsub::repair::outcome::RepairOutcome;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::upstream_socket::messages::CloseReason;

/// Why a notification of an upstream is not passed on.
const UNTOLD: [&str; 3] = ["repeated", "outdated", "garbled"];

/// How a socket to an upstream is closed.
const ENDS: [&str; 5] = ["closed", "silent", "garbled", "unused", "unreachable"];

/// Seconds; finest where moves should be.
const BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 3.5, 5.0, 10.0, 30.0,
];

#[derive(Debug)]
pub(in crate::pubsub) struct FeedMetrics {
    shared: IntGauge,
    waiting: IntGauge,
    hot: IntGauge,
    notifications: IntCounterVec,
    untold: IntCounterVec,
    sockets: IntGaugeVec,
    lost: IntCounterVec,
    moves: IntCounterVec,
    gaps: Histogram,
    repaired: IntCounterVec,
}

impl FeedMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name, text, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, text), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let (shared, waiting, hot) = gauges(registry)?;
        let sockets = IntGaugeVec::new(
            Opts::new(
                "perijove_websocket_upstream_sockets",
                "Open sockets to an upstream",
            ),
            &["upstream"],
        )?;
        registry.register(Box::new(sockets.clone()))?;
        let metrics = Self {
            shared,
            waiting,
            hot,
            notifications: counter(
                "perijove_websocket_upstream_notifications_total",
                "Notifications from upstreams",
                &["kind"],
            )?,
            untold: counter(
                "perijove_websocket_untold_total",
                "Upstream notifications not passed on to clients, by reason",
                &["reason"],
            )?,
            sockets,
            lost: counter(
                "perijove_websocket_upstream_closed_total",
                "Sockets to an upstream that were closed or could not be opened, by cause",
                &["upstream", "cause"],
            )?,
            moves: counter(
                "perijove_websocket_moves_total",
                "Subscriptions that moved to another upstream, by cause",
                &["cause"],
            )?,
            gaps: histogram(registry)?,
            repaired: counter(
                "perijove_websocket_repairs_total",
                "Checks for notifications missed during a move, by kind and outcome",
                &["kind", "outcome"],
            )?,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// All series exist from the start.
    fn begin(&self) {
        drop(UNTOLD.map(|reason| self.untold.with_label_values(&[reason])));
        drop(MoveCause::ALL.map(|cause| self.moves.with_label_values(&[cause.label()])));
        for kind in SubscriptionKind::ALL {
            self.notifications.with_label_values(&[kind.label()]);
            for outcome in RepairOutcome::ALL {
                let labels = [kind.label(), outcome.label()];
                self.repaired.with_label_values(&labels);
            }
        }
    }

    pub(in crate::pubsub) fn topics(&self, all: usize, waiting: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.shared.set(number(all));
        self.waiting.set(number(waiting));
    }

    /// Sets the number of accounts followed because they are read often.
    pub(in crate::pubsub) fn hot(&self, accounts: usize) {
        self.hot.set(i64::try_from(accounts).unwrap_or(i64::MAX));
    }

    /// Counts a notification of an upstream.
    pub(in crate::pubsub) fn heard(&self, kind: SubscriptionKind, verdict: &NotificationVerdict) {
        self.notifications.with_label_values(&[kind.label()]).inc();
        let untold = match verdict {
            NotificationVerdict::Tell
            | NotificationVerdict::Missing { .. }
            | NotificationVerdict::Unknown => None,
            NotificationVerdict::Repeated => Some("repeated"),
            NotificationVerdict::Outdated => Some("outdated"),
            NotificationVerdict::Garbled => Some("garbled"),
        };
        if let Some(reason) = untold {
            self.untold.with_label_values(&[reason]).inc();
        }
    }

    pub(in crate::pubsub) fn opened(&self, upstream: &str) {
        self.sockets.with_label_values(&[upstream]).inc();
    }

    pub(in crate::pubsub) fn closed(&self, upstream: &str, closed: &CloseReason) {
        self.sockets.with_label_values(&[upstream]).dec();
        let labels = [upstream, closed.label()];
        self.lost.with_label_values(&labels).inc();
    }

    pub(in crate::pubsub) fn unreachable(&self, upstream: &str) {
        let labels = [upstream, "unreachable"];
        self.lost.with_label_values(&labels).inc();
    }

    /// An upstream is configured.
    pub(in crate::pubsub) fn begins(&self, upstream: &str) {
        self.sockets.with_label_values(&[upstream]);
        for cause in ENDS {
            self.lost.with_label_values(&[upstream, cause]);
        }
    }

    /// An upstream is not configured any more.
    pub(in crate::pubsub) fn ends(&self, upstream: &str) {
        // Whatever series exist for it.
        drop(self.sockets.remove_label_values(&[upstream]));
        for cause in ENDS {
            drop(self.lost.remove_label_values(&[upstream, cause]));
        }
    }

    pub(in crate::pubsub) fn moved(&self, cause: MoveCause, gap: Duration) {
        self.moves.with_label_values(&[cause.label()]).inc();
        self.gaps.observe(gap.as_secs_f64());
    }

    pub(in crate::pubsub) fn repaired(&self, kind: SubscriptionKind, outcome: RepairOutcome) {
        let labels = [kind.label(), outcome.label()];
        self.repaired.with_label_values(&labels).inc();
    }
}

fn gauges(registry: &Registry) -> prometheus::Result<(IntGauge, IntGauge, IntGauge)> {
    let shared = IntGauge::new(
        "perijove_websocket_shared_subscriptions",
        "Distinct subscriptions; each is made upstream once",
    )?;
    registry.register(Box::new(shared.clone()))?;
    let waiting = IntGauge::new(
        "perijove_websocket_waiting_subscriptions",
        "Subscriptions that no upstream serves at the moment",
    )?;
    registry.register(Box::new(waiting.clone()))?;
    let hot = IntGauge::new(
        "perijove_websocket_hot_accounts",
        "Accounts subscribed to because they are read often",
    )?;
    registry.register(Box::new(hot.clone()))?;
    Ok((shared, waiting, hot))
}

fn histogram(registry: &Registry) -> prometheus::Result<Histogram> {
    let options = HistogramOpts::new(
        "perijove_websocket_move_seconds",
        "How long a moved subscription had no upstream",
    );
    let histogram = Histogram::with_opts(options.buckets(BUCKETS.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}
