//! What a node's answer to a call means, and what the node is told of it.
//!
//! Not here: how the meaning of an error is found (`solana::judge`), and what follows from it (the
//! [attempts](crate::dispatch::attempts)).

use std::time::Duration;

use super::answer_age::AnswerAge;
use super::answer_payload::{AnswerPayload, JudgedCall};
use super::withheld::withheld;
use perijove_core::UnixClock;

use crate::dispatch::operation::JudgedAttempt;
use crate::error::{RefusedPage, TEXT};
use crate::jsonrpc::{Call, Cursor, HeadKind, MalformedAnswer, MalformedKind, head_kind};
use crate::solana::{self, Class, FaultKind, Method, ReplyHints, Verdict};
use crate::upstream::{
    AttemptOutcome, Candidate, FailureReporter, ReplyBody, RpcReply, TransportFault, Upstream,
    UpstreamReply,
};

/// Judges answers to one call.
#[derive(Clone, Copy)]
pub(super) struct RpcJudge<'a> {
    pub(super) call: &'a Call,
    pub(super) class: &'a Class,
    pub(super) clock: UnixClock,
}

impl RpcJudge<'_> {
    /// Judges the reply, and reports to the upstream's state what it was worth: of an answer that
    /// streams, once it is over.
    pub(super) fn judge(
        self,
        candidate: &mut Candidate,
        reply: Result<RpcReply, TransportFault>,
    ) -> JudgedCall {
        let Self { call, class, clock } = self;
        let method = call.method();
        let status = reply.as_ref().ok().map(|reply| reply.status);
        let mut judged = match reply {
            Err(fault) => JudgedAttempt::Bad {
                verdict: Verdict::transport(fault.kind, class, fault.bytes_sent),
                answer: None,
                page: None,
            },
            Ok(_) if candidate.upstream().is_of_other_cluster() => JudgedAttempt::Bad {
                verdict: Verdict::stranger(class),
                answer: None,
                page: None,
            },
            Ok(reply) => {
                let judged = match judge_reply(reply, class, clock) {
                    JudgedAttempt::Good { answer, .. } if answers_another(&answer, class, call) => {
                        broken(FaultKind::BadResult, class)
                    }
                    judged => judged,
                };
                withheld(judged, candidate.upstream().settings())
            }
        };
        if let JudgedAttempt::Good {
            answer: AnswerPayload::Stream { rest, .. },
            latency,
            freshness,
        } = &mut judged
        {
            let asked = (method, call.params());
            candidate.streams(rest, class, asked, *latency, freshness.heads.slot());
            return judged;
        }
        let outcome = match &judged {
            JudgedAttempt::Good {
                latency, freshness, ..
            } => AttemptOutcome::Good {
                class,
                method,
                latency: *latency,
                slot: freshness.heads.slot(),
            },
            JudgedAttempt::Bad { verdict, .. } => AttemptOutcome::Fault {
                class,
                method,
                verdict,
                status,
            },
        };
        candidate.record(&outcome);
        judged
    }

    pub(super) fn observe_latency(self, upstream: &Upstream, latency: Duration, quantile: f64) {
        let live = upstream.state();
        live.observe_latency(self.class.method, latency, quantile);
    }

    pub(super) fn hold_against(self, upstream: &Upstream, kind: FaultKind) {
        upstream.refused(self.call.method(), self.call.params(), kind);
    }

    pub(super) fn never_answered(self, witness: &FailureReporter) {
        let verdict = Verdict::transport(FaultKind::FirstByteTimeout, self.class, true);
        witness.record(&AttemptOutcome::Fault {
            class: self.class,
            method: self.call.method(),
            verdict: &verdict,
            status: None,
        });
    }
}

fn good(payload: AnswerPayload, latency: Duration, class: &Class) -> JudgedCall {
    let result = payload.result();
    let freshness = result.map_or_else(AnswerAge::default, |result| AnswerAge::of(class, result));
    JudgedAttempt::Good {
        answer: payload,
        latency,
        freshness,
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
    // An error that streams has no result: the logs of a failed preflight can be long.
    let (Some(signature), Some(result)) = (signature, payload.result()) else {
        return false;
    };
    Cursor::new(result).string() != Some(signature.to_string().as_bytes())
}

fn judge_reply(reply: RpcReply, class: &Class, clock: UnixClock) -> JudgedCall {
    let UpstreamReply {
        status,
        hints,
        body,
        latency,
        ..
    } = reply;
    // The clock is read only if a header contains an absolute time.
    let now = if hints.name_a_moment() {
        clock.seconds()
    } else {
        0
    };
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
                    answer: scanned.ok().map(AnswerPayload::Whole),
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
                    answer: None,
                    page: None,
                },
            }
        }
    }
}

/// A refusal by HTTP status alone.
fn page(
    status: u16,
    hints: &ReplyHints,
    malformed: Option<&MalformedAnswer>,
) -> Option<RefusedPage> {
    malformed
        .filter(|_| (400..500).contains(&status))
        .map(|malformed| RefusedPage {
            status,
            content_type: hints.content_type.unwrap_or(TEXT),
            body: malformed.excerpt.clone(),
        })
}

fn bad_json(class: &Class) -> JudgedCall {
    broken(FaultKind::BadJson, class)
}

/// An invalid answer.
fn broken(kind: FaultKind, class: &Class) -> JudgedCall {
    JudgedAttempt::Bad {
        verdict: Verdict::transport(kind, class, true),
        answer: None,
        page: None,
    }
}
