//! What a socket is opened with, and lives by.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::messages::{ReportSender, SocketOrder};
use crate::config::FeedLimits;
use crate::pubsub::hub::Hub;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::shown_slot::ShownSlot;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::upstream::Upstream;

/// A socket to be opened.
pub(in crate::pubsub) struct SocketTerms {
    pub(in crate::pubsub) id: u64,
    pub(in crate::pubsub) hub: Arc<Hub>,
    pub(in crate::pubsub) upstream: Arc<Upstream>,
    /// The index of the upstream's address to try.
    pub(in crate::pubsub) attempt: usize,
    pub(in crate::pubsub) orders: mpsc::UnboundedReceiver<SocketOrder>,
    pub(in crate::pubsub) reports: ReportSender,
    /// The newest slot it has reported.
    pub(in crate::pubsub) slot: Arc<AtomicU64>,
    pub(in crate::pubsub) limits: FeedLimits,
}

impl SocketTerms {
    /// Notes what a notification says of the upstream's slot, besides those of the beacon.
    pub(super) fn note_slot(&self, spec: &SubscriptionSpec, result: &Bytes) {
        if spec.kind == SubscriptionKind::Slot || !self.limits.track_slots {
            return;
        }
        if let Some(shown) = ShownSlot::of(spec.kind, spec.commitment, result) {
            self.upstream.tells_of(shown.slot, shown.commitment);
        }
    }
}
