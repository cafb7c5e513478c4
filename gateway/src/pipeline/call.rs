//! One JSON-RPC call, step by step.
//!
//! ```text
//! 6 authorise ─ refused, or answered by the gateway itself ──────────▶ reply
//! 7 memory ─ valid ──────────────────────────────────────────────────▶ hit
//!   │   └ expired, within bounds ─▶ fetched anew in the background ──▶ stale
//! 8 identical call in flight? ─ wait for it ─ good ─────────────────▶ coalesced
//!   │ no: lead                    └ failed ─▶ once more from 8
//! 9 Redis ─ valid ───────────────────────────────────────────────────▶ hit
//!   │   └ another gateway fetches it (if configured) ─ wait for it ──▶ coalesced
//! 10 upstreams ─▶ 11 store it, and release those that wait ───────────▶ miss
//!        └ failed ─▶ an expired answer, within bounds ───────────────▶ stale
//! ```

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::Request;
use super::cache_use::CacheStatus;
use super::cacheable::CacheableCall;
use super::call_plan::CallPlan;
use super::call_reply::CallReply;
use super::fetched::Fetched;
use super::join::Joined;
use super::memory_lookup::MemoryAnswer;
use super::on_cancel::OnCancel;
use super::remote_lookup::RemoteLookup;
use super::shared_outcome::SharedOutcome;
use crate::cache::{CacheEntry, Claim, FlightRole, Leader};
use crate::context::RequestContext;
use crate::dispatch::{AnswerPayload, CallSummary, Delivered, Dispatch, ReadSession, RpcCall};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call, Id, RequestEntry};
use crate::limit::{PermitClaim, Urgency};
use crate::solana::{Class, Idempotency, Method};
use crate::upstream::HealthReport;

/// The outcome of an invalid entry.
const INVALID: &str = "invalid";
/// The outcome of a call that no node would serve, and none was asked.
const UNASKED: &str = "refused_unasked";

/// Answers one entry of a request: itself the request, or a member of a batch. Where that is not
/// waited for any more, the call counts with the outcome that `cancelled` has for it.
pub(super) async fn answer(
    request: &Request,
    entry: RequestEntry,
    cancelled: impl FnOnce() -> &'static str + Send,
) -> CallReply {
    let call = match entry {
        RequestEntry::Call(call) => call,
        RequestEntry::Invalid(invalid) => {
            let body = jsonrpc::error_reply(&invalid.id, &invalid.error, invalid.versionless);
            request.pipeline.metrics.no_call(INVALID);
            return CallReply::own(body, Method::Other.label(), INVALID);
        }
    };
    let call_plan = request.call_plan(&call);
    let (method, metrics) = (call_plan.class.method, &request.pipeline.metrics);
    let waited_for = OnCancel::new(|| metrics.cancelled(method, cancelled()));
    let mut reply = run(request, &call, &call_plan).await;
    waited_for.done();
    let reads = call_plan.class.profile().idempotency == Idempotency::Read;
    reply.wrote = !reads && reply.attempt_summary.attempts > 0 && reply.status != 429;
    let took = request.context.started.elapsed();
    metrics.answered(method, reply.outcome, reply.cache, took);
    reply
}

/// Answers an entry once more, instead of what was answered before.
pub(super) async fn answer_again(request: &Request, entry: RequestEntry) -> CallReply {
    let RequestEntry::Call(call) = entry else {
        return CallReply::nothing(Method::Other.label());
    };
    let call_plan = request.call_plan(&call);
    run(request, &call, &call_plan).await
}

impl Request {
    /// Step 5: the plan of a call; if the cache is off, its answer has no keys.
    pub(super) fn call_plan(&self, call: &Call) -> Arc<CallPlan> {
        let pool = &self.snapshot.pool;
        let cluster = self
            .snapshot
            .cache
            .enabled()
            .then(|| pool.genesis())
            .flatten();
        let call_plans = &self.pipeline.call_plans;
        let call_plan = call_plans.of(call, self.variant(), cluster.as_ref());
        let method = call_plan.class.method;
        if method.is_foreign() && self.snapshot.reads(call.method()) {
            return Arc::new(CallPlan::of_a_read());
        }
        call_plan
    }
}

/// The list of steps for one call. Steps 1 to 4 (edge, auth, body, parse) come before it;
/// `call_plan` is the result of step 5.
async fn run(request: &Request, call: &Call, call_plan: &Arc<CallPlan>) -> CallReply {
    let class = &call_plan.class;
    let Some(id) = &call.id else {
        // Agave runs no method for a notification and answers nothing.
        return CallReply::nothing(class.method.label());
    };

    // 6 authorise, and answer what needs no upstream.
    if let Some(reply) = refused_or_own(request, call, class, id) {
        return reply;
    }
    let Some(cacheable) = CacheableCall::of(request, call, call_plan) else {
        // Built where it stays: `Box::pin` would copy the kilobytes that it has room for.
        let uncached = Box::write(Box::new_uninit(), run_uncached(request, call, class, id));
        return Box::into_pin(uncached).await;
    };

    // 7 look up in memory.
    let expired = match cacheable.answer_from_memory(id) {
        MemoryAnswer::Fresh(reply) => return reply,
        MemoryAnswer::Stale(reply) => {
            refresh(&cacheable);
            return reply;
        }
        MemoryAnswer::Miss(expired) => expired,
    };

    // 8 to 11. Boxed: their future takes some kilobytes, which a hit does not need.
    let fetched = Box::write(Box::new_uninit(), fetch(&cacheable));
    let (fetched, status) = Box::into_pin(fetched).await;

    // 12 reply: the caller's id goes back in; nothing else changes.
    cacheable.reply(fetched, status, expired, id)
}

/// Steps 8 to 11, for a call that memory does not answer.
async fn fetch(cacheable: &CacheableCall<'_>) -> (Fetched, CacheStatus) {
    // 8 join an identical call in flight.
    let leader = match cacheable.join().await {
        Joined::Shared(shared) => return (Fetched::Shared(shared), CacheStatus::Coalesced),
        Joined::TimedOut => return (Fetched::TimedOut, CacheStatus::Coalesced),
        Joined::Leads(leader) => Some(leader),
        Joined::Alone => None,
    };

    // 9 look up in Redis, once for all that wait.
    let found = match leader {
        Some(_) => cacheable.look_up_remote().await,
        None => RemoteLookup::NotFound(None),
    };
    let claim = match found {
        RemoteLookup::Found(entry) => return (known(leader, entry), CacheStatus::Hit),
        RemoteLookup::FetchedByOther(entry) => {
            return (known(leader, entry), CacheStatus::Coalesced);
        }
        RemoteLookup::NotFound(claim) => claim,
    };

    // 10 dispatch, 11 store.
    let (delivered, attempt_summary) = dispatch_and_store(cacheable, leader, claim).await;
    (
        Fetched::Upstream(delivered, attempt_summary),
        CacheStatus::Miss,
    )
}

/// Gives those that wait what Redis had.
fn known(leader: Option<Leader<SharedOutcome>>, entry: Arc<CacheEntry>) -> Fetched {
    let known = SharedOutcome::Known(entry);
    if let Some(leader) = leader {
        leader.settle(known.clone());
    }
    Fetched::Shared(known)
}

/// Steps 10 and 11: asks upstreams, stores their answer, and releases those that wait.
async fn dispatch_and_store(
    cacheable: &CacheableCall<'_>,
    leader: Option<Leader<SharedOutcome>>,
    claim: Option<Claim>,
) -> (Delivered<AnswerPayload>, CallSummary) {
    let CacheableCall {
        request,
        call,
        class,
        session,
        ..
    } = cacheable;
    let urgency = leader.as_ref().map(Leader::urgency);
    let (delivered, attempt_summary) = match cacheable.ask_for_the_rest(urgency).await {
        Some(composed) => composed,
        None => dispatch(request, call, class, session, urgency).await,
    };
    let stored = cacheable.store(&delivered, &attempt_summary);
    if let Some(claim) = claim
        && stored
    {
        claim.kept();
    }
    if let Some(leader) = leader {
        leader.settle(SharedOutcome::of(&delivered, &attempt_summary));
    }
    (delivered, attempt_summary)
}

/// Step 10: the call is sent to upstreams, when it is its turn and with the caller's plan and deadline:
/// attempts, retries and hedges until the caller's deadline. `urgency`: of those that wait for the same
/// call.
pub(super) async fn dispatch(
    request: &Request,
    call: &Call,
    class: &Class,
    session: &ReadSession,
    urgency: Option<&Arc<Urgency>>,
) -> (Delivered<AnswerPayload>, CallSummary) {
    let step = request.context.step("dispatch", class.method.label());
    let ask = request.ask(class);
    let claim = PermitClaim::new(ask, urgency.map(|urgency| &**urgency));
    let _turn = match request.turn(claim).await {
        Ok(turn) => turn,
        Err(rejection) => return (Delivered::Rejected(rejection), CallSummary::default()),
    };
    let metrics = &request.pipeline.metrics;
    let waited_for = OnCancel::new(|| metrics.asked_in_vain(ask.priority));
    let (delivered, attempt_summary) = Dispatch {
        operation: RpcCall {
            pool: &request.snapshot.pool,
            memory: &request.pipeline.dispatch_state.rpc,
            call,
            class,
            session,
            ask,
            urgency,
            ledger_only: request.ledger_only,
            deeper: None,
        },
        settings: &request.snapshot.dispatch,
        state: &request.pipeline.dispatch_state,
        context: &request.context,
        span: &step,
        started: request.context.started,
        deadline: request.context.deadline,
    }
    .run()
    .await;
    waited_for.done();
    let answered = matches!(delivered, Delivered::Payload(_));
    metrics.asked(ask.priority, answered, request.context.started.elapsed());
    (delivered, attempt_summary)
}

/// Steps 10 and 11 in the background, unless an identical call is in flight already, or the answer
/// to an identical refresh still streams in: nobody follows that any more, but it will be stored.
fn refresh(cacheable: &CacheableCall<'_>) {
    let FlightRole::Lead(refreshing) = cacheable.join_refresh() else {
        return;
    };
    let FlightRole::Lead(leader) = cacheable.join_flight() else {
        return;
    };
    let now = Instant::now();
    let asked = cacheable.request;
    let deadline = now + asked.snapshot.config.limits.request_timeout;
    // Below the request that caused it, though that is answered long before.
    let label = cacheable.class.method.label();
    let request = Request {
        context: Arc::new(RequestContext {
            span: asked.context.step("cache.refresh", label),
            ..asked.context.at(now, deadline)
        }),
        ..asked.clone()
    };
    let (call, call_plan) = (cacheable.call.clone(), Arc::clone(cacheable.call_plan));
    drop(tokio::spawn(async move {
        if let Some(cacheable) = CacheableCall::of(&request, &call, &call_plan) {
            let cacheable = cacheable.unseen();
            let (delivered, attempt_summary) =
                dispatch_and_store(&cacheable, Some(leader), None).await;
            cacheable.read_to_the_end(delivered, &attempt_summary).await;
        }
        refreshing.settle(());
    }));
}

/// Steps 10 and 12 of a call without the cache.
async fn run_uncached(request: &Request, call: &Call, class: &Class, id: &Id) -> CallReply {
    let session = request.session(class);
    let (delivered, attempt_summary) = dispatch(request, call, class, &session, None).await;
    let label = class.method.label();
    let reply = CallReply::of_delivered(delivered, id, attempt_summary, label, None);
    if request.snapshot.cache.enabled() {
        reply.cached(CacheStatus::Bypass)
    } else {
        reply
    }
}

/// Step 6: the reply to a call that goes to no upstream, because it is refused or because the
/// gateway knows the answer itself. How many calls the caller may make was decided with the
/// request; here, which.
fn refused_or_own(request: &Request, call: &Call, class: &Class, id: &Id) -> Option<CallReply> {
    let label = class.method.label();
    // A denied method is refused before it costs anything. The list is for clients: what their
    // subscriptions need may be asked for all the same.
    let is_denied = request.snapshot.denies(call.method());
    if is_denied && !request.context.is_internal() {
        return Some(CallReply::rejected(&Rejection::MethodRefused, id, label));
    }
    // What no node would serve is refused without asking one.
    if let Some(refusal) = class.refusal {
        let body = jsonrpc::error_reply(id, &refusal.error(), false);
        return Some(CallReply::own(body, label, UNASKED));
    }
    // Clients mean the gateway's own health, not that of the node that would answer.
    if class.method == Method::GetHealth {
        return Some(health(request, id));
    }
    let allowed = request.may_call(call.method());
    (!allowed).then(|| CallReply::rejected(&Rejection::NotInPlan, id, label))
}

fn health(request: &Request, id: &Id) -> CallReply {
    let label = Method::GetHealth.label();
    match request.snapshot.pool.health() {
        HealthReport::Ok => {
            let body = [
                br#"{"jsonrpc":"2.0","result":"ok","id":"#,
                id.as_bytes(),
                b"}",
            ]
            .concat();
            CallReply::own(Bytes::from(body), label, "ok")
        }
        HealthReport::Behind(slots) => CallReply::rejected(&Rejection::Behind { slots }, id, label),
        HealthReport::Unknown => {
            let rejection = Rejection::NoUpstream {
                reason: "no upstream is available",
            };
            CallReply::rejected(&rejection, id, label)
        }
    }
}
