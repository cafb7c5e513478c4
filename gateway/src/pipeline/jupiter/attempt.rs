//! One attempt at one upstream: sent, judged, and reported to its upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Method;
use perijove_core::Slot;
use tokio::time::Instant;
use tracing::Span;

use super::ApiCall;
use super::reply::{ApiContent, ApiResponse};
use crate::jupiter::{ApiFault, Product, QuoteFacts};
use crate::limit::PermitRequest;
use crate::pipeline::Pipeline;
use crate::snapshot::Snapshot;
use crate::trace::span::{self, SpanAttempt, SpanPeer};
use crate::upstream::{
    ApiCandidate, ApiRequest, ApiUpstream, AttemptLimits, ReplyBody, ReplyTo, TransportFault,
    priority,
};

/// If another upstream could answer, a connection is waited for at most this long.
const QUEUE: Duration = Duration::from_millis(100);

/// An answer of an upstream.
pub(super) type ApiReply = ReplyTo<ApiRequest>;

/// How an answer came about.
#[derive(Debug)]
pub(super) struct ApiAttemptSummary {
    pub(super) reply: ApiReply,
    pub(super) upstream: Arc<ApiUpstream>,
    /// The facts of a quote.
    pub(super) facts: Option<QuoteFacts>,
    pub(super) outcome: &'static str,
    pub(super) attempts: u32,
    pub(super) hedged: bool,
}

impl ApiAttemptSummary {
    /// The body, if it is complete.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match &self.reply.body {
            ReplyBody::Complete(body) => Some(body),
            ReplyBody::Streaming { .. } => None,
        }
    }

    pub(super) fn into_response(self, product: Product) -> ApiResponse {
        let notes = fee_note(Some(&self.upstream));
        ApiResponse {
            status: self.reply.status,
            fields: self.reply.fields,
            content: match self.reply.body {
                ReplyBody::Complete(body) => ApiContent::Whole(body),
                ReplyBody::Streaming { head, rest, .. } => {
                    ApiContent::Streaming { first: head, rest }
                }
            },
            product,
            outcome: self.outcome,
            upstream: Some(Arc::clone(self.upstream.name())),
            cache: None,
            attempts: self.attempts,
            hedged: self.hedged,
            upstream_latency: Some(self.reply.latency),
            slots_behind: None,
            notes,
        }
    }
}

/// The fee that an upstream adds, if any.
pub(super) fn fee_note(upstream: Option<&Arc<ApiUpstream>>) -> Vec<(&'static str, Bytes)> {
    let fee = upstream.map_or(0, |upstream| upstream.settings().platform_fee_bps);
    let note = (fee > 0).then(|| ("x-perijove-fee-bps", fee.to_string().into()));
    note.into_iter().collect()
}

/// How one attempt ended.
pub(super) enum ApiOutcome {
    Good(ApiReply, Option<QuoteFacts>),
    Bad(ApiFault, ApiReply, Option<QuoteFacts>),
    Broken(TransportFault),
}

pub(super) struct ApiAttempt {
    pub(super) upstream: Arc<ApiUpstream>,
    pub(super) outcome: ApiOutcome,
    pub(super) hedge: bool,
}

impl ApiAttempt {
    /// The answer, if it is a good one.
    pub(super) fn good(self) -> Option<ApiAttemptSummary> {
        match self.outcome {
            ApiOutcome::Good(reply, facts) if reply.status < 300 => Some(ApiAttemptSummary {
                reply,
                upstream: self.upstream,
                facts,
                outcome: "ok",
                attempts: 1,
                hedged: self.hedge,
            }),
            _ => None,
        }
    }
}

/// How an attempt differs from others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ApiAttemptMode {
    pub(super) hedge: bool,
    /// Another upstream could answer instead.
    pub(super) others: bool,
    /// Its place among the attempts, from 1.
    pub(super) number: u32,
}

/// Carries out one attempt, judges it and reports the result to the upstream.
pub(super) fn carry_out(
    call: &ApiCall,
    product: Product,
    mut candidate: ApiCandidate,
    request: ApiRequest,
    ApiAttemptMode {
        hedge,
        others,
        number,
    }: ApiAttemptMode,
) -> BoxFuture<'static, ApiAttempt> {
    let upstream = Arc::clone(candidate.upstream());
    let span = span_of(call, &upstream, (number, hedge));
    let limits = limits(call, product, &upstream, (others, &span));
    let quantile = call.snapshot.config.hedge.quantile;
    let judge = AnswerJudge {
        pipeline: Arc::clone(&call.pipeline),
        snapshot: Arc::clone(&call.snapshot),
        product,
    };
    Box::pin(async move {
        let reply = candidate.call(&request, &limits).await;
        let now = Instant::now();
        let outcome = match reply {
            Err(fault) => {
                candidate.broken(fault.kind, now);
                span::ended(&span, None, Some(fault.kind.label()));
                ApiOutcome::Broken(fault)
            }
            Ok(reply) => match judge.judged(&upstream, &reply) {
                (None, facts) => {
                    span::ended(&span, Some(reply.status), None);
                    candidate.good(now);
                    upstream.observe_latency(product, reply.latency, quantile);
                    ApiOutcome::Good(reply, facts)
                }
                (Some(fault), facts) => {
                    candidate.bad(fault, now);
                    span::ended(&span, Some(reply.status), Some(fault.label()));
                    ApiOutcome::Bad(fault, reply, facts)
                }
            },
        };
        ApiAttempt {
            upstream,
            outcome,
            hedge,
        }
    })
}

fn limits(
    call: &ApiCall,
    product: Product,
    upstream: &ApiUpstream,
    (others, span): (bool, &Span),
) -> AttemptLimits {
    let class = ApiCallClass::of(&call.method, product);
    let timeouts = &upstream.settings().timeouts;
    let deadline = call.deadline();
    let first_byte = if class.heavy {
        timeouts.first_byte_heavy
    } else {
        timeouts.first_byte
    };
    AttemptLimits {
        deadline,
        queue: if others {
            Instant::now() + QUEUE
        } else {
            deadline
        },
        first_byte,
        progress: timeouts.progress.max(first_byte),
        answer_buffer: call.snapshot.config.limits.answer_buffer,
        replayable: class.replayable,
        ask: PermitRequest {
            priority: priority(product),
            consumer: call.affinity,
            weight: 1,
            heavy: false,
        },
        headers: call
            .context
            .correlation(upstream.settings().propagate, span),
    }
}

fn span_of(call: &ApiCall, upstream: &ApiUpstream, (number, hedge): (u32, bool)) -> Span {
    let url = &upstream.settings().url;
    let attempt = SpanAttempt {
        peer: SpanPeer {
            upstream: upstream.name(),
            host: url.host(),
            port: url.port(),
        },
        verb: call.method.as_str(),
        number,
        hedge,
    };
    span::attempt(&call.context.span, attempt, None)
}

/// What decides whether a request may be sent again.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiCallClass {
    /// It may be executed twice.
    pub(super) replayable: bool,
    /// Only one upstream can serve it.
    pub(super) bound: bool,
    /// Slow by nature.
    pub(super) heavy: bool,
    pub(super) hedged: bool,
}

impl ApiCallClass {
    pub(super) fn of(method: &Method, product: Product) -> Self {
        let reads = method == Method::GET;
        // Both only build a transaction from their body.
        let builds = matches!(product, Product::Swap | Product::SwapInstructions);
        Self {
            replayable: reads || builds,
            bound: product == Product::Execute,
            heavy: matches!(
                product,
                Product::Execute | Product::Order | Product::Build | Product::Other
            ),
            hedged: reads
                && matches!(
                    product,
                    Product::Quote | Product::Price | Product::Tokens | Product::Labels
                ),
        }
    }
}

/// What is needed to judge an answer, also when the request that it was for has been answered.
struct AnswerJudge {
    pipeline: Arc<Pipeline>,
    snapshot: Arc<Snapshot>,
    product: Product,
}

impl AnswerJudge {
    /// Judges an answer, and parses a quote.
    fn judged(
        &self,
        upstream: &ApiUpstream,
        reply: &ApiReply,
    ) -> (Option<ApiFault>, Option<QuoteFacts>) {
        let fault = upstream.judge(self.product, reply);
        let is_quote = self.product == Product::Quote && reply.status == 200;
        if fault.is_some() || !is_quote {
            return (fault, None);
        }
        let body = match &reply.body {
            ReplyBody::Complete(body) => body,
            ReplyBody::Streaming { head, .. } => head,
        };
        let Some(facts) = QuoteFacts::read(body) else {
            return (Some(ApiFault::Unexpected), None);
        };
        let tip = self.snapshot.pool.slots().map(|view| view.now);
        upstream.quoted(facts.context_slot, tip, Instant::now());
        let lag = facts.context_slot.zip(tip);
        let lag = lag.map(|(slot, tip)| slot.lag_behind(tip));
        let settings = &self.snapshot.config.jupiter;
        let old = lag.is_some_and(|lag| lag > settings.health.exclude_lag);
        let fault = (old || self.is_traded(&facts, tip)).then_some(ApiFault::Lagging);
        (fault, Some(facts))
    }

    /// Whether a pool of a quote has traded since, longer ago than the next slot: an upstream that
    /// still quotes the earlier state lags.
    fn is_traded(&self, facts: &QuoteFacts, tip: Option<Slot>) -> bool {
        let (Some(pools), Some(context), Some(tip)) = (&facts.pools, facts.context_slot, tip)
        else {
            return false;
        };
        let trades = &self.pipeline.cache.trades;
        trades.traded_between(pools, context, Slot(tip.0.saturating_sub(1)))
    }
}

/// Lets attempts finish that nobody waits for any more, each within its own time limits: their
/// connections can be used again, and an upstream that never answers in time is noticed though it loses
/// every race.
pub(super) fn leave_behind<T: Send + 'static>(
    losers: impl IntoIterator<Item = BoxFuture<'static, T>>,
) {
    for loser in losers {
        drop(tokio::spawn(loser));
    }
}
