//! Permission for one attempt, and what is recorded of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ApiUpstream;
use crate::jupiter::{ApiFault, Product};
use crate::solana::FaultKind;
use crate::upstream::state::breaker::{Admission, BreakerState, Trial};
use crate::upstream::transport::fault::TransportFault;

impl ApiUpstream {
    /// Permission for one attempt. `forced`: whatever the breaker says.
    pub fn admit(self: &Arc<Self>, now: Instant, forced: bool) -> Option<ApiAttemptGuard> {
        ApiAttemptGuard::take(self, now, forced)
    }
}

/// Permission for one attempt, with the duty to report its result. If dropped, nothing is reported.
pub struct ApiAttemptGuard {
    upstream: Arc<ApiUpstream>,
    trial: Option<Trial>,
    settled: bool,
}

impl ApiAttemptGuard {
    fn take(upstream: &Arc<ApiUpstream>, now: Instant, forced: bool) -> Option<Self> {
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
