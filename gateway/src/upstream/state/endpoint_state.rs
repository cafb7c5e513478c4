//! What was learned about an endpoint, and its open connections: everything that survives a reload
//! of the configuration.
//!
//! Calls read atomics. A lock is taken only to record a result and, if something speaks against the
//! upstream, to see what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config;
use crate::limit::{SpendingRate, UpstreamBudgets};
use crate::solana::Method;
use crate::upstream::health::health_log::{log_change, log_unprobed};
use crate::upstream::health::slot_position::SlotPosition;
use crate::upstream::health::tracker::{Health, HealthChange, SelfReport, Tracker};
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::selection::score::Score;
use crate::upstream::state::breaker::Breaker;
use crate::upstream::state::concurrency::AdaptiveConcurrency;
use crate::upstream::state::endpoint_identity::EndpointIdentity;
use crate::upstream::state::errors::RecentErrors;
use crate::upstream::state::hold_off::HoldOff;
use crate::upstream::state::ledger_start::LedgerStart;
use crate::upstream::state::metrics::UpstreamMetrics;
use crate::upstream::state::quantile::Latencies;
use crate::upstream::state::slot_feed::SlotFeed;
use crate::upstream::state::turned_away::TurnedAway;
use crate::upstream::state::upstream_series::UpstreamSeries;
use crate::upstream::transport::endpoint::may_be_http2;
use crate::upstream::transport::resolve::ResolvedAddresses;
use crate::upstream::transport::saturation::Saturation;

/// Minimum time between two checks of the genesis hash because of answers that are far too old.
/// Providers keep some answers for hours.
const ODD_ANSWERS: Duration = Duration::from_mins(1);

/// Possible reasons against the upstream. Each bit is written under the lock of its cause.
#[derive(Clone, Copy)]
pub(in crate::upstream) enum UnfitCause {
    Health = 1,
    Breaker = 2,
    HoldOff = 4,
    TurnedAway = 8,
}

/// The live state of one endpoint.
pub struct EndpointState {
    id: String,
    /// The settings that identify the endpoint.
    identity: EndpointIdentity,
    pub(in crate::upstream) connections: Arc<Http1Connections>,
    /// Present if HTTP/2 may be used.
    pub(in crate::upstream) http2: Option<Arc<Http2Pool>>,
    pub(in crate::upstream) concurrency: AdaptiveConcurrency,
    pub(in crate::upstream) saturation: Saturation,
    pub(in crate::upstream) addresses: Arc<ResolvedAddresses>,
    pub(in crate::upstream) score: Score,
    pub(in crate::upstream) latencies: Latencies,
    pub(in crate::upstream) breaker: Mutex<Breaker>,
    pub(in crate::upstream) hold_off: Mutex<HoldOff>,
    pub(in crate::upstream) turned_away: Mutex<TurnedAway>,
    pub(in crate::upstream) budget: UpstreamBudgets,
    pub(in crate::upstream) budget_pace: SpendingRate,
    tracker: Mutex<Tracker>,
    pub(in crate::upstream) errors: Mutex<RecentErrors>,
    /// When its health last changed.
    since: Mutex<Instant>,
    genesis: Mutex<Option<String>>,
    ledger: LedgerStart,
    doubts: AtomicU8,
    health: AtomicU8,
    /// Its position as the tracker has it: slots and times that belong together.
    stand: ArcSwap<SlotPosition>,
    lag: AtomicU64,
    /// Notified when its cluster must be checked.
    pub(in crate::upstream) in_question: Notify,
    /// Notified when it must be checked before its next probe: it begins to refuse a method, and
    /// may refuse everything, or it answers from far behind where it was.
    pub(in crate::upstream) look_soon: Notify,
    questioned_at: Mutex<Option<Instant>>,
    pub(in crate::upstream) slot_feed: SlotFeed,
    pub(in crate::upstream) metrics: UpstreamSeries,
}

fn http2_of(settings: &config::UpstreamSettings) -> Option<Arc<Http2Pool>> {
    may_be_http2(settings.http, settings.url.is_tls()).then(|| {
        Http2Pool::new(
            settings.connections,
            settings.connections_ceiling,
            settings.idle_timeout,
        )
    })
}

impl std::fmt::Debug for EndpointState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("id", &self.id)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl EndpointState {
    pub(in crate::upstream) fn new(
        settings: &config::UpstreamSettings,
        metrics: &UpstreamMetrics,
    ) -> Arc<Self> {
        let start = Instant::now();
        let handles = UpstreamSeries::new(metrics, &settings.id);
        let connections = Http1Connections::new(
            settings.connections,
            settings.connections_ceiling,
            settings.idle_timeout,
        );
        let http2 = http2_of(settings);
        let live = Self {
            id: settings.id.clone(),
            identity: EndpointIdentity::of(settings),
            concurrency: AdaptiveConcurrency::new(settings, &connections, http2.as_ref(), start),
            connections,
            http2,
            saturation: Saturation::new(
                &settings.id,
                settings.connections_ceiling,
                handles.saturated.clone(),
                handles.connection_wait.clone(),
            ),
            addresses: Arc::new(ResolvedAddresses::new(
                settings.url.host(),
                settings.url.port(),
            )),
            score: Score::new(start),
            latencies: Latencies::default(),
            breaker: Mutex::default(),
            hold_off: Mutex::default(),
            turned_away: Mutex::default(),
            budget: UpstreamBudgets::default(),
            budget_pace: SpendingRate::default(),
            tracker: Mutex::default(),
            errors: Mutex::default(),
            since: Mutex::new(start),
            genesis: Mutex::default(),
            ledger: LedgerStart::default(),
            doubts: AtomicU8::new(UnfitCause::Health as u8),
            health: AtomicU8::new(Health::Unprobed as u8),
            stand: ArcSwap::default(),
            lag: AtomicU64::new(0),
            in_question: Notify::new(),
            look_soon: Notify::new(),
            questioned_at: Mutex::default(),
            slot_feed: SlotFeed::default(),
            metrics: handles,
        };
        live.metrics.health(Health::Unprobed);
        Arc::new(live)
    }

    /// Whether these settings still mean this endpoint.
    pub(in crate::upstream) fn is(&self, settings: &config::UpstreamSettings) -> bool {
        self.id == settings.id && self.identity == EndpointIdentity::of(settings)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a call would have to wait for a connection that another one uses.
    pub(in crate::upstream) fn all_busy(&self) -> bool {
        self.connections.all_busy() || self.http2.as_ref().is_some_and(|http2| http2.is_full())
    }

    /// Connections in use, and those that are not.
    pub(in crate::upstream) fn open_connections(&self) -> (usize, usize) {
        let (busy, idle) = self.http2.as_ref().map_or((0, 0), |http2| http2.count());
        (
            busy + self.connections.busy(),
            idle + self.connections.idle(),
        )
    }

    /// Which HTTP version it uses, once a connection has shown it.
    pub(in crate::upstream) fn http(&self) -> Option<&'static str> {
        let older = || (self.connections.busy() + self.connections.idle() > 0).then_some("1.1");
        match &self.http2 {
            Some(http2) if http2.is_open() => Some("2"),
            Some(http2) if http2.is_spoken() => older(),
            _ => Some("1.1"),
        }
    }

    /// Closes connections that are not needed.
    pub(in crate::upstream) fn prune_connections(&self, now: Instant) {
        self.connections.prune(&self.addresses, now);
        if let Some(http2) = &self.http2 {
            http2.prune(&self.addresses, now);
        }
        self.saturation.settle(now);
    }

    pub(in crate::upstream) fn is_clear(&self) -> bool {
        self.doubts.load(Ordering::Acquire) == 0
    }

    /// To be called with the lock of the cause held.
    pub(in crate::upstream) fn doubt(&self, doubt: UnfitCause, holds: bool) {
        if holds {
            self.doubts.fetch_or(doubt as u8, Ordering::AcqRel);
        } else {
            self.doubts.fetch_and(!(doubt as u8), Ordering::AcqRel);
        }
    }

    pub fn health(&self) -> Health {
        let number = usize::from(self.health.load(Ordering::Acquire));
        Health::ALL.get(number).copied().unwrap_or(Health::Unprobed)
    }

    /// A good answer arrived after `latency`. `quantile`, in 0..1, is the one requested later.
    pub fn observe_latency(&self, method: Method, latency: Duration, quantile: f64) {
        self.latencies.observe(method, latency, quantile);
    }

    /// Slots behind the others at the last observation.
    pub fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }

    /// The newest slot known at this commitment or a stronger one.
    pub fn slot(&self, commitment: Commitment) -> Option<Slot> {
        self.stand.load().slot(commitment)
    }

    /// Everything known of its slots.
    pub(in crate::upstream) fn stand(&self) -> arc_swap::Guard<Arc<SlotPosition>> {
        self.stand.load()
    }

    /// An answer that arrived just now was read at a slot that is not new: it is still there.
    pub(in crate::upstream) fn stands_at(&self, slot: Slot, commitment: Commitment, now: Instant) {
        let mut tracker = self.tracker.lock();
        tracker.stands_at(slot, commitment, now);
        self.publish(tracker.stand());
    }

    /// Feeds the tracker and publishes its conclusions.
    pub(in crate::upstream) fn track(
        &self,
        limits: &config::HealthSettings,
        now: Instant,
        feed: impl FnOnce(&mut Tracker),
    ) -> Option<HealthChange> {
        let mut tracker = self.tracker.lock();
        feed(&mut tracker);
        let transition = tracker.settle(limits);
        self.publish(tracker.stand());
        self.lag.store(tracker.lag(), Ordering::Relaxed);
        if tracker.stand().slot(Commitment::Processed).is_some() {
            self.metrics.lag(tracker.lag());
        }
        if let Some(change @ HealthChange { to, .. }) = transition {
            self.health.store(to as u8, Ordering::Release);
            self.doubt(UnfitCause::Health, to != Health::Healthy);
            self.metrics.health(to);
            let lasted =
                now.saturating_duration_since(std::mem::replace(&mut *self.since.lock(), now));
            log_change(&self.id, &tracker, change, lasted);
        }
        log_unprobed(&self.id, &mut tracker);
        transition
    }

    /// What it says of its own health.
    pub(in crate::upstream) fn word(&self) -> SelfReport {
        self.tracker.lock().word()
    }

    pub(in crate::upstream) fn is_unwell(&self) -> bool {
        self.word() != SelfReport::Well
    }

    /// Whether the last probe failed, whatever follows from that.
    pub(in crate::upstream) fn is_in_doubt(&self) -> bool {
        self.tracker.lock().is_in_doubt()
    }

    /// Why it is not healthy, for people: as a sentence, in a few characters, and what probably
    /// helps.
    pub(in crate::upstream) fn cause(
        &self,
    ) -> (Option<String>, Option<String>, Option<&'static str>) {
        let tracker = self.tracker.lock();
        (tracker.cause(), tracker.short_cause(), tracker.cure())
    }

    /// When its health changed.
    pub(in crate::upstream) fn since(&self) -> Instant {
        *self.since.lock()
    }

    fn publish(&self, stand: &SlotPosition) {
        if **self.stand.load() == *stand {
            return;
        }
        self.stand.store(Arc::new(*stand));
        for commitment in Commitment::ALL {
            if let Some(slot) = stand.slot(commitment) {
                self.metrics.slot(commitment, slot);
            }
        }
    }

    /// Its slots are not explained by the clock: its cluster is to be checked.
    pub(in crate::upstream) fn question(&self, now: Instant) {
        let mut questioned_at = self.questioned_at.lock();
        let lately = |at: Instant| now.saturating_duration_since(at) < ODD_ANSWERS;
        if self.health() == Health::Suspect || !questioned_at.is_some_and(lately) {
            *questioned_at = Some(now);
            self.in_question.notify_one();
        }
    }

    pub(in crate::upstream) fn genesis(&self) -> Option<String> {
        self.genesis.lock().clone()
    }

    pub(in crate::upstream) fn set_genesis(&self, hash: String) {
        *self.genesis.lock() = Some(hash);
    }

    /// The oldest slot of its history, as far as it has reported it.
    pub fn oldest(&self) -> Option<Slot> {
        self.ledger.oldest()
    }

    /// Its own ledger begins here.
    pub(in crate::upstream) fn ledger_starts(&self, slot: Slot) {
        self.ledger.starts(slot);
        self.show_oldest();
    }

    /// This is the first block it can return.
    pub(in crate::upstream) fn history_begins(&self, slot: Slot) {
        self.ledger.begins(slot);
        self.show_oldest();
    }

    /// It has refused an older block, naming this one as its first.
    pub fn has_pruned(&self, first: Slot) {
        self.ledger.has_pruned(first);
        self.show_oldest();
    }

    fn show_oldest(&self) {
        if let Some(Slot(oldest)) = self.oldest() {
            let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
            self.metrics.oldest(oldest);
        }
    }
}
