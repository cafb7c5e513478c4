//! An upstream of Jupiter's API chosen for one attempt, and recording the outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perijove_core::BreakerState;
use tokio::time::Instant;

use super::ApiUpstream;
use crate::jupiter::{ApiFault, Product};
use crate::solana::FaultKind;
use crate::upstream::client::reply::AttemptLimits;
use crate::upstream::client::{ReplyTo, WireRequest};
use crate::upstream::peer::{AttemptWitness, ChosenPeer};
use crate::upstream::state::breaker::{Admission, Breaker, Trial};
use crate::upstream::transport::fault::TransportFault;

/// An upstream chosen for one attempt, for which the budget of its organisation has paid. If it is
/// dropped without a recorded outcome nothing counts against the upstream; what was paid for a request
/// that was not sent is given back.
pub struct ApiCandidate {
    upstream: Arc<ApiUpstream>,
    product: Product,
    trial: Option<Trial>,
    paid: bool,
    marks: Arc<AttemptMarks>,
}

/// What has become of an attempt so far.
#[derive(Debug, Default)]
struct AttemptMarks {
    /// The request has a connection and is being written.
    written: AtomicBool,
    /// Its result was counted.
    counted: AtomicBool,
}

/// The result of an attempt that was given up with its request, before there was an answer.
const CLIENT_GONE: &str = "client_gone";

/// Reports on an attempt whose [`ApiCandidate`] is with the attempt.
pub struct ApiFailureReporter {
    upstream: Arc<ApiUpstream>,
    product: Product,
    marks: Arc<AttemptMarks>,
}

impl ApiUpstream {
    /// Chooses it for one attempt, if its breaker and the budget of its organisation allow that.
    /// `forced`: whatever the breaker says.
    pub fn admit(
        self: &Arc<Self>,
        product: Product,
        now: Instant,
        forced: bool,
    ) -> Option<ApiCandidate> {
        let mut breaker = self.state.breaker.lock();
        let trial = match breaker.admission(now, &self.breaker) {
            Admission::Free => None,
            Admission::Trial => breaker.begin_trial(now, &self.breaker),
            Admission::Refused if forced => None,
            Admission::Refused => return None,
        };
        drop(breaker);
        let mut candidate = ApiCandidate {
            upstream: Arc::clone(self),
            product,
            trial,
            paid: false,
            marks: Arc::default(),
        };
        candidate.paid = self.organisation.take(product, now);
        candidate.paid.then_some(candidate)
    }

    /// Counts the result of an attempt.
    fn count(&self, product: Product, marks: &AttemptMarks, result: &str) {
        marks.counted.store(true, Ordering::Relaxed);
        self.state.metrics.attempt(product.label(), result);
    }

    /// A request failed here that another upstream served.
    pub fn failed_alone(&self, now: Instant) {
        self.tell_breaker(now, |breaker| breaker.failed_alone(now, &self.breaker));
    }

    /// The outcome of an attempt, for its breaker.
    fn settle(&self, trial: Option<Trial>, good: bool, now: Instant) {
        self.tell_breaker(now, |breaker| {
            if good {
                breaker.success(trial, now, &self.breaker);
            } else {
                breaker.failure(trial, now, &self.breaker);
            }
        });
    }

    fn tell_breaker(&self, now: Instant, tell: impl FnOnce(&mut Breaker)) {
        let state = &self.state;
        let mut breaker = state.breaker.lock();
        let before = breaker.shown();
        tell(&mut breaker);
        let after = breaker.shown();
        drop(breaker);
        state.metrics.breaker.set(after.number());
        if before != after {
            let (upstream, from, to) = (self.id(), before.label(), after.label());
            if (before, after) == (BreakerState::Closed, BreakerState::Open) {
                tracing::warn!(
                    upstream,
                    from,
                    to,
                    "Jupiter upstream circuit breaker changed"
                );
            } else {
                tracing::info!(
                    upstream,
                    from,
                    to,
                    "Jupiter upstream circuit breaker changed"
                );
            }
            if after == BreakerState::Closed {
                state.health.lock().came_back(now);
            }
        }
    }
}

impl ApiCandidate {
    pub fn upstream(&self) -> &Arc<ApiUpstream> {
        &self.upstream
    }

    /// An answer for the caller arrived.
    pub fn good(&mut self, now: Instant) {
        let (state, product) = (&self.upstream.state, self.product);
        self.upstream.count(product, &self.marks, "ok");
        state.holds.lock().served(product);
        state.doubt.served();
        self.upstream.organisation.served(product);
        self.settle(true, now);
    }

    /// An answer that is not for the caller. Whether it speaks against the upstream is not known before
    /// others were asked ([`ApiUpstream::failed_alone`], [`ApiUpstream::doubt`]); a limit of its rate is
    /// its own.
    pub fn bad(&mut self, fault: ApiFault, now: Instant) {
        let product = self.product;
        self.upstream.count(product, &self.marks, fault.label());
        if matches!(fault, ApiFault::RateLimited(_)) {
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
    }

    /// No answer arrived. `sent`: the upstream has seen the request, and so the reason may be the request;
    /// others show that.
    pub fn broken(&mut self, kind: FaultKind, sent: bool, now: Instant) {
        self.upstream.count(self.product, &self.marks, kind.label());
        tracing::debug!(
            upstream = self.upstream.id(),
            fault = kind.label(),
            "Jupiter upstream request failed"
        );
        // A lack of connections, or of the caller's time, says nothing about the upstream.
        let own = matches!(
            kind,
            FaultKind::NoDescriptors | FaultKind::NoTime | FaultKind::Saturated
        );
        if !own && !sent {
            self.settle(false, now);
        }
    }

    fn settle(&mut self, good: bool, now: Instant) {
        let trial = self.trial.take();
        self.upstream.settle(trial, good, now);
    }
}

impl Drop for ApiCandidate {
    fn drop(&mut self) {
        if let Some(trial) = self.trial.take() {
            self.upstream.state.breaker.lock().abandon(trial);
        }
        if !self.marks.written.load(Ordering::Relaxed) {
            if self.paid {
                self.upstream.organisation.refund(self.product);
            }
        } else if !self.marks.counted.load(Ordering::Relaxed) {
            self.upstream.count(self.product, &self.marks, CLIENT_GONE);
        }
    }
}

impl ApiFailureReporter {
    /// Records that the attempt was never answered; it must then be dropped. `served`: another upstream
    /// has served the request.
    pub fn never_answered(&self, served: bool, now: Instant) {
        let kind = FaultKind::FirstByteTimeout;
        self.upstream.count(self.product, &self.marks, kind.label());
        if served {
            self.upstream.failed_alone(now);
        }
    }
}

impl ChosenPeer for ApiCandidate {
    type Peer = ApiUpstream;
    type Witness = ApiFailureReporter;

    fn peer(&self) -> &Arc<ApiUpstream> {
        &self.upstream
    }

    fn witness(&self) -> ApiFailureReporter {
        ApiFailureReporter {
            upstream: Arc::clone(&self.upstream),
            product: self.product,
            marks: Arc::clone(&self.marks),
        }
    }

    async fn attempt<R: WireRequest>(
        &self,
        request: &R,
        limits: &AttemptLimits,
    ) -> Result<ReplyTo<R>, TransportFault> {
        let written = Some(&self.marks.written);
        self.upstream.call(request, limits, written).await
    }

    #[cfg(test)]
    fn write(&self) {
        self.marks.written.store(true, Ordering::Relaxed);
    }
}

impl AttemptWitness for ApiFailureReporter {
    type Peer = ApiUpstream;

    fn peer(&self) -> &Arc<ApiUpstream> {
        &self.upstream
    }

    fn is_written(&self) -> bool {
        self.marks.written.load(Ordering::Relaxed)
    }
}
