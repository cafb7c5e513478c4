//! The attempts at one request: the best upstream first, the next where an answer does not come or is
//! not the caller's, and a second at the same time where the first is slow. What may change something
//! is sent once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::Method;
use perijove_core::Slot;
use tokio::time::{Instant, sleep};

use super::ApiCall;
use super::reply::{ApiContent, ApiResponse};
use crate::error::Rejection;
use crate::jupiter::{self, Fault, Product, QuoteFacts, Route, Seen};
use crate::limit::Ask;
use crate::solana::{FaultKind, Priority};
use crate::upstream::{
    ApiBody, ApiLimits, ApiReply, ApiRequest, ApiUpstream, Choice, Ticket, TransportFault,
};

/// Upstreams that are asked for one request, at most.
const MOST: usize = 4;

/// How an answer came about.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) reply: ApiReply,
    pub(super) upstream: Arc<ApiUpstream>,
    /// What a quote says of itself.
    pub(super) facts: Option<QuoteFacts>,
    pub(super) outcome: &'static str,
    attempts: u32,
    hedged: bool,
}

impl Ended {
    /// The body, if it is there as a whole.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match &self.reply.body {
            ApiBody::Whole(body) => Some(body),
            ApiBody::Streaming { .. } => None,
        }
    }

    pub(super) fn into_response(self, product: Product) -> ApiResponse {
        let notes = fee_note(Some(&self.upstream));
        ApiResponse {
            status: self.reply.status,
            fields: self.reply.fields,
            content: match self.reply.body {
                ApiBody::Whole(body) => ApiContent::Whole(body),
                ApiBody::Streaming { first, rest } => ApiContent::Streaming { first, rest },
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

/// What an upstream adds to prices, where that is anything.
pub(super) fn fee_note(upstream: Option<&Arc<ApiUpstream>>) -> Vec<(&'static str, Bytes)> {
    let fee = upstream.map_or(0, |upstream| upstream.settings().platform_fee_bps);
    let note = (fee > 0).then(|| ("x-perijove-fee-bps", fee.to_string().into()));
    note.into_iter().collect()
}

/// How one attempt ended.
enum Outcome {
    Good(ApiReply, Option<QuoteFacts>),
    Bad(Fault, ApiReply, Option<QuoteFacts>),
    Broken(TransportFault),
}

pub(super) struct Attempted {
    upstream: Arc<ApiUpstream>,
    outcome: Outcome,
    hedge: bool,
}

impl Attempted {
    /// The answer, if it is a good one.
    pub(super) fn good(self) -> Option<Ended> {
        match self.outcome {
            Outcome::Good(reply, facts) if reply.status < 300 => Some(Ended {
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

/// One attempt, judged and told to its upstream.
pub(super) fn carry_out(
    call: &ApiCall,
    product: Product,
    ticket: Ticket,
    request: ApiRequest,
    hedge: bool,
) -> BoxFuture<'_, Attempted> {
    let class = Class::of(&call.method, product);
    let upstream = Arc::clone(ticket.upstream());
    let timeouts = &upstream.settings().timeouts;
    let first_byte = if class.heavy {
        timeouts.first_byte_heavy
    } else {
        timeouts.first_byte
    };
    let limits = ApiLimits {
        deadline: call.deadline(),
        first_byte,
        answer_buffer: call.snapshot.config.limits.answer_buffer,
        replayable: class.replayable,
        ask: Ask {
            priority: priority(product),
            consumer: call.affinity,
            heavy: false,
        },
    };
    let quantile = call.snapshot.config.hedge.quantile;
    Box::pin(async move {
        let reply = upstream.call(&request, &limits).await;
        let now = Instant::now();
        let outcome = match reply {
            Err(fault) => {
                ticket.broken(product, fault, now);
                Outcome::Broken(fault)
            }
            Ok(reply) => match judged(call, product, &upstream, &reply) {
                (None, facts) => {
                    ticket.good(product, reply.latency, quantile, now);
                    Outcome::Good(reply, facts)
                }
                (Some(fault), facts) => {
                    ticket.bad(product, fault, now);
                    Outcome::Bad(fault, reply, facts)
                }
            },
        };
        Attempted {
            upstream,
            outcome,
            hedge,
        }
    })
}

pub(super) struct Attempts<'c> {
    call: &'c ApiCall,
    route: &'c Route<'c>,
    origin: Option<Arc<str>>,
    class: Class,
    started: u32,
    hedged: bool,
    /// The least bad answer so far.
    fallback: Option<(Fault, Ended)>,
    broken: Option<TransportFault>,
    limited: Option<Duration>,
}

/// What decides how a request may be repeated.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
#[derive(Clone, Copy, Debug)]
struct Class {
    /// The upstream may see it twice.
    replayable: bool,
    /// It belongs to one upstream.
    bound: bool,
    /// Slow by nature.
    heavy: bool,
    hedged: bool,
}

impl Class {
    fn of(method: &Method, product: Product) -> Self {
        let reads = method == Method::GET;
        // Both only build a transaction from what stands in their body.
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

impl<'c> Attempts<'c> {
    pub(super) fn new(call: &'c ApiCall, route: &'c Route<'c>, origin: Option<Arc<str>>) -> Self {
        Self {
            class: Class::of(&call.method, route.product),
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

    /// Asks until there is an answer that is the caller's.
    ///
    /// # Errors
    /// There is none.
    pub(super) async fn run(mut self) -> Result<Ended, Rejection> {
        let choice = self.choice()?;
        let mut left = choice.order.iter();
        let mut running: FuturesUnordered<BoxFuture<'c, Attempted>> = FuturesUnordered::new();
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
                Ok(ended) => return Ok(self.answered(ended, &choice)),
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

    fn choice(&self) -> Result<Choice, Rejection> {
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
            // Nobody else knows what is to be executed.
            choice.order.retain(|upstream| upstream.id() == origin);
        }
        Ok(choice)
    }

    /// The attempt at the next upstream that may be asked, and after how long another is worth it.
    fn next(
        &mut self,
        left: &mut std::slice::Iter<'_, Arc<ApiUpstream>>,
        choice: &Choice,
        hedge: bool,
    ) -> Option<(BoxFuture<'c, Attempted>, Option<Duration>)> {
        if self.started as usize >= MOST || (self.class.bound && self.started > 0) {
            return None;
        }
        let now = Instant::now();
        if now >= self.call.deadline() {
            return None;
        }
        loop {
            let upstream = left.next()?;
            // The last one is asked whatever its breaker says, and so is the only one.
            let forced = self.started == 0 && (left.len() == 0 || choice.order.len() == 1);
            let Some(ticket) = upstream.admit(now, forced) else {
                continue;
            };
            let Some(request) = self.call.request_of(self.route, upstream, &self.call.query) else {
                continue;
            };
            self.started += 1;
            let hedge_after = self.hedge_after(upstream);
            return Some((
                carry_out(self.call, self.route.product, ticket, request, hedge),
                hedge_after,
            ));
        }
    }

    /// An answer for the caller, or whether another upstream may be asked.
    fn weigh(&mut self, attempted: Attempted) -> Result<Ended, bool> {
        let Attempted {
            upstream,
            outcome,
            hedge,
        } = attempted;
        let ended = |reply, facts, outcome| Ended {
            reply,
            upstream,
            facts,
            outcome,
            attempts: 0,
            hedged: hedge,
        };
        match outcome {
            Outcome::Good(reply, facts) => {
                let outcome = match reply.status {
                    ..400 => "ok",
                    _ => "refused",
                };
                Ok(ended(reply, facts, outcome))
            }
            Outcome::Bad(fault, reply, facts) => {
                if let Fault::RateLimited(pause) = fault {
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
            Outcome::Broken(fault) => {
                let sent = fault.bytes_sent && !self.class.replayable;
                if self.broken.is_none_or(|known| !known.bytes_sent) {
                    self.broken = Some(fault);
                }
                Err(!sent)
            }
        }
    }

    /// What the caller is told when no upstream has given a good answer.
    fn conclude(&mut self, choice: &Choice) -> Result<Ended, Rejection> {
        if let Some(broken) = self.broken
            && broken.bytes_sent
            && !self.class.replayable
        {
            return Err(Rejection::AnswerLost);
        }
        if let Some((fault, ended)) = self.fallback.take() {
            return match fault {
                Fault::NoRoute | Fault::ServerError | Fault::Lagging => Ok(ended),
                Fault::RateLimited(_) => Err(Rejection::RateLimited {
                    retry_after: self.limited.unwrap_or_default(),
                }),
                Fault::Unauthorized | Fault::Forbidden | Fault::Firewall => {
                    Err(Rejection::ApiKeyRefused)
                }
                Fault::Unexpected => Err(Rejection::ApiUnavailable {
                    reason: "the upstream gave something else than an answer",
                }),
            };
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
        match choice.wait {
            Some(retry_after) if choice.order.is_empty() => {
                Err(Rejection::RateLimited { retry_after })
            }
            _ => Err(NONE),
        }
    }

    fn answered(&self, ended: Ended, choice: &Choice) -> Ended {
        let usual = choice.usual.as_ref();
        let metrics = &self.call.pipeline.live.metrics;
        let to = ended.upstream.id();
        // A hedge that was faster, or a quote's own upstream, is no failover.
        let origin = self.origin.as_deref() == Some(to);
        if let Some(usual) = usual.filter(|usual| usual.id() != to)
            && !ended.hedged
            && !origin
        {
            metrics.failover(usual.id(), to);
        }
        Ended {
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
        let usual = usual.unwrap_or(hedge.metered_after).max(hedge.floor);
        // The second one is likely to cost credits.
        Some(usual.max(hedge.floor))
    }
}

/// Who goes first where connections are short: trades before what leads to them.
fn priority(product: Product) -> Priority {
    match product {
        Product::Execute => Priority::Critical,
        Product::Swap | Product::SwapInstructions | Product::Order | Product::Build => {
            Priority::High
        }
        _ => Priority::Medium,
    }
}

const NONE: Rejection = Rejection::ApiUnavailable {
    reason: "no upstream is fit",
};

/// Says what is wrong with an answer, and reads a quote.
fn judged(
    call: &ApiCall,
    product: Product,
    upstream: &ApiUpstream,
    reply: &ApiReply,
) -> (Option<Fault>, Option<QuoteFacts>) {
    let body = match &reply.body {
        ApiBody::Whole(body) => body,
        ApiBody::Streaming { first, .. } => first,
    };
    let seen = Seen {
        product,
        status: reply.status,
        is_json: reply.hints.content_type_json,
        challenge: reply.hints.challenge,
        reset_unix: reply.hints.ratelimit_reset_unix,
        retry_after: reply.hints.retry_after,
        body,
    };
    let fault = jupiter::judge(&seen, upstream.unix_now());
    let is_quote = product == Product::Quote && reply.status == 200;
    if fault.is_some() || !is_quote {
        return (fault, None);
    }
    let Some(facts) = QuoteFacts::read(body) else {
        return (Some(Fault::Unexpected), None);
    };
    let tip = call.snapshot.pool.slots().map(|view| view.now);
    upstream.quoted(facts.context_slot, tip, Instant::now());
    let lag = facts.context_slot.zip(tip);
    let lag = lag.map(|(slot, tip)| slot.lag_behind(tip));
    let settings = &call.snapshot.config.jupiter;
    let old = lag.is_some_and(|lag| lag > settings.health.exclude_lag);
    let fault = (old || is_traded(call, &facts, tip)).then_some(Fault::Lagging);
    (fault, Some(facts))
}

/// Whether a pool of a quote has traded since, longer ago than the next slot: whoever still quotes from
/// before is behind.
fn is_traded(call: &ApiCall, facts: &QuoteFacts, tip: Option<Slot>) -> bool {
    let (Some(pools), Some(context), Some(tip)) = (&facts.pools, facts.context_slot, tip) else {
        return false;
    };
    let trades = &call.pipeline.cache.trades;
    let traded = trades.last(pools).filter(|traded| *traded > context);
    traded.is_some_and(|traded| tip.0 > traded.0.saturating_add(1))
}

/// Whether one bad answer is worth more than another.
fn better(fault: Fault, ended: &Ended, known: Fault, best: &Ended) -> bool {
    let worth = |fault| match fault {
        Fault::Lagging => 4,
        Fault::NoRoute => 3,
        Fault::RateLimited(_) => 2,
        Fault::ServerError => 1,
        _ => 0,
    };
    let slot = |ended: &Ended| ended.facts.as_ref().and_then(|facts| facts.context_slot);
    (worth(fault), slot(ended)) > (worth(known), slot(best))
}
