//! What was learned about one upstream: it survives reloads as long as the upstream is the same.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::Slot;
use serde::Serialize;
use tokio::time::Instant;

use super::ApiUpstream;
use super::fitness::{ApiHealth, Fitness};
use super::holds::ApiHolds;
use super::metrics::{ApiMetrics, UpstreamSeries};
use crate::config;
use crate::jupiter::{ApiFault, Product};
use crate::solana::FaultKind;
use crate::upstream::http1::connection::Http1Connections;
use crate::upstream::http2::Http2Pool;
use crate::upstream::state::breaker::{Admission, Breaker, BreakerState, Trial};
use crate::upstream::state::quantile::Latency;
use crate::upstream::transport::endpoint::may_be_http2;
use crate::upstream::transport::fault::TransportFault;
use crate::upstream::transport::resolve::ResolvedAddresses;
use crate::upstream::transport::saturation::Saturation;

pub(super) struct ApiState {
    url: config::UpstreamUrl,
    pub(super) addresses: Arc<ResolvedAddresses>,
    pub(super) connections: Arc<Http1Connections>,
    /// Present if HTTP/2 may be used.
    pub(super) http2: Option<Arc<Http2Pool>>,
    pub(super) saturation: Saturation,
    bounds: ConnectionBounds,
    breaker: Mutex<Breaker>,
    /// For its key and its firewall; those for rate limits belong to its organisation.
    pub(super) holds: Mutex<ApiHolds>,
    health: Mutex<ApiHealth>,
    latencies: [Latency; Product::ALL.len()],
    pub(super) metrics: UpstreamSeries,
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
            health: Mutex::default(),
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

    /// Closes connections that nobody needs.
    pub(super) fn prune_connections(&self, now: Instant) {
        self.connections.prune(&self.addresses, now);
        if let Some(http2) = &self.http2 {
            http2.prune(&self.addresses, now);
        }
    }

    fn open_connections(&self) -> usize {
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

    pub(super) fn admission(&self, now: Instant, settings: &config::Breaker) -> Admission {
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
    ) -> (Fitness, Fitness) {
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
    pub(super) fn silent(&self, limits: &config::JupiterHealth) -> (Fitness, Fitness) {
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

    pub(super) fn status(&self, upstream: &ApiUpstream, now: Instant) -> ApiStatus {
        let held = self.holds.lock().longest(now);
        let held = held.max(upstream.organisation.held(now));
        let health = self.health.lock();
        ApiStatus {
            id: upstream.id().to_owned(),
            tier: upstream.settings.tier.label(),
            platform_fee_bps: upstream.settings.platform_fee_bps,
            fitness: health.fitness().label(),
            market_cache_age_slots: health.lag(),
            breaker: self.breaker.lock().shown().label(),
            held_for_seconds: held.map(|(left, _)| left.as_secs()),
            held_because: held.map(|(_, reason)| reason),
            organisation: upstream.settings.organisation.clone(),
            budget_left: upstream.organisation.left(now),
            connections: self.open_connections(),
        }
    }
}

/// How many connections there may be, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConnectionBounds {
    kept: usize,
    ceiling: usize,
    idle: Duration,
    http2: bool,
}

fn bounds(settings: &config::JupiterUpstream) -> ConnectionBounds {
    ConnectionBounds {
        kept: settings.connections,
        ceiling: settings.connections_ceiling,
        idle: settings.idle_timeout,
        http2: may_be_http2(settings.http, settings.url.is_tls()),
    }
}

/// State of an upstream, for the status page.
#[derive(Clone, Debug, Serialize)]
pub struct ApiStatus {
    pub id: String,
    pub tier: &'static str,
    pub platform_fee_bps: u32,
    pub fitness: &'static str,
    pub market_cache_age_slots: Option<u64>,
    pub breaker: &'static str,
    pub held_for_seconds: Option<u64>,
    pub held_because: Option<&'static str>,
    pub organisation: Option<String>,
    /// Requests that its budget allows at once, now; none without a budget.
    pub budget_left: Option<u64>,
    pub connections: usize,
}

/// Permission for one attempt, with the duty to report its result. If dropped, nothing is reported.
pub struct ApiAttemptGuard {
    upstream: Arc<ApiUpstream>,
    trial: Option<Trial>,
    settled: bool,
}

impl ApiAttemptGuard {
    pub(super) fn take(upstream: &Arc<ApiUpstream>, now: Instant, forced: bool) -> Option<Self> {
        let mut breaker = upstream.state.breaker.lock();
        let trial = match breaker.admission(now, &upstream.breaker) {
            Admission::Free => None,
            Admission::Trial => breaker.begin_trial(now, &upstream.breaker),
            Admission::Refused if forced => None,
            Admission::Refused => return None,
        };
        drop(breaker);
        Some(Self {
            upstream: Arc::clone(upstream),
            trial,
            settled: false,
        })
    }

    pub fn upstream(&self) -> &Arc<ApiUpstream> {
        &self.upstream
    }

    /// An answer for the caller arrived.
    pub fn good(mut self, product: Product, latency: Duration, quantile: f64, now: Instant) {
        let state = &self.upstream.state;
        state.metrics.attempt(product.label(), "ok");
        if let Some(known) = state.latency(product) {
            known.observe(latency, quantile);
        }
        state.holds.lock().served(product);
        self.upstream.organisation.served(product);
        self.settle(true, now);
    }

    /// An answer that speaks against the upstream, or of its limits.
    pub fn bad(mut self, product: Product, fault: ApiFault, now: Instant) {
        let state = &self.upstream.state;
        state.metrics.attempt(product.label(), fault.label());
        if fault.is_refusal() {
            if self.upstream.wait(product, now).is_none() {
                tracing::warn!(
                    upstream = self.upstream.id(),
                    product = product.label(),
                    reason = fault.label(),
                    "Jupiter upstream backing off"
                );
            }
            self.upstream.refused(product, fault, now);
        }
        if fault.is_failure() {
            self.settle(false, now);
        }
    }

    /// A canary was refused: what that says about limits and keys applies to all requests.
    pub(super) fn refused_canary(self, fault: ApiFault, now: Instant) {
        if fault.is_refusal() {
            self.upstream.refused(Product::Quote, fault, now);
        }
    }

    /// No answer arrived.
    pub fn broken(mut self, product: Product, fault: TransportFault, now: Instant) {
        let state = &self.upstream.state;
        state.metrics.attempt(product.label(), fault.kind.label());
        tracing::debug!(
            upstream = self.upstream.id(),
            fault = fault.kind.label(),
            "Jupiter upstream request failed"
        );
        // A lack of connections, or of the caller's time, says nothing about the upstream.
        let own = matches!(
            fault.kind,
            FaultKind::NoDescriptors | FaultKind::NoTime | FaultKind::Saturated
        );
        if !own {
            self.settle(false, now);
        }
    }

    fn settle(&mut self, good: bool, now: Instant) {
        let trial = self.trial.take();
        self.settled = true;
        let (state, settings) = (&self.upstream.state, &self.upstream.breaker);
        let mut breaker = state.breaker.lock();
        let before = breaker.shown();
        if good {
            breaker.success(trial, now, settings);
        } else {
            breaker.failure(trial, now, settings);
        }
        let after = breaker.shown();
        drop(breaker);
        state.metrics.breaker.set(after.number());
        if before != after {
            tracing::warn!(
                upstream = self.upstream.id(),
                state = after.label(),
                "Jupiter upstream circuit breaker changed"
            );
            if after == BreakerState::Closed {
                state.health.lock().came_back(now);
            }
        }
    }
}

impl Drop for ApiAttemptGuard {
    fn drop(&mut self) {
        if !self.settled
            && let Some(trial) = self.trial.take()
        {
            self.upstream.state.breaker.lock().abandon(trial);
        }
    }
}
