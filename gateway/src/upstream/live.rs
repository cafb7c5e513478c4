//! What was learned about an endpoint and what is open to it: everything that survives a reload of
//! the configuration.
//!
//! Calls look at atomics. A lock is taken only to record a result and, when something speaks
//! against the upstream, to see what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use crate::config;
use crate::solana::Method;
use crate::upstream::breaker::Breaker;
use crate::upstream::connection::Connections;
use crate::upstream::endpoint::may_be_http2;
use crate::upstream::history::Ledger;
use crate::upstream::hold_off::HoldOff;
use crate::upstream::http2::Http2;
use crate::upstream::metrics::{Handles, UpstreamMetrics};
use crate::upstream::quantile::Latencies;
use crate::upstream::resolve::Addresses;
use crate::upstream::saturation::Saturation;
use crate::upstream::score::Score;
use crate::upstream::tracker::{Health, Tracker, Transition, slots_in};

/// No call is told that an upstream has moved further than this without being seen.
const FURTHEST_ESTIMATE: Duration = Duration::from_secs(30);

/// Things that may speak against an upstream. Each bit is written under the lock of its cause.
#[derive(Clone, Copy)]
pub(super) enum Doubt {
    Health = 1,
    Breaker = 2,
    HoldOff = 4,
}

/// The live state of one endpoint.
pub struct Live {
    id: String,
    /// What makes it the same endpoint.
    identity: Identity,
    start: Instant,
    pub(super) connections: Arc<Connections>,
    /// Where HTTP/2 may be spoken.
    pub(super) http2: Option<Arc<Http2>>,
    pub(super) saturation: Saturation,
    pub(super) addresses: Arc<Addresses>,
    pub(super) score: Score,
    pub(super) latencies: Latencies,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) hold_off: Mutex<HoldOff>,
    tracker: Mutex<Tracker>,
    genesis: Mutex<Option<String>>,
    ledger: Ledger,
    doubts: AtomicU8,
    health: AtomicU8,
    /// Newest slot per commitment; 0 while unknown.
    slots: [AtomicU64; 3],
    /// When it was seen, in milliseconds since the start.
    seen_at: [AtomicU64; 3],
    lag: AtomicU64,
    /// Counts slots that live answers brought.
    fresh: [AtomicU64; 3],
    pub(super) metrics: Handles,
}

/// Settings that make another endpoint when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    url: config::UpstreamUrl,
    tls: config::UpstreamTls,
    http: config::HttpVersion,
    connections: usize,
    connections_ceiling: usize,
    idle_timeout: Duration,
}

impl Identity {
    fn of(settings: &config::Upstream) -> Self {
        Self {
            url: settings.url.clone(),
            tls: settings.tls.clone(),
            http: settings.http,
            connections: settings.connections,
            connections_ceiling: settings.connections_ceiling,
            idle_timeout: settings.idle_timeout,
        }
    }
}

fn http2_of(settings: &config::Upstream) -> Option<Arc<Http2>> {
    may_be_http2(settings.http, settings.url.is_tls()).then(|| {
        Http2::new(
            settings.connections,
            settings.connections_ceiling,
            settings.idle_timeout,
        )
    })
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("id", &self.id)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(settings: &config::Upstream, metrics: &UpstreamMetrics) -> Arc<Self> {
        let start = Instant::now();
        let handles = metrics.of(&settings.id);
        let live = Self {
            id: settings.id.clone(),
            identity: Identity::of(settings),
            start,
            connections: Connections::new(
                settings.connections,
                settings.connections_ceiling,
                settings.idle_timeout,
            ),
            http2: http2_of(settings),
            saturation: Saturation::new(
                &settings.id,
                settings.connections_ceiling,
                handles.saturated.clone(),
                handles.connection_wait.clone(),
            ),
            addresses: Arc::new(Addresses::new(settings.url.host(), settings.url.port())),
            score: Score::new(start),
            latencies: Latencies::default(),
            breaker: Mutex::default(),
            hold_off: Mutex::default(),
            tracker: Mutex::default(),
            genesis: Mutex::default(),
            ledger: Ledger::default(),
            doubts: AtomicU8::new(Doubt::Health as u8),
            health: AtomicU8::new(Health::Unprobed as u8),
            slots: Default::default(),
            seen_at: Default::default(),
            lag: AtomicU64::new(0),
            fresh: Default::default(),
            metrics: handles,
        };
        live.metrics.health(Health::Unprobed);
        Arc::new(live)
    }

    /// Whether these settings still mean this endpoint.
    pub(super) fn is(&self, settings: &config::Upstream) -> bool {
        self.id == settings.id && self.identity == Identity::of(settings)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a call would have to wait for a connection that another one uses.
    pub(super) fn all_busy(&self) -> bool {
        self.connections.all_busy() || self.http2.as_ref().is_some_and(|http2| http2.is_full())
    }

    /// Connections in use, and those that are not.
    pub(super) fn open_connections(&self) -> (usize, usize) {
        let (busy, idle) = self.http2.as_ref().map_or((0, 0), |http2| http2.count());
        (
            busy + self.connections.busy(),
            idle + self.connections.idle(),
        )
    }

    /// Closes connections that nobody needs.
    pub(super) fn prune_connections(&self, now: Instant) {
        self.connections.prune(&self.addresses, now);
        if let Some(http2) = &self.http2 {
            http2.prune(&self.addresses, now);
        }
        self.saturation.settle(now);
    }

    pub(super) fn is_clear(&self) -> bool {
        self.doubts.load(Ordering::Acquire) == 0
    }

    /// To be called with the lock of the cause held.
    pub(super) fn doubt(&self, doubt: Doubt, holds: bool) {
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

    /// A good answer came after `latency`. `quantile`, in 0..1, is the one asked for later.
    pub fn observe_latency(&self, method: Method, latency: Duration, quantile: f64) {
        self.latencies.observe(method, latency, quantile);
    }

    /// Slots behind the others at the last observation.
    pub fn lag(&self) -> u64 {
        self.lag.load(Ordering::Relaxed)
    }

    /// The newest slot known at this commitment or a stronger one.
    pub fn slot(&self, commitment: Commitment) -> Option<Slot> {
        let known = self.slots.iter().skip(commitment.index());
        let newest = known.map(|slot| slot.load(Ordering::Relaxed)).max();
        newest.filter(|slot| *slot > 0).map(Slot)
    }

    /// The slot and its age, for this commitment only.
    pub(super) fn seen(&self, commitment: Commitment, now: Instant) -> Option<(Slot, Duration)> {
        let slot = self.slots.get(commitment.index())?.load(Ordering::Relaxed);
        let at = self
            .seen_at
            .get(commitment.index())?
            .load(Ordering::Relaxed);
        let age = self.milliseconds(now).saturating_sub(at);
        (slot > 0).then_some((Slot(slot), Duration::from_millis(age)))
    }

    /// Whether it has probably reached a slot by now.
    pub(super) fn reaches(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
        slot_time: Duration,
    ) -> bool {
        Commitment::ALL
            .into_iter()
            .skip(commitment.index())
            .filter_map(|level| self.seen(level, now))
            .any(|(seen, age)| estimate(seen, age, slot_time) >= slot)
    }

    /// Whether it can have reached a slot by now, if it goes on as fast as slots are made.
    pub(super) fn may_reach(
        &self,
        slot: Slot,
        commitment: Commitment,
        now: Instant,
        slot_time: Duration,
    ) -> bool {
        Commitment::ALL
            .into_iter()
            .skip(commitment.index())
            .filter_map(|level| self.seen(level, now))
            .any(|(seen, age)| {
                // Slots are sometimes made a little faster than usual.
                let age = age.min(FURTHEST_ESTIMATE) * 21 / 20;
                seen.0.saturating_add(slots_in(age, slot_time)) >= slot.0
            })
    }

    /// An answer that came just now was read at a slot that is no news: it still stands there.
    pub(super) fn stands_at(&self, slot: Slot, commitment: Commitment, now: Instant) {
        let index = commitment.index();
        if let (Some(known), Some(seen_at)) = (self.slots.get(index), self.seen_at.get(index))
            && known.load(Ordering::Relaxed) == slot.0
        {
            seen_at.store(self.milliseconds(now), Ordering::Relaxed);
        }
    }

    /// Feeds the tracker and publishes what it concludes.
    pub(super) fn track(
        &self,
        limits: &config::Health,
        now: Instant,
        feed: impl FnOnce(&mut Tracker),
    ) -> Option<Transition> {
        let mut tracker = self.tracker.lock();
        feed(&mut tracker);
        let transition = tracker.settle(limits);
        for commitment in Commitment::ALL {
            if let Some(seen) = tracker.seen(commitment) {
                self.publish(commitment, seen.slot, seen.at);
            }
        }
        self.lag.store(tracker.lag(), Ordering::Relaxed);
        self.metrics
            .lag
            .set(i64::try_from(tracker.lag()).unwrap_or(i64::MAX));
        if let Some(Transition { from, to }) = transition {
            self.health.store(to as u8, Ordering::Release);
            self.doubt(Doubt::Health, to != Health::Healthy);
            self.metrics.health(to);
            tracing::info!(
                upstream = self.id,
                from = from.label(),
                to = to.label(),
                lag = tracker.lag(),
                at = ?now.saturating_duration_since(self.start),
                "health of upstream changed"
            );
        }
        transition
    }

    pub(super) fn is_unwell(&self) -> bool {
        self.tracker.lock().is_unwell()
    }

    fn publish(&self, commitment: Commitment, slot: Slot, at: Instant) {
        let index = commitment.index();
        if let Some(known) = self.slots.get(index) {
            known.store(slot.0, Ordering::Relaxed);
        }
        if let Some(seen_at) = self.seen_at.get(index) {
            seen_at.store(self.milliseconds(at), Ordering::Relaxed);
        }
        if let Some(gauge) = self.metrics.slots.get(index) {
            gauge.set(i64::try_from(slot.0).unwrap_or(i64::MAX));
        }
    }

    /// Notes that a live answer brought a new slot.
    pub(super) fn freshen(&self, commitment: Commitment) {
        if let Some(count) = self.fresh.get(commitment.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many new slots live answers have brought.
    pub(super) fn freshness(&self, commitment: Commitment) -> u64 {
        self.fresh
            .get(commitment.index())
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn genesis(&self) -> Option<String> {
        self.genesis.lock().clone()
    }

    pub(super) fn set_genesis(&self, hash: String) {
        *self.genesis.lock() = Some(hash);
    }

    /// The oldest slot of its history, as far as it has said so.
    pub fn oldest(&self) -> Option<Slot> {
        self.ledger.oldest()
    }

    /// Its own ledger begins here.
    pub(super) fn ledger_starts(&self, slot: Slot) {
        self.ledger.starts(slot);
        self.show_oldest();
    }

    /// This is the first block it can give.
    pub(super) fn history_begins(&self, slot: Slot) {
        self.ledger.begins(slot);
        self.show_oldest();
    }

    /// It has refused an older block with the words that this one is its first.
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

    fn milliseconds(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Where an upstream probably stands that was at `slot` some time ago. A little slower than the
/// usual speed: slots are skipped.
pub(super) fn estimate(slot: Slot, age: Duration, slot_time: Duration) -> Slot {
    let moved = slots_in(age.min(FURTHEST_ESTIMATE) * 9 / 10, slot_time);
    Slot(slot.0.saturating_add(moved))
}

/// One call under way, counted as long as this lives.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Live>);

impl InFlight {
    pub(super) fn begin(live: &Arc<Live>) -> Self {
        live.score.begin();
        Self(Arc::clone(live))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.score.end();
    }
}
