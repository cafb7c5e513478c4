//! One attempt at one upstream, from the encoded call to a judged answer.
//!
//! Not here: how bytes travel (`upstream::client`), what an answer means (`solana::judge`), and
//! what follows from it (the [attempts](super::attempts)).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};
use tokio::time::Instant;

use super::budget::RetryBudget;
use crate::error::{Page, TEXT};
use crate::jsonrpc::{
    self, Answer, Call, Cursor, HeadKind, MalformedAnswer, MalformedKind, head_kind,
};
use crate::solana::{self, Class, FaultKind, Heads, Method, ReplyHints, Verdict};
use crate::upstream::{
    AttemptLimits, AttemptOutcome, Candidate, FailureReporter, ReplyBody, TransportFault,
    UpstreamBodyStream, UpstreamReply,
};

#[cfg(not(test))]
use crate::upstream::client;

mod keys;

#[cfg(test)]
pub(super) mod script;

/// An attempt in flight. Boxed, so that the loser of a hedge can be left to finish on its own:
/// dropping it would close a healthy connection.
pub(super) struct RunningAttempt {
    pub(super) started: Instant,
    /// The retry budget that paid for it.
    paid_by: Option<Arc<RetryBudget>>,
    /// Its number among the attempts of the call.
    pub(super) number: u32,
    pub(super) witness: FailureReporter,
    run: Pin<Box<dyn Future<Output = FinishedAttempt> + Send>>,
}

impl Future for RunningAttempt {
    type Output = FinishedAttempt;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FinishedAttempt> {
        self.run.as_mut().poll(cx)
    }
}

impl RunningAttempt {
    /// The same, paid for by this budget.
    pub(super) fn paid_by(mut self, budget: &Arc<RetryBudget>) -> Self {
        self.paid_by = Some(Arc::clone(budget));
        self
    }
}

/// What was never sent costs nothing, however it ends: there was no connection, or the client
/// disconnected.
impl Drop for RunningAttempt {
    fn drop(&mut self) {
        if let Some(budget) = self.paid_by.take()
            && !self.witness.is_written()
        {
            budget.refund();
        }
    }
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AttemptReason {
    /// Another attempt is unanswered.
    pub(super) hedge: bool,
    /// It was paid for by the retry budget.
    pub(super) paid: bool,
    /// Its number among the attempts of the call.
    pub(super) number: u32,
}

/// The result of an attempt, before it is judged.
pub(super) struct FinishedAttempt {
    pub candidate: Candidate,
    pub reason: AttemptReason,
    pub started: Instant,
    /// The slot its upstream was known to have reached before it was asked.
    pub reached: Option<Slot>,
    reply: Result<UpstreamReply, TransportFault>,
}

/// The answer of one upstream, in the form that is passed on.
#[derive(Debug)]
pub enum AnswerPayload {
    /// The whole answer, scanned.
    Whole(Answer),
    /// An answer too large to be buffered: its beginning, and the rest as it arrives.
    Stream {
        head: Bytes,
        length: Option<u64>,
        rest: UpstreamBodyStream,
    },
}

impl AnswerPayload {
    /// The raw JSON of the result; of an answer that streams, its beginning.
    pub(super) fn result(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(answer) => answer.result(),
            Self::Stream { head, .. } => jsonrpc::result_head(head),
        }
    }
}

/// The judgement of one attempt.
pub(super) enum JudgedAttempt {
    Good {
        payload: AnswerPayload,
        latency: Duration,
        /// What it says about the head of the chain.
        heads: Heads,
    },
    Bad {
        verdict: Verdict,
        payload: Option<AnswerPayload>,
        /// A non-JSON-RPC body that may be meant for the client.
        page: Option<Page>,
    },
}

/// Sends `request` to the candidate. It is `now`.
pub(super) fn start(
    candidate: Candidate,
    request: Bytes,
    limits: AttemptLimits,
    commitment: Commitment,
    reason: AttemptReason,
    now: Instant,
) -> RunningAttempt {
    let reached = candidate.upstream().state().slot(commitment);
    RunningAttempt {
        started: now,
        paid_by: None,
        number: reason.number,
        witness: candidate.witness(),
        run: Box::pin(async move {
            #[cfg(test)]
            let reply = script::play(&candidate, &limits).await;
            #[cfg(not(test))]
            let reply = client::attempt(&candidate, &request, &limits).await;
            #[cfg(test)]
            drop(request);
            FinishedAttempt {
                candidate,
                reason,
                started: now,
                reached,
                reply,
            }
        }),
    }
}

impl FinishedAttempt {
    /// Whether the upstream may have seen the call.
    pub(super) fn bytes_sent(&self) -> bool {
        self.reply
            .as_ref()
            .map_or_else(|fault| fault.bytes_sent, |_| true)
    }

    /// Whether the upstream may have seen the call twice.
    pub(super) fn resent(&self) -> bool {
        self.reply.as_ref().is_ok_and(|reply| reply.resent)
    }

    /// Judges the reply, and reports to the upstream's state what it was worth.
    pub(super) fn judge(
        self,
        class: &Class,
        call: &Call,
        unix_now: fn() -> u64,
    ) -> (Candidate, JudgedAttempt) {
        let method = call.method();
        let Self {
            mut candidate,
            reply,
            ..
        } = self;
        let status = reply.as_ref().ok().map(|reply| reply.status);
        let judged = match reply {
            Err(fault) => JudgedAttempt::Bad {
                verdict: Verdict::transport(fault.kind, class, fault.bytes_sent),
                payload: None,
                page: None,
            },
            Ok(_) if candidate.upstream().is_of_other_cluster() => JudgedAttempt::Bad {
                verdict: Verdict::stranger(class),
                payload: None,
                page: None,
            },
            Ok(reply) => {
                let judged = match judge_reply(reply, class, unix_now) {
                    JudgedAttempt::Good { payload, .. }
                        if answers_another(&payload, class, call) =>
                    {
                        broken(FaultKind::BadResult, class)
                    }
                    judged => judged,
                };
                keys::withheld(judged, candidate.upstream().settings())
            }
        };
        let outcome = match &judged {
            JudgedAttempt::Good { latency, heads, .. } => AttemptOutcome::Good {
                class,
                method,
                latency: *latency,
                slot: heads.slot(),
            },
            JudgedAttempt::Bad { verdict, .. } => AttemptOutcome::Fault {
                class,
                method,
                verdict,
                status,
            },
        };
        candidate.record(&outcome);
        (candidate, judged)
    }
}

fn good(payload: AnswerPayload, latency: Duration, class: &Class) -> JudgedAttempt {
    let result = payload.result();
    let heads = result.map_or_else(Heads::default, |result| solana::heads(class.method, result));
    JudgedAttempt::Good {
        payload,
        latency,
        heads,
    }
}

/// Whether a result cannot belong to this call: the signature of another transaction, or a list of
/// the wrong length. If the request cannot be interpreted here, the upstream is trusted; streamed
/// answers are not counted.
fn answers_another(payload: &AnswerPayload, class: &Class, call: &Call) -> bool {
    if class.method != Method::SendTransaction {
        let AnswerPayload::Whole(answer) = payload else {
            return false;
        };
        let result = answer.result();
        return result.is_some_and(|result| {
            !solana::is_as_long_as_asked(class.method, call.params(), result)
        });
    }
    let signature = call.params().and_then(solana::first_signature);
    let result = payload.result().map(Cursor::new);
    let said = result.and_then(|mut result| result.string());
    signature.is_some_and(|signature| said != Some(signature.to_string().as_bytes()))
}

fn judge_reply(reply: UpstreamReply, class: &Class, unix_now: fn() -> u64) -> JudgedAttempt {
    let UpstreamReply {
        status,
        hints,
        body,
        latency,
        ..
    } = reply;
    // The clock is read only if a header contains an absolute time.
    let now = if hints.name_a_moment() { unix_now() } else { 0 };
    match body {
        ReplyBody::Complete(scanned) => {
            match solana::judge(status, &hints, scanned.as_ref(), class, now) {
                None => match scanned {
                    Ok(answer) => good(AnswerPayload::Whole(answer), latency, class),
                    Err(_malformed) => bad_json(class),
                },
                Some(verdict) => JudgedAttempt::Bad {
                    verdict,
                    page: page(status, &hints, scanned.as_ref().err()),
                    payload: scanned.ok().map(AnswerPayload::Whole),
                },
            }
        }
        ReplyBody::Streaming { head, length, rest } => {
            let begun = head_kind(&head, rest.asked());
            let is_good = match begun {
                HeadKind::Result(token) => solana::may_begin(class.method, token),
                HeadKind::Error => true,
                HeadKind::Foreign | HeadKind::Unknown => false,
            };
            if is_good && solana::carries_answers(status) {
                return good(AnswerPayload::Stream { head, length, rest }, latency, class);
            }
            // A page of that size is not a JSON-RPC answer; it is judged by its beginning.
            let kind = match begun {
                HeadKind::Foreign => MalformedKind::WrongId,
                _ => MalformedKind::NotAnAnswer,
            };
            let excerpt = head.slice(..head.len().min(512));
            let malformed = MalformedAnswer { kind, excerpt };
            match solana::judge(status, &hints, Err(&malformed), class, now) {
                None => bad_json(class),
                Some(verdict) => JudgedAttempt::Bad {
                    verdict,
                    payload: None,
                    page: None,
                },
            }
        }
    }
}

/// A refusal by HTTP status alone.
fn page(status: u16, hints: &ReplyHints, malformed: Option<&MalformedAnswer>) -> Option<Page> {
    malformed
        .filter(|_| (400..500).contains(&status))
        .map(|malformed| Page {
            status,
            content_type: hints.content_type.unwrap_or(TEXT),
            body: malformed.excerpt.clone(),
        })
}

fn bad_json(class: &Class) -> JudgedAttempt {
    broken(FaultKind::BadJson, class)
}

/// An invalid answer.
fn broken(kind: FaultKind, class: &Class) -> JudgedAttempt {
    JudgedAttempt::Bad {
        verdict: Verdict::transport(kind, class, true),
        payload: None,
        page: None,
    }
}
