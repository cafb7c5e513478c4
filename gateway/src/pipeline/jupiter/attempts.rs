//! Asks the upstreams: those that a request may go to, after a moment if only a budget is missing. Attempts,
//! hedges and retries are [dispatch](crate::dispatch)'s.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep_until};

use super::ApiCall;
use super::answered::Answered;
use super::reply::Unanswered;
use crate::dispatch::{AttemptSummary, Delivered, Dispatch, JupiterCall, JupiterJudge};
use crate::error::Rejection;
use crate::jupiter::{ApiRoute, Product, RequestClass};
use crate::upstream::{ApiChoice, ApiUpstream};

/// A used-up budget is waited for this long before the client gets an error: few of Jupiter's
/// clients retry by themselves.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// No other upstream knows the order.
const ISSUER_UNKNOWN: Rejection = Rejection::ApiUnavailable {
    reason: "the upstream that issued this order is not configured here; get a new order, or keep an \
             upstream of that id in `jupiter.upstreams` until its orders have been executed",
};

const NO_ANSWER: Rejection = Rejection::ApiUnavailable {
    reason: "no answer",
};

impl ApiCall {
    /// Asks until there is an answer for the caller. `origin`: the upstream that it should stay with.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn attempt(
        &self,
        route: &ApiRoute<'_>,
        origin: Option<Arc<str>>,
    ) -> Result<Answered, Unanswered> {
        let origin = origin.as_deref();
        let choice = self.choice_in_time(route, origin).await?;
        let dispatch = self.dispatch(route, &choice, &self.query);
        let (delivered, summary) = Box::pin(dispatch.run()).await;
        self.count_avoided(&choice, &summary, origin);
        match (delivered, &summary.upstream) {
            (Delivered::Payload(answer), Some(upstream)) => {
                let upstream = Arc::clone(upstream);
                Ok(Answered::of(answer, upstream, &summary, self.tip()))
            }
            (Delivered::Rejected(rejection), _) => Err(Unanswered {
                rejection,
                tried: summary.attempts(),
            }),
            // Every answer is an upstream's.
            (Delivered::Payload(_), None) => Err(NO_ANSWER.into()),
        }
    }

    /// What the upstreams of `choice` are asked.
    pub(super) fn dispatch<'a>(
        &'a self,
        route: &'a ApiRoute<'a>,
        choice: &'a ApiChoice,
        query: &'a str,
    ) -> Dispatch<'a, JupiterCall<'a>> {
        let (snapshot, pipeline) = (&self.snapshot, &self.pipeline);
        // Only what is read of tokens has a form that is known.
        let product = match route.product {
            Product::Tokens if self.method != Method::GET => Product::Other,
            product => product,
        };
        Dispatch {
            operation: JupiterCall {
                choice,
                route,
                method: &self.method,
                query,
                fields: &self.fields,
                body: &self.body,
                consumer: self.affinity,
                unknown_latency: snapshot.config.hedge.metered_after,
                judge: JupiterJudge {
                    product,
                    class: RequestClass::of(&self.method, route),
                    token: self.fields.iter().any(|(name, _)| *name == "authorization"),
                    asked: self.asked,
                    built_for: self.built_for,
                    nodes: Arc::clone(&snapshot.pool),
                    trades: Arc::clone(&pipeline.cache.trades),
                    exclude_lag: snapshot.config.jupiter.health.exclude_lag,
                },
            },
            settings: &snapshot.dispatch,
            state: &pipeline.dispatch_state,
            context: &self.context,
            span: &self.context.span,
            started: self.context.started,
            deadline: self.deadline(),
        }
    }

    /// The upstreams to ask; after a moment, if only a budget is missing.
    async fn choice_in_time(
        &self,
        route: &ApiRoute<'_>,
        origin: Option<&str>,
    ) -> Result<ApiChoice, Rejection> {
        let until = (self.context.started + LONGEST_WAIT).min(self.deadline());
        loop {
            let choice = self.choice(route, origin)?;
            let again = choice.wait.map(|wait| Instant::now() + wait);
            match again {
                Some(again) if choice.order.is_empty() && again < until => sleep_until(again).await,
                _ => return Ok(choice),
            }
        }
    }

    fn choice(&self, route: &ApiRoute<'_>, origin: Option<&str>) -> Result<ApiChoice, Rejection> {
        let (pool, product) = (&self.snapshot.jupiter, route.product);
        let mut choice = pool.choose(route.api, product, self.affinity, origin, Instant::now());
        if !choice.served {
            return Err(Rejection::NotServed {
                product: product.label(),
            });
        }
        let bound = RequestClass::of(&self.method, route).bound;
        if let Some(origin) = origin.filter(|_| bound) {
            if pool.by_id(origin).is_none() {
                return Err(ISSUER_UNKNOWN);
            }
            // No other upstream knows the order to be executed.
            choice.order.retain(|upstream| upstream.id() == origin);
        }
        Ok(choice)
    }

    /// Counts a failover where the usual upstream was not even asked. A faster hedge, or a quote's own
    /// upstream, is none; one after a failed attempt is counted by dispatch.
    fn count_avoided(
        &self,
        choice: &ApiChoice,
        summary: &AttemptSummary<ApiUpstream, ()>,
        origin: Option<&str>,
    ) {
        let (Some(usual), Some(to)) = (&choice.usual, &summary.upstream) else {
            return;
        };
        let moved = usual.id() != to.id() && origin != Some(to.id());
        if moved && !summary.hedged && summary.failed_over_from.is_none() {
            let metrics = &self.pipeline.dispatch_state.metrics;
            metrics.failover(usual.id(), to.id());
        }
    }
}
