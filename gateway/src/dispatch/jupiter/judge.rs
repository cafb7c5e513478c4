//! What an answer of Jupiter's API means to its attempts, and what its upstream is told of it.
//!
//! Whose fault a bad answer is, is known by comparison: what another upstream then serves is held against
//! the one that did not, and what all refuse or fail alike is the request's, so that no caller takes
//! upstreams away from others. Nor is a key in doubt for what one caller's request brings about: the
//! canary decides.
//!
//! Not here: how the meaning of an answer is found ([`crate::jupiter`]), and what follows from it (the
//! [attempts](crate::dispatch::attempts)).

use std::sync::Arc;
use std::time::Duration;

use perijove_core::Slot;
use tokio::time::Instant;

use crate::cache::PoolTrades;
use crate::dispatch::operation::{Judge, JudgedAttempt};
use crate::error::{RefusedPage, TEXT};
use crate::jupiter::{ApiFault, AskedSwap, AskedTransaction, Product, QuoteFacts, RequestClass};
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
    /// A token of the caller's goes with it. It is shown to one upstream only, whose 401 or 403 is the
    /// caller's.
    pub token: bool,
    /// What a quote or an order has to be for.
    pub asked: Option<AskedSwap>,
    /// What a transaction has to be for.
    pub built_for: Option<AskedTransaction>,
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
                candidate.broken(fault.kind, fault.bytes_sent, now);
                if fault.bytes_sent && !self.class.repeatable {
                    // Nobody else is asked, and so nothing is known of it.
                    candidate.upstream().look_soon();
                }
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
        let upstream = candidate.upstream();
        let callers = self.is_the_callers(fault);
        if fault.is_about_the_key() && !callers {
            upstream.doubt(self.product, fault, now);
        }
        let shown = self.token && upstream.passes_on("authorization");
        JudgedAttempt::Bad {
            page: page_of(fault, &reply),
            verdict: self.verdict(fault, facts.as_ref(), shown),
            answer: Some(JupiterAnswer {
                reply,
                facts,
                fault: (!callers).then_some(fault),
            }),
        }
    }

    fn observe_latency(&self, upstream: &ApiUpstream, latency: Duration, quantile: f64) {
        upstream.observe_latency(self.product, latency, quantile);
    }

    fn hold_against(&self, upstream: &ApiUpstream, kind: FaultKind) {
        let now = Instant::now();
        match kind {
            FaultKind::Unauthorized => upstream.doubt(self.product, ApiFault::Unauthorized, now),
            FaultKind::Challenge => upstream.doubt(self.product, ApiFault::Firewall, now),
            _ => upstream.failed_alone(now),
        }
    }

    /// It may be slow only at this.
    fn defeated(&self, _upstream: &ApiUpstream) {}

    fn failed_late(&self, upstream: &ApiUpstream, verdict: &Verdict) {
        if is_accused(verdict) {
            self.hold_against(upstream, verdict.kind);
        }
    }

    fn never_answered(&self, witness: &ApiFailureReporter, served: bool) {
        witness.never_answered(served, Instant::now());
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
                let wrong = other || self.is_built_wrongly(order);
                (wrong.then_some(ApiFault::WrongQuote), None)
            }
            (Product::Swap | Product::SwapInstructions, ReplyBody::Complete(built)) => {
                let wrong = self.is_built_wrongly(built);
                (wrong.then_some(ApiFault::WrongQuote), None)
            }
            _ => (None, None),
        }
    }

    /// Whether a transaction cannot be the one that was asked for.
    fn is_built_wrongly(&self, built: &[u8]) -> bool {
        let height = self.nodes.block_height();
        let asked = self.built_for;
        asked.is_some_and(|asked| !asked.may_be_answered_by(built, height))
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

    /// Whether an answer with this fault is for the caller, as it came: parts of the API that are passed
    /// through may ask for a token of the caller's.
    fn is_the_callers(&self, fault: ApiFault) -> bool {
        let refused = fault.is_about_the_key() || fault == ApiFault::Forbidden;
        refused && self.product == Product::Other
    }

    /// `shown`: the upstream was shown a token of the caller's.
    fn verdict(&self, fault: ApiFault, facts: Option<&QuoteFacts>, shown: bool) -> Verdict {
        let callers = self.is_the_callers(fault);
        let key_refused = if callers {
            Penalty::None
        } else {
            Penalty::KeyRefused {
                scope: Scope::Upstream,
                at_least: Duration::ZERO,
            }
        };
        let refusing = if callers {
            Blame::Client
        } else {
            Blame::Upstream
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
            ApiFault::Unauthorized => (FaultKind::Unauthorized, refusing, key_refused),
            ApiFault::Forbidden => (FaultKind::Forbidden, refusing, key_refused),
            ApiFault::Firewall => (FaultKind::Challenge, refusing, key_refused),
            ApiFault::ServerError => (FaultKind::ServerError, Blame::Upstream, Penalty::Failure),
            ApiFault::Unexpected => (
                FaultKind::UnexpectedAnswer,
                Blame::Upstream,
                Penalty::Failure,
            ),
            ApiFault::Page => (
                FaultKind::UnexpectedStatus,
                Blame::Upstream,
                Penalty::Refusal,
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
            retry: if shown {
                Retry::Final
            } else {
                self.elsewhere_if(fault.is_refusal())
            },
            penalty,
        }
    }
}

/// Whether it counts against an upstream that another serves the request.
pub(super) fn is_accused(verdict: &Verdict) -> bool {
    matches!(verdict.penalty, Penalty::Failure | Penalty::Refusal)
        || matches!(verdict.kind, FaultKind::Unauthorized | FaultKind::Challenge)
}

/// What the caller gets if all upstreams refuse with a page.
fn page_of(fault: ApiFault, reply: &ReplyTo<ApiRequest>) -> Option<RefusedPage> {
    let body = match &reply.body {
        ReplyBody::Complete(body) => body,
        ReplyBody::Streaming { head, .. } => head,
    };
    (fault == ApiFault::Page).then(|| RefusedPage {
        status: reply.status,
        content_type: reply.hints.content_type.unwrap_or(TEXT),
        body: body.clone(),
    })
}
