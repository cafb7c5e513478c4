//! A request of Jupiter's API as an operation of dispatch: how it is written, what an answer to it means,
//! and who may be asked.

mod judge;
mod single;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perijove_core::Slot;

pub use judge::{JupiterAnswer, JupiterJudge};
pub use single::{SingleAttempt, SingleResult};

use super::attempts::{Attempts, AttemptsOutcome};
use super::operation::{AnswerRank, Demands, Judge, JudgedAttempt, NoAnswer, Operation};
use super::{AttemptSummary, Delivered, Dispatch};
use crate::error::Rejection;
use crate::jupiter::ApiRoute;
use crate::limit::PermitRequest;
use crate::solana::{FaultKind, Idempotency, Penalty, Verdict};
use crate::upstream::{
    ApiCandidate, ApiChoice, ApiChoices, ApiFailureReporter, ApiRequest, ApiUpstream, ReplyTo,
    TransportFault, priority,
};

/// Maximum number of upstreams asked for one request, before one is asked again.
const MOST: u32 = 4;

/// One request to be answered.
#[derive(Clone, Debug)]
pub struct JupiterCall<'a> {
    pub choice: &'a ApiChoice,
    pub route: &'a ApiRoute<'a>,
    pub method: &'a Method,
    pub query: &'a str,
    pub fields: &'a [(&'static str, Bytes)],
    pub body: &'a Bytes,
    /// Equal for all requests of a consumer: whose turn it is where connections are short.
    pub consumer: u64,
    /// A hedge is sent after this long where the usual latency is not known yet.
    pub unknown_latency: Duration,
    pub judge: JupiterJudge,
}

impl Dispatch<'_, JupiterCall<'_>> {
    /// Has the request answered by upstreams. Dropping the future cancels the attempts in flight, but for
    /// what was sent and changes something.
    pub async fn run(&self) -> (Delivered<JupiterAnswer>, AttemptSummary<ApiUpstream, ()>) {
        let AttemptsOutcome {
            delivered, summary, ..
        } = Attempts::new(self).run().await;
        (delivered, summary)
    }
}

impl Judge for JupiterCall<'_> {
    type Chosen = ApiCandidate;
    type Request = ApiRequest;
    type Answer = JupiterAnswer;
    type Freshness = ();

    fn judge(
        &self,
        candidate: &mut ApiCandidate,
        reply: Result<ReplyTo<ApiRequest>, TransportFault>,
    ) -> JudgedAttempt<JupiterAnswer, ()> {
        self.judge.judge(candidate, reply)
    }

    fn observe_latency(&self, upstream: &ApiUpstream, latency: Duration, quantile: f64) {
        self.judge.observe_latency(upstream, latency, quantile);
    }

    fn hold_against(&self, upstream: &ApiUpstream, kind: FaultKind) {
        self.judge.hold_against(upstream, kind);
    }

    fn defeated(&self, upstream: &ApiUpstream) {
        self.judge.defeated(upstream);
    }

    fn failed_late(&self, upstream: &ApiUpstream, verdict: &Verdict) {
        self.judge.failed_late(upstream, verdict);
    }

    fn never_answered(&self, witness: &ApiFailureReporter, served: bool) {
        self.judge.never_answered(witness, served);
    }
}

impl<'a> Operation for JupiterCall<'a> {
    type Detached = JupiterJudge;
    type Choices = ApiChoices<'a>;
    type Notes = ();

    fn detach(&self) -> JupiterJudge {
        self.judge.clone()
    }

    fn demands(&self) -> Demands {
        let class = self.judge.class;
        Demands {
            idempotency: if class.repeatable {
                Idempotency::Read
            } else {
                Idempotency::Unknown
            },
            heavy: class.heavy,
            may_hedge: class.hedged,
            counted: false,
            hedges_cost: true,
            ask: PermitRequest {
                priority: priority(self.judge.product),
                consumer: self.consumer,
                weight: 1,
                heavy: false,
            },
        }
    }

    /// What changes something.
    fn outlives_its_caller(&self) -> bool {
        !self.judge.class.repeatable
    }

    fn verb(&self) -> &str {
        self.method.as_str()
    }

    fn request(&self, to: &ApiUpstream) -> ApiRequest {
        let fields = self.fields.iter();
        let fields = fields.filter(|(name, _)| to.passes_on(name)).cloned();
        ApiRequest {
            method: self.method.clone(),
            // Whoever does not serve this part of the API is not among the choices.
            target: to.target(self.route, self.query).unwrap_or_default(),
            fields: fields.collect(),
            body: self.body.clone(),
        }
    }

    fn candidates(&self) -> ApiChoices<'a> {
        let most = if self.judge.class.bound { 1 } else { MOST };
        ApiChoices::new(self.choice, self.judge.product, most)
    }

    /// That of the first that is asked: a consumer stays with it, and others may be much further away.
    fn usual_latency(&self) -> Option<(Duration, bool)> {
        let first = self.choice.order.first()?;
        let usual = first.usual_latency(self.judge.product);
        Some((usual.unwrap_or(self.unknown_latency), true))
    }

    fn nobody(&self) -> Rejection {
        unavailable("no upstream is healthy")
    }

    fn rejection(&self, cause: NoAnswer) -> Rejection {
        match cause {
            NoAnswer::OutcomeUnknown(_) => Rejection::AnswerLost,
            NoAnswer::RateLimited(retry_after) | NoAnswer::Unpaid(retry_after) => {
                Rejection::RateLimited { retry_after }
            }
            NoAnswer::KeyRefused => Rejection::ApiKeyRefused,
            NoAnswer::Nobody => self.nobody(),
            NoAnswer::Saturated => unavailable("all connections to its upstreams are in use"),
            NoAnswer::Failed(
                FaultKind::UnexpectedAnswer | FaultKind::UnexpectedStatus | FaultKind::WrongQuote,
            ) => unavailable("the upstream did not return a valid answer"),
            NoAnswer::Failed(kind) if kind.is_timeout() || kind == FaultKind::NoTime => {
                unavailable("no answer in time")
            }
            NoAnswer::Failed(_) => unavailable("no answer"),
        }
    }

    fn accuses(&self, verdict: &Verdict, _reached: Option<Slot>) -> bool {
        judge::is_accused(verdict)
    }

    /// An old quote is better than none, then a reason why there is none. The text of a server that
    /// failed is worth less than being told when to come again, unless the request may have been carried
    /// out.
    fn rank(&self, verdict: &Verdict) -> Option<AnswerRank> {
        match (verdict.kind, verdict.penalty) {
            (FaultKind::BehindTip, Penalty::Lagging { slots }) => {
                let newness = slots.map_or(0, |slots| u64::MAX - slots);
                Some(AnswerRank::Old(newness))
            }
            // A refusal of a part that is passed through is the caller's own business ([`JupiterJudge`]).
            (FaultKind::NoRoute, _)
            | (
                FaultKind::Unauthorized | FaultKind::Forbidden | FaultKind::Challenge,
                Penalty::None,
            ) => Some(AnswerRank::OfClient),
            (FaultKind::ServerError, _) if self.judge.class.repeatable => {
                Some(AnswerRank::BelowRateLimit)
            }
            (FaultKind::ServerError, _) => Some(AnswerRank::OfUpstream),
            _ => None,
        }
    }
}

fn unavailable(reason: &'static str) -> Rejection {
    Rejection::ApiUnavailable { reason }
}
