//! Asks one question at one address, and judges the answer like that to any call.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Probe;
use super::lane::ProbeLane;
use super::plan::ProbeQuestion;
use super::result::unsigned;
use super::round::ProbeAnswer;
use crate::limit::PermitRequest;
use crate::solana::{Class, FaultKind, Penalty, Priority, Verdict, classify, judge};
use crate::trace::span::{self, SpanPeer};
use crate::upstream::client::reply::{AttemptLimits, ReplyBody};
use crate::upstream::client::{ConnectionRoute, RequestCost, RpcReply, RpcRequest, UpstreamLine};
use crate::upstream::health::diagnosis::Diagnosis;
use crate::upstream::state::member::Member;

/// No answer to a probe is larger than this.
const ANSWER: usize = 16 * 1024;

impl Probe {
    /// Its upstream, as spans name it.
    fn peer(&self) -> SpanPeer<'_> {
        let settings = &self.member.settings;
        SpanPeer {
            upstream: &settings.id,
            host: settings.url.host(),
            port: settings.url.port(),
        }
    }

    /// What one question may take.
    fn limits(&self) -> AttemptLimits {
        let timeout = self.member.settings.probe.timeout;
        let deadline = Instant::now() + timeout;
        AttemptLimits {
            deadline,
            queue: deadline,
            first_byte: timeout,
            progress: timeout,
            answer_buffer: ANSWER,
            replayable: true,
            ask: PermitRequest::own(Priority::Medium),
            urgency: None,
            headers: None,
        }
    }

    pub(super) async fn ask(
        &self,
        question: ProbeQuestion,
        address: SocketAddr,
        lane: &ProbeLane,
    ) -> ProbeAnswer {
        let live = &self.member.live;
        let Some(charge) = live
            .budget
            .take_for_probe(question.method(), Instant::now())
        else {
            return ProbeAnswer::Unpaid;
        };
        let written = AtomicBool::new(false);
        let metrics = &live.metrics;
        let span = span::probe(self.peer(), question.method());
        let line = UpstreamLine {
            wire: &self.member.wire,
            connections: &lane.connections,
            http2: lane.http2.as_ref(),
            saturation: None,
            opened: &metrics.opened,
            connect_time: &metrics.connect_time,
            broken: &metrics.broken,
            written: Some(&written),
            cost: RequestCost::Of(&charge.budget),
        };
        let limits = self.limits();
        let mut timer = pin!(None);
        let request = RpcRequest::probe(question.body().into());
        let reply = line
            .call(
                &request,
                &limits,
                ConnectionRoute::Only(address),
                &mut timer,
            )
            .await;
        if !written.load(Ordering::Relaxed) {
            live.budget.refund_probe(&charge);
        }
        let class = classify(question.method(), Some(question.params().as_bytes()));
        let (said, outcome) = match reply {
            Ok(reply) => {
                metrics.probe_time.observe(reply.latency.as_secs_f64());
                span::ended(&span, Some(reply.status), None);
                self.understand(reply, question, &class)
            }
            Err(fault) => {
                let kind = fault.kind;
                span::ended(&span, None, Some(kind.label()));
                self.note(question, kind, None);
                (
                    ProbeAnswer::Unreachable(Diagnosis::of(kind, None)),
                    kind.label(),
                )
            }
        };
        metrics.probe(question.method(), outcome);
        said
    }

    /// Judges a reply like that to any call; penalties other than failures are applied.
    fn understand(
        &self,
        reply: RpcReply,
        question: ProbeQuestion,
        class: &Class,
    ) -> (ProbeAnswer, &'static str) {
        let ReplyBody::Complete(answer) = reply.body else {
            let kind = FaultKind::TooLarge;
            let diagnosis = Diagnosis::of(kind, Some(reply.status));
            return (ProbeAnswer::Nothing(diagnosis), kind.label());
        };
        let now = Instant::now();
        let verdict = judge(
            reply.status,
            &reply.hints,
            answer.as_ref(),
            class,
            self.member.clock.seconds(),
        );
        if let Some(verdict) = verdict {
            let label = verdict.kind.label();
            self.note(question, verdict.kind, Some(reply.status));
            let mut cause = Diagnosis::of(verdict.kind, Some(reply.status));
            if let Some(target) = &reply.fields {
                cause = cause.because(&format_args!("redirects to {target}"));
            }
            return (self.weigh(&verdict, question, cause, now), label);
        }
        let result = answer
            .ok()
            .and_then(|answer| Some(answer.result()?.to_vec()));
        let Some(result) = result else {
            return (ProbeAnswer::Nothing("no result".into()), "good");
        };
        if matches!(question, ProbeQuestion::Slot(_)) && unsigned(&result).is_some() {
            self.answered(reply.latency, now);
        }
        (ProbeAnswer::Result(result), "good")
    }

    /// Keeps an error for the status page.
    fn note(&self, question: ProbeQuestion, kind: FaultKind, status: Option<u16>) {
        let mut errors = self.member.live.errors.lock();
        errors.note(question.method(), kind, status, Instant::now());
    }

    /// What is refused to the probe need not be refused to calls.
    fn weigh(
        &self,
        verdict: &Verdict,
        question: ProbeQuestion,
        cause: Diagnosis,
        now: Instant,
    ) -> ProbeAnswer {
        match verdict.penalty {
            Penalty::Failure => ProbeAnswer::Nothing(cause),
            Penalty::Lagging { slots } if question == ProbeQuestion::Health => {
                ProbeAnswer::Unwell { behind: slots }
            }
            Penalty::CloseMethod | Penalty::Lacks(_) | Penalty::Refusal | Penalty::None => {
                ProbeAnswer::Refused(cause)
            }
            Penalty::HoldOff { .. } | Penalty::KeyRefused { .. } | Penalty::Lagging { .. } => {
                let said = cause.status();
                let method = question.method();
                self.member.penalise(verdict, said, method, None, now);
                // A refused key, and an account without credits, is not a request to be held off
                // for a while.
                match verdict.penalty {
                    Penalty::KeyRefused { .. } => ProbeAnswer::Refused(cause),
                    Penalty::HoldOff { credits: true, .. } => ProbeAnswer::Closed(cause),
                    _ => ProbeAnswer::Rests(cause),
                }
            }
        }
    }

    fn answered(&self, latency: Duration, now: Instant) {
        let Member { live, policy, .. } = &*self.member;
        live.score.probed(latency, now, &policy.selection);
        if !live.is_clear() {
            self.member.probed_well(latency, now);
        }
    }
}
