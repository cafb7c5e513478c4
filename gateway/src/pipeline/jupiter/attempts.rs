//! The attempts at one request: the best upstream first, the next if an answer is missing or not
//! for the caller, and a second one concurrently if the first is slow. A request that may change
//! something is sent once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::ApiCall;
use super::attempt::{
    ApiAttempt, ApiAttemptMode, ApiAttemptSummary, ApiCallClass, ApiOutcome, carry_out,
    leave_behind,
};
use crate::error::Rejection;
use crate::jupiter::{ApiFault, ApiRoute};
use crate::solana::FaultKind;
use crate::upstream::{ApiChoice, ApiUpstream, TransportFault};

/// Maximum number of upstreams asked for one request.
const MOST: usize = 4;

/// A used-up budget is waited for this long before the client gets an error: few of Jupiter's
/// clients retry by themselves.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) struct ApiAttempts<'c> {
    call: &'c ApiCall,
    route: &'c ApiRoute<'c>,
    origin: Option<Arc<str>>,
    class: ApiCallClass,
    started: u32,
    hedged: bool,
    /// The least bad answer so far.
    fallback: Option<(ApiFault, ApiAttemptSummary)>,
    broken: Option<TransportFault>,
    limited: Option<Duration>,
}

impl<'c> ApiAttempts<'c> {
    pub(super) fn new(
        call: &'c ApiCall,
        route: &'c ApiRoute<'c>,
        origin: Option<Arc<str>>,
    ) -> Self {
        Self {
            class: ApiCallClass::of(&call.method, route.product),
            call,
            route,
            origin,
            started: 0,
            hedged: false,
            fallback: None,
            broken: None,
            limited: None,
        }
    }

    /// Asks until there is an answer for the caller.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn run(mut self) -> Result<ApiAttemptSummary, Rejection> {
        self.call.pipeline.dispatch_state.budget.deposit();
        let choice = self.choice_in_time().await?;
        let mut left = choice.order.iter();
        let mut running: FuturesUnordered<BoxFuture<'static, ApiAttempt>> = FuturesUnordered::new();
        let first = self.next(&mut left, &choice, false);
        let Some(first) = first else {
            return Err(self.conclude(&choice).err().unwrap_or(NONE));
        };
        running.push(first.0);
        let mut hedge_at = pin!(sleep(first.1.unwrap_or_default()));
        let mut may_hedge = first.1.is_some();
        loop {
            let attempted = tokio::select! {
                biased;
                Some(attempted) = running.next() => attempted,
                () = &mut hedge_at, if may_hedge => {
                    may_hedge = false;
                    if let Some((next, _)) = self.next(&mut left, &choice, true) {
                        self.hedged = true;
                        running.push(next);
                    }
                    continue;
                }
            };
            let again = match self.weigh(attempted) {
                Ok(ended) => {
                    leave_behind(running);
                    return Ok(self.answered(ended, &choice));
                }
                Err(again) => again,
            };
            if again
                && running.len() < 2
                && let Some((next, _)) = self.next(&mut left, &choice, false)
            {
                running.push(next);
            }
            if running.is_empty() {
                let ended = self.conclude(&choice)?;
                return Ok(self.answered(ended, &choice));
            }
        }
    }

    /// The upstreams to ask; after a moment, if only a budget is missing.
    async fn choice_in_time(&self) -> Result<ApiChoice, Rejection> {
        let until = (self.call.context.started + LONGEST_WAIT).min(self.call.deadline());
        loop {
            let choice = self.choice()?;
            let again = choice.wait.map(|wait| Instant::now() + wait);
            match again {
                Some(again) if choice.order.is_empty() && again < until => sleep_until(again).await,
                _ => return Ok(choice),
            }
        }
    }

    fn choice(&self) -> Result<ApiChoice, Rejection> {
        let (call, product) = (self.call, self.route.product);
        let pool = &call.snapshot.jupiter;
        let now = Instant::now();
        let origin = self.origin.as_deref();
        let mut choice = pool.choose(self.route.api, product, call.affinity, origin, now);
        if !choice.served {
            return Err(Rejection::NotServed {
                product: product.label(),
            });
        }
        if let Some(origin) = origin.filter(|_| self.class.bound) {
            // No other upstream knows the order to be executed.
            choice.order.retain(|upstream| upstream.id() == origin);
        }
        Ok(choice)
    }

    /// The attempt at the next upstream that may be asked, and after how long another is
    /// worthwhile.
    fn next(
        &mut self,
        left: &mut std::slice::Iter<'_, Arc<ApiUpstream>>,
        choice: &ApiChoice,
        hedge: bool,
    ) -> Option<(BoxFuture<'static, ApiAttempt>, Option<Duration>)> {
        if self.started as usize >= MOST || (self.class.bound && self.started > 0) {
            return None;
        }
        let now = Instant::now();
        if now >= self.call.deadline() {
            return None;
        }
        loop {
            let upstream = left.next()?;
            // The last one is asked whatever its breaker says, and so is an only one.
            let forced = self.started == 0 && (left.len() == 0 || choice.order.len() == 1);
            let product = self.route.product;
            let Some(request) = self.call.request_of(self.route, upstream, &self.call.query) else {
                continue;
            };
            let Some(candidate) = upstream.admit(product, now, forced) else {
                // Others may have used the budget up since the choice was made.
                self.limited = self.limited.or(upstream.wait(product, now));
                continue;
            };
            if !self.may_ask(upstream, hedge, now) {
                continue;
            }
            self.started += 1;
            let others = left.len() > 0 && !self.class.bound;
            let hedge_after = self.hedge_after(upstream);
            return Some((
                carry_out(
                    self.call,
                    product,
                    candidate,
                    request,
                    ApiAttemptMode {
                        hedge,
                        others,
                        number: self.started,
                    },
                ),
                hedge_after,
            ));
        }
    }

    /// Whether another upstream may be asked as well. The retry budget protects upstreams that
    /// struggle: a healthy one takes over without it, but hedges are paid for.
    fn may_ask(&self, upstream: &ApiUpstream, hedge: bool, now: Instant) -> bool {
        if self.started == 0 {
            return true;
        }
        // A hold-off may have begun since the choice was made.
        if upstream.is_held_off(self.route.product, now) {
            return false;
        }
        if !hedge && upstream.is_fit(now) {
            return true;
        }
        let (retry, live) = (
            &self.call.snapshot.config.retry,
            &self.call.pipeline.dispatch_state,
        );
        let paid = live
            .budget
            .withdraw(retry.budget, retry.min_per_second, now);
        if !paid {
            live.metrics.budget_exhausted();
        }
        paid
    }

    /// Returns an answer for the caller, or whether another upstream may be asked.
    fn weigh(&mut self, attempted: ApiAttempt) -> Result<ApiAttemptSummary, bool> {
        let ApiAttempt {
            upstream,
            outcome,
            hedge,
        } = attempted;
        let ended = |reply, facts, outcome| ApiAttemptSummary {
            reply,
            upstream,
            facts,
            outcome,
            attempts: 0,
            hedged: hedge,
        };
        match outcome {
            ApiOutcome::Good(reply, facts) => {
                let outcome = match reply.status {
                    ..400 => "ok",
                    _ => "refused",
                };
                Ok(ended(reply, facts, outcome))
            }
            ApiOutcome::Bad(fault, reply, facts) => {
                if let ApiFault::RateLimited(pause) = fault {
                    let pause = pause.unwrap_or(Duration::from_secs(1));
                    self.limited = Some(self.limited.map_or(pause, |known| known.min(pause)));
                }
                let ended = ended(reply, facts, fault.label());
                let better = match &self.fallback {
                    None => true,
                    Some((known, best)) => better(fault, &ended, *known, best),
                };
                if better {
                    self.fallback = Some((fault, ended));
                }
                Err(self.class.replayable || fault.is_refusal())
            }
            ApiOutcome::Broken(fault) => {
                let sent = fault.bytes_sent && !self.class.replayable;
                if self.broken.is_none_or(|known| !known.bytes_sent) {
                    self.broken = Some(fault);
                }
                Err(!sent)
            }
        }
    }

    /// What the caller gets if no upstream has given a good answer.
    fn conclude(&mut self, choice: &ApiChoice) -> Result<ApiAttemptSummary, Rejection> {
        if let Some(broken) = self.broken
            && broken.bytes_sent
            && !self.class.replayable
        {
            return Err(Rejection::AnswerLost);
        }
        let limited = self.limited.into_iter().chain(choice.wait).min();
        // The answer to an execution is worth more than the time to retry.
        let later = limited.filter(|_| self.class.replayable);
        if let Some((fault, ended)) = self.fallback.take() {
            return match (fault, later) {
                (ApiFault::NoRoute | ApiFault::Lagging, _) | (ApiFault::ServerError, None) => {
                    Ok(ended)
                }
                (ApiFault::RateLimited(_), _) => Err(Rejection::RateLimited {
                    retry_after: limited.unwrap_or_default(),
                }),
                (ApiFault::ServerError | ApiFault::Unexpected, Some(retry_after)) => {
                    Err(Rejection::RateLimited { retry_after })
                }
                (ApiFault::Unauthorized | ApiFault::Forbidden | ApiFault::Firewall, _) => {
                    Err(Rejection::ApiKeyRefused)
                }
                (ApiFault::Unexpected, None) => Err(Rejection::ApiUnavailable {
                    reason: "the upstream did not return a valid answer",
                }),
            };
        }
        let none_left = choice.order.is_empty();
        if let Some(retry_after) = limited.filter(|_| self.class.replayable || none_left) {
            return Err(Rejection::RateLimited { retry_after });
        }
        if let Some(broken) = self.broken {
            return Err(Rejection::ApiUnavailable {
                reason: match broken.kind {
                    FaultKind::FirstByteTimeout
                    | FaultKind::TotalTimeout
                    | FaultKind::Stalled
                    | FaultKind::NoTime => "no answer in time",
                    _ => "no answer",
                },
            });
        }
        if choice.refused {
            return Err(Rejection::ApiKeyRefused);
        }
        Err(NONE)
    }

    fn answered(&self, ended: ApiAttemptSummary, choice: &ApiChoice) -> ApiAttemptSummary {
        let usual = choice.usual.as_ref();
        let metrics = &self.call.pipeline.dispatch_state.metrics;
        let to = ended.upstream.id();
        // A faster hedge, or a quote's own upstream, is not a failover.
        let origin = self.origin.as_deref() == Some(to);
        if let Some(usual) = usual.filter(|usual| usual.id() != to)
            && !ended.hedged
            && !origin
        {
            metrics.failover(usual.id(), to);
        }
        ApiAttemptSummary {
            attempts: self.started,
            hedged: self.hedged,
            ..ended
        }
    }

    fn hedge_after(&self, upstream: &ApiUpstream) -> Option<Duration> {
        let hedge = &self.call.snapshot.config.hedge;
        if !hedge.enabled || !self.class.hedged {
            return None;
        }
        let usual = upstream.usual_latency(self.route.product);
        Some(usual.unwrap_or(hedge.metered_after).max(hedge.floor))
    }
}

const NONE: Rejection = Rejection::ApiUnavailable {
    reason: "no upstream is healthy",
};

/// Whether one bad answer is more useful than another.
fn better(
    fault: ApiFault,
    ended: &ApiAttemptSummary,
    known: ApiFault,
    best: &ApiAttemptSummary,
) -> bool {
    let worth = |fault| match fault {
        ApiFault::Lagging => 4,
        ApiFault::NoRoute => 3,
        ApiFault::RateLimited(_) => 2,
        ApiFault::ServerError => 1,
        _ => 0,
    };
    let slot =
        |ended: &ApiAttemptSummary| ended.facts.as_ref().and_then(|facts| facts.context_slot);
    (worth(fault), slot(ended)) > (worth(known), slot(best))
}
