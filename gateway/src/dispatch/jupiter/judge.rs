//! What an answer of Jupiter's API means to its attempts, and what its upstream is told of it.
//!
//! Not here: how the meaning of an answer is found ([`crate::jupiter`]), and what follows from it (the
//! [attempts](crate::dispatch::attempts)).

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::cache::PoolTrades;
use crate::dispatch::operation::{Judge, JudgedAttempt};
use crate::jupiter::{ApiFault, AskedSwap, Product, QuoteFacts, RequestClass};
use crate::solana::{Blame, FaultKind, Penalty, Retry, Scope, Verdict};
use crate::upstream::{
    ApiCandidate, ApiFailureReporter, ApiRequest, ApiUpstream, Pool, ReplyBody, ReplyTo,
    TransportFault,
};

/// An answer of an upstream, to be passed on as it is.
#[derive(Debug)]
pub struct JupiterAnswer {
    pub reply: ReplyTo<ApiRequest>,
    /// The facts of a quote.
    pub facts: Option<QuoteFacts>,
    /// What is wrong with it, if it is delivered for want of a better one.
    pub fault: Option<ApiFault>,
}

/// Judges the answers to one request, also when the request itself is over.
#[derive(Clone, Debug)]
pub struct JupiterJudge {
    pub product: Product,
    pub class: RequestClass,
    /// What a quote or an order has to be for.
    pub asked: Option<AskedSwap>,
    /// The nodes by which the age of a quote is measured.
    pub nodes: Arc<Pool>,
    /// The trades that make quotes old.
    pub trades: Arc<PoolTrades>,
    /// A quote that is further behind the cluster is too old.
    pub exclude_lag: u64,
}

impl Judge for JupiterJudge {
    type Chosen = ApiCandidate;
    type Request = ApiRequest;
    type Answer = JupiterAnswer;
    type Freshness = ();

    fn judge(
        &self,
        candidate: &mut ApiCandidate,
        reply: Result<ReplyTo<ApiRequest>, TransportFault>,
    ) -> JudgedAttempt<JupiterAnswer, ()> {
        let now = Instant::now();
        let reply = match reply {
            Err(fault) => {
                candidate.broken(fault.kind, now);
                return JudgedAttempt::Bad {
                    verdict: self.broken(fault),
                    answer: None,
                    page: None,
                };
            }
            Ok(reply) => reply,
        };
        let (fault, facts) = self.read(candidate.upstream(), &reply, now);
        let Some(fault) = fault else {
            candidate.good(now);
            return JudgedAttempt::Good {
                latency: reply.latency,
                answer: JupiterAnswer {
                    reply,
                    facts,
                    fault: None,
                },
                freshness: (),
            };
        };
        candidate.bad(fault, now);
        JudgedAttempt::Bad {
            verdict: self.verdict(fault, facts.as_ref()),
            answer: Some(JupiterAnswer {
                reply,
                facts,
                fault: Some(fault),
            }),
            page: None,
        }
    }

    fn observe_latency(&self, upstream: &ApiUpstream, latency: Duration, quantile: f64) {
        upstream.observe_latency(self.product, latency, quantile);
    }

    /// What one of them refuses says nothing about its other answers.
    fn hold_against(&self, _upstream: &ApiUpstream, _kind: FaultKind) {}

    fn never_answered(&self, witness: &ApiFailureReporter) {
        witness.never_answered(Instant::now());
    }
}

impl JupiterJudge {
    /// What is wrong with an answer, if anything, and the facts of a quote.
    fn read(
        &self,
        upstream: &ApiUpstream,
        reply: &ReplyTo<ApiRequest>,
        now: Instant,
    ) -> (Option<ApiFault>, Option<QuoteFacts>) {
        let fault = upstream.judge(self.product, reply);
        if fault.is_some() || reply.status != 200 {
            return (fault, None);
        }
        match (self.product, &reply.body) {
            (
                Product::Quote,
                ReplyBody::Complete(quote) | ReplyBody::Streaming { head: quote, .. },
            ) => self.read_quote(upstream, quote, now),
            (Product::Order | Product::Build, ReplyBody::Complete(order)) => {
                let asked = self.asked.as_ref();
                let other = asked.is_some_and(|asked| !asked.may_be_answered_by_order(order));
                (other.then_some(ApiFault::WrongQuote), None)
            }
            _ => (None, None),
        }
    }

    fn read_quote(
        &self,
        upstream: &ApiUpstream,
        body: &[u8],
        now: Instant,
    ) -> (Option<ApiFault>, Option<QuoteFacts>) {
        let Some(facts) = QuoteFacts::read(body) else {
            return (Some(ApiFault::Unexpected), None);
        };
        let asked = self.asked.as_ref();
        if asked.is_some_and(|asked| !asked.is_answered_by(&facts)) {
            return (Some(ApiFault::WrongQuote), None);
        }
        let tip = self.tip();
        upstream.quoted(facts.context_slot, tip, now);
        let old = self.lag(&facts).is_some_and(|lag| lag > self.exclude_lag);
        let fault = (old || self.is_traded(&facts, tip)).then_some(ApiFault::Lagging);
        (fault, Some(facts))
    }

    /// The newest slot of the cluster.
    fn tip(&self) -> Option<Slot> {
        self.nodes.slots().map(|view| view.now)
    }

    /// How many slots a quote is behind the cluster.
    fn lag(&self, facts: &QuoteFacts) -> Option<u64> {
        let (slot, tip) = facts.context_slot.zip(self.tip())?;
        Some(slot.lag_behind(tip))
    }

    /// Whether a pool of a quote has traded since, longer ago than the next slot: an upstream that
    /// still quotes the earlier state lags.
    fn is_traded(&self, facts: &QuoteFacts, tip: Option<Slot>) -> bool {
        let (Some(pools), Some(context), Some(tip)) = (&facts.pools, facts.context_slot, tip)
        else {
            return false;
        };
        let before = Slot(tip.0.saturating_sub(1));
        self.trades.traded_between(pools, context, before)
    }

    fn broken(&self, fault: TransportFault) -> Verdict {
        let own = matches!(
            fault.kind,
            FaultKind::Saturated | FaultKind::NoTime | FaultKind::NoDescriptors
        );
        Verdict {
            kind: fault.kind,
            blame: Blame::Upstream,
            retry: self.elsewhere_if(!fault.bytes_sent),
            penalty: if own { Penalty::None } else { Penalty::Failure },
        }
    }

    /// `untouched`: the request was certainly not carried out.
    fn elsewhere_if(&self, untouched: bool) -> Retry {
        if self.class.repeatable || untouched {
            Retry::Elsewhere
        } else {
            Retry::Final
        }
    }

    fn verdict(&self, fault: ApiFault, facts: Option<&QuoteFacts>) -> Verdict {
        let key_refused = Penalty::KeyRefused {
            scope: Scope::Upstream,
            at_least: Duration::ZERO,
        };
        let (kind, blame, penalty) = match fault {
            ApiFault::RateLimited(at_least) => (
                FaultKind::RateLimited,
                Blame::Upstream,
                Penalty::HoldOff {
                    scope: Scope::Upstream,
                    at_least,
                    credits: false,
                },
            ),
            ApiFault::Unauthorized => (FaultKind::Unauthorized, Blame::Upstream, key_refused),
            ApiFault::Forbidden => (FaultKind::Forbidden, Blame::Upstream, key_refused),
            ApiFault::Firewall => (FaultKind::Challenge, Blame::Upstream, key_refused),
            ApiFault::ServerError => (FaultKind::ServerError, Blame::Upstream, Penalty::Failure),
            ApiFault::Unexpected => (
                FaultKind::UnexpectedAnswer,
                Blame::Upstream,
                Penalty::Failure,
            ),
            ApiFault::WrongQuote => (FaultKind::WrongQuote, Blame::Upstream, Penalty::Failure),
            ApiFault::NoRoute => (FaultKind::NoRoute, Blame::Client, Penalty::None),
            ApiFault::Lagging => (
                FaultKind::BehindTip,
                Blame::Upstream,
                Penalty::Lagging {
                    slots: facts.and_then(|facts| self.lag(facts)),
                },
            ),
        };
        Verdict {
            kind,
            blame,
            retry: self.elsewhere_if(fault.is_refusal()),
            penalty,
        }
    }
}
