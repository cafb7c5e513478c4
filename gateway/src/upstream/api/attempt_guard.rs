//! Permission for one attempt, and what is recorded of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{ApiLimits, ApiReply, ApiUpstream};
use crate::jupiter::{ApiFault, Product};
use crate::solana::FaultKind;
use crate::upstream::client::request::ApiRequest;
use crate::upstream::state::breaker::{Admission, BreakerState, Trial};
use crate::upstream::transport::fault::TransportFault;

impl ApiUpstream {
    /// Permission for one attempt, for which the budget of its organisation pays. `forced`: whatever the
    /// breaker says.
    pub fn admit(
        self: &Arc<Self>,
        product: Product,
        now: Instant,
        forced: bool,
    ) -> Option<ApiAttemptGuard> {
        let mut guard = ApiAttemptGuard::new(self, product, now, forced)?;
        guard.paid = self.organisation.take(product, now);
        guard.paid.then_some(guard)
    }
}

/// Permission for one attempt, with the duty to report its result. If dropped, nothing is reported; what
/// was paid for a request that was not sent is given back.
pub struct ApiAttemptGuard {
    upstream: Arc<ApiUpstream>,
    product: Product,
    trial: Option<Trial>,
    settled: bool,
    paid: bool,
    /// Set once the request has a connection and is being written.
    written: AtomicBool,
}

impl ApiAttemptGuard {
    fn new(
        upstream: &Arc<ApiUpstream>,
        product: Product,
        now: Instant,
        forced: bool,
    ) -> Option<Self> {
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
            product,
            trial,
            settled: false,
            paid: false,
            written: AtomicBool::new(false),
        })
    }

    pub fn upstream(&self) -> &Arc<ApiUpstream> {
        &self.upstream
    }

    /// Sends the request. Cancel-safe: dropping the future closes the connection in use; over HTTP/2,
    /// only its stream.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn call(
        &self,
        request: &ApiRequest,
        limits: &ApiLimits,
    ) -> Result<ApiReply, TransportFault> {
        let written = Some(&self.written);
        self.upstream.call(request, limits, written).await
    }

    /// An answer for the caller arrived.
    pub fn good(mut self, latency: Duration, quantile: f64, now: Instant) {
        let (state, product) = (&self.upstream.state, self.product);
        state.metrics.attempt(product.label(), "ok");
        if let Some(known) = state.latency(product) {
            known.observe(latency, quantile);
        }
        state.holds.lock().served(product);
        self.upstream.organisation.served(product);
        self.settle(true, now);
    }

    /// An answer that speaks against the upstream, or of its limits.
    pub fn bad(mut self, fault: ApiFault, now: Instant) {
        let (state, product) = (&self.upstream.state, self.product);
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

    /// No answer arrived.
    pub fn broken(mut self, fault: TransportFault, now: Instant) {
        let metrics = &self.upstream.state.metrics;
        metrics.attempt(self.product.label(), fault.kind.label());
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
        if self.paid && !self.written.load(Ordering::Relaxed) {
            self.upstream.organisation.refund(self.product);
        }
    }
}
