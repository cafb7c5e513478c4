//! One JSON-RPC call, step by step.

use std::sync::Arc;

use bytes::Bytes;

use super::Request;
use super::cache_use::CacheStatus;
use super::copied::Copying;
use super::meaning::Meaning;
use super::part::{Part, PartStream, Reply};
use super::question::Question;
use crate::dispatch::{Delivered, Exchange, Payload, Session, Trace};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call, Entry, Id};
use crate::solana::{Class, Idempotency, Method};

/// The outcome of an entry that is no call.
const INVALID: &str = "invalid";
/// The outcome of a call that no node would serve, and none was asked.
const UNASKED: &str = "refused_unasked";

/// Answers one entry of a request: itself the request, or a member of a batch.
pub(super) async fn answer(request: &Request, entry: Entry) -> Reply {
    let call = match entry {
        Entry::Call(call) => call,
        Entry::Invalid(invalid) => {
            let body = jsonrpc::error_reply(&invalid.id, &invalid.error, invalid.versionless);
            request.pipeline.metrics.no_call(INVALID);
            return Reply::own(body, Method::Other.label(), INVALID);
        }
    };
    let meaning = request.meaning(&call);
    let mut reply = walk(request, &call, &meaning).await;
    let reads = meaning.class.profile().idempotency == Idempotency::Read;
    reply.wrote = !reads && reply.trace.attempts > 0 && reply.status != 429;
    let (method, took) = (meaning.class.method, request.started.elapsed());
    let metrics = &request.pipeline.metrics;
    metrics.answered(method, reply.outcome, reply.cache, took);
    reply
}

/// Answers an entry once more, instead of what was answered before.
pub(super) async fn again(request: &Request, entry: Entry) -> Reply {
    let Entry::Call(call) = entry else {
        return Reply::nothing(Method::Other.label());
    };
    let meaning = request.meaning(&call);
    walk(request, &call, &meaning).await
}

/// The list. Steps 1–4 (edge, auth, body, parse) lie behind us; `meaning` is step 5.
async fn walk(request: &Request, call: &Call, meaning: &Arc<Meaning>) -> Reply {
    let class = &meaning.class;
    let label = class.method.label();
    let Some(id) = &call.id else {
        // Agave runs no method for a notification and answers nothing.
        return Reply::nothing(label);
    };

    // What the operator closed is refused before it costs anybody anything.
    if request.snapshot.denies(call.method()) {
        return Reply::rejected(&Rejection::MethodRefused, id, label);
    }

    // What no node would serve needs no node to say so.
    if let Some(refusal) = class.refusal {
        return Reply::own(
            jsonrpc::error_reply(id, &refusal.error(), false),
            label,
            UNASKED,
        );
    }

    // The gateway's own health is what a client means, not that of the node it happens to hit.
    if class.method == Method::GetHealth {
        return health(request, id);
    }

    // 6 admission: how much the caller may ask was settled with the request; here, what.
    if !request.may_call(call.method()) {
        return Reply::rejected(&Rejection::NotInPlan, id, label);
    }

    // 7 what is known already, 8 what is being asked already. It calls the steps below where
    // neither is the case, and keeps what they bring.
    if let Some(question) = Question::of(request, call, meaning) {
        return question.answer(id).await;
    }

    // 9–11 candidates, attempts, hedges, retries.
    let session = request.session(class);
    let (delivered, trace) = Box::pin(dispatch(request, call, class, &session)).await;

    // 12 the caller's id goes back in; nothing else is touched.
    let reply = deliver(delivered, id, trace, label, None);
    if request.snapshot.cache.enabled() {
        reply.cached(CacheStatus::Bypass)
    } else {
        reply
    }
}

pub(super) async fn dispatch(
    request: &Request,
    call: &Call,
    class: &Class,
    session: &Session,
) -> (Delivered, Trace) {
    let _turn = match request.turn(class).await {
        Ok(turn) => turn,
        Err(rejection) => return (Delivered::Rejected(rejection), Trace::default()),
    };
    let ask = request.ask(class);
    let (delivered, trace) = Exchange {
        pool: &request.snapshot.pool,
        settings: &request.snapshot.dispatch,
        live: &request.pipeline.live,
        call,
        class,
        session,
        ask,
        started: request.started,
        deadline: request.deadline,
        ledger_only: request.ledger_only,
        elsewhere: None,
    }
    .run()
    .await;
    let answered = matches!(delivered, Delivered::Payload(_));
    request.pipeline.metrics.asked(ask.priority, answered);
    (delivered, trace)
}

/// `copying` is shown what streams.
pub(super) fn deliver(
    delivered: Delivered,
    id: &Id,
    trace: Trace,
    label: &'static str,
    copying: Option<Copying>,
) -> Reply {
    match delivered {
        Delivered::Payload(Payload::Whole(answer)) => {
            let outcome = if answer.error().is_some() {
                "error"
            } else {
                "ok"
            };
            Reply::upstream(Part::Whole(answer.into_spliced(id)), label, outcome, trace)
        }
        Delivered::Payload(Payload::Stream { head, length, rest }) => {
            let stream = PartStream::new(id, head, length, rest, copying);
            Reply::upstream(Part::Stream(Box::new(stream)), label, "ok", trace)
        }
        Delivered::Rejected(rejection) => Reply::rejected(&rejection, id, label).traced(trace),
    }
}

fn health(request: &Request, id: &Id) -> Reply {
    let label = Method::GetHealth.label();
    if request.snapshot.pool.can_serve() {
        let body = [
            br#"{"jsonrpc":"2.0","result":"ok","id":"#,
            id.as_bytes(),
            b"}",
        ]
        .concat();
        Reply::own(Bytes::from(body), label, "ok")
    } else {
        let rejection = Rejection::NoUpstream {
            reason: "no upstream is available",
        };
        Reply::rejected(&rejection, id, label)
    }
}
