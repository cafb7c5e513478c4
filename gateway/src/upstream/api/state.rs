//! What was learned about one upstream: it survives reloads as long as the upstream is the same.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::{Secret, Slot};
use tokio::time::Instant;

use super::canary_fault::CanaryFault;
use super::doubt::Doubt;
use super::fitness::{ApiFitness, ApiHealth};
use super::holds::ApiHolds;
use super::metrics::{ApiMetrics, ApiSeries};
use crate::config;
use crate::jupiter::Product;
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::state::breaker::{Admission, Breaker};
use crate::upstream::state::quantile::Latency;
use crate::upstream::transport::endpoint::may_be_http2;
use crate::upstream::transport::resolve::ResolvedAddresses;
use crate::upstream::transport::saturation::Saturation;

pub(super) struct ApiState {
    url: config::UpstreamUrl,
    pub(super) addresses: Arc<ResolvedAddresses>,
    pub(super) connections: Arc<Http1Connections>,
    /// Present if HTTP/2 may be used.
    pub(super) http2: Option<Arc<Http2Pool>>,
    pub(super) saturation: Saturation,
    bounds: ApiConnectionBounds,
    pub(super) breaker: Mutex<Breaker>,
    /// For its key and its firewall; those for rate limits belong to its organisation.
    pub(super) holds: Mutex<ApiHolds>,
    pub(super) doubt: Doubt,
    /// What it was shown: the key, and in which field.
    key: Mutex<(Option<Secret>, String)>,
    pub(super) health: Mutex<ApiHealth>,
    /// Why the last canary brought no quote; `None` if it did.
    pub(super) canary_fault: Mutex<Option<CanaryFault>>,
    latencies: [Latency; Product::ALL.len()],
    pub(super) metrics: ApiSeries,
}

impl ApiState {
    pub(super) fn new(settings: &config::JupiterUpstream, metrics: &ApiMetrics) -> Arc<Self> {
        let bounds = bounds(settings);
        let metrics = metrics.of(&settings.id);
        let state = Self {
            url: settings.url.clone(),
            addresses: Arc::new(ResolvedAddresses::new(
                settings.url.host(),
                settings.url.port(),
            )),
            connections: Http1Connections::new(bounds.kept, bounds.ceiling, bounds.idle),
            http2: bounds
                .http2
                .then(|| Http2Pool::new(bounds.kept, bounds.ceiling, bounds.idle)),
            saturation: Saturation::new(
                &settings.id,
                bounds.ceiling,
                metrics.saturated.clone(),
                metrics.waited.clone(),
            ),
            bounds,
            breaker: Mutex::default(),
            holds: Mutex::default(),
            doubt: Doubt::default(),
            key: Mutex::new(key_of(settings)),
            health: Mutex::default(),
            canary_fault: Mutex::default(),
            latencies: std::array::from_fn(|_| Latency::default()),
            metrics,
        };
        state.metrics.fit.set(1);
        Arc::new(state)
    }

    /// Whether it still belongs to this upstream.
    pub(super) fn is_of(&self, settings: &config::JupiterUpstream) -> bool {
        self.url == settings.url && self.bounds == bounds(settings)
    }

    /// It is used with these settings from now on. Another key may be accepted.
    pub(super) fn used_with(&self, settings: &config::JupiterUpstream) {
        let key = key_of(settings);
        if std::mem::replace(&mut *self.key.lock(), key.clone()) != key {
            *self.holds.lock() = ApiHolds::default();
            *self.canary_fault.lock() = None;
        }
    }

    /// Closes connections that nobody needs.
    pub(super) fn prune_connections(&self, now: Instant) {
        self.connections.prune(&self.addresses, now);
        if let Some(http2) = &self.http2 {
            http2.prune(&self.addresses, now);
        }
    }

    pub(super) fn open_connections(&self) -> usize {
        let (busy, idle) = self.http2.as_ref().map_or((0, 0), |http2| http2.count());
        busy + idle + self.connections.busy() + self.connections.idle()
    }

    pub(super) fn latency(&self, product: Product) -> Option<&Latency> {
        self.latencies.get(product as usize)
    }

    pub(super) fn is_usable(&self) -> bool {
        self.health.lock().is_usable()
    }

    /// Whether a consumer whose key ends in this many thousandths is sent here.
    pub(super) fn takes(&self, thousandths: u64, now: Instant, slow_start: Duration) -> bool {
        thousandths < self.health.lock().share(now, slow_start)
    }

    pub(super) fn admission(&self, now: Instant, settings: &config::BreakerSettings) -> Admission {
        self.breaker.lock().admission(now, settings)
    }

    /// How long it is held off since it refuses the gateway itself.
    pub(super) fn refuses(&self, product: Product, now: Instant) -> Option<Duration> {
        self.holds.lock().left(product, now)
    }

    /// A quote arrived, from the market state at this slot.
    pub(super) fn quoted(
        &self,
        slot: Option<Slot>,
        tip: Option<Slot>,
        now: Instant,
        limits: &config::JupiterHealth,
    ) -> (ApiFitness, ApiFitness) {
        let mut health = self.health.lock();
        let before = health.fitness();
        health.quoted(slot, tip, now, limits);
        if let Some(lag) = health.lag() {
            self.metrics.age.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        self.metrics.fit.set(i64::from(health.is_usable()));
        (before, health.fitness())
    }

    /// No canary quote arrived.
    pub(super) fn silent(
        &self,
        fault: CanaryFault,
        limits: &config::JupiterHealth,
    ) -> (ApiFitness, ApiFitness) {
        *self.canary_fault.lock() = Some(fault);
        let mut health = self.health.lock();
        let before = health.fitness();
        health.failed(limits);
        self.metrics.fit.set(i64::from(health.is_usable()));
        (before, health.fitness())
    }

    /// How many slots the last quote was behind.
    pub(super) fn lag(&self) -> Option<u64> {
        self.health.lock().lag()
    }

    /// A canary quote was good: an open breaker waits for less.
    pub(super) fn probed(&self, started: Instant, now: Instant) {
        self.breaker.lock().probed(started, now);
    }
}

fn key_of(settings: &config::JupiterUpstream) -> (Option<Secret>, String) {
    (settings.key.clone(), settings.key_header.clone())
}

/// How many connections there may be, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ApiConnectionBounds {
    kept: usize,
    ceiling: usize,
    idle: Duration,
    http2: bool,
}

fn bounds(settings: &config::JupiterUpstream) -> ApiConnectionBounds {
    ApiConnectionBounds {
        kept: settings.connections,
        ceiling: settings.connections_ceiling,
        idle: settings.idle_timeout,
        http2: may_be_http2(settings.http, settings.url.is_tls()),
    }
}
