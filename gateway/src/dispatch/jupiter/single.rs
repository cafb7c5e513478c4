//! One attempt for itself, neither repeated nor hedged: one of several that are compared.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tracing::Span;

use super::{JupiterAnswer, JupiterCall, JupiterJudge};
use crate::dispatch::Dispatch;
use crate::dispatch::attempt::{self, AttemptReason, FinishedAttempt, RunningAttempt};
use crate::dispatch::attempt_record::{AttemptRecord, GOOD};
use crate::dispatch::operation::{Judge, JudgedAttempt, Operation};
use crate::upstream::{ApiCandidate, ApiRequest, AttemptLimits};

/// A single attempt under way. Nobody need wait for it: it ends within its own limits.
pub struct SingleAttempt {
    running: RunningAttempt<ApiRequest, ApiCandidate>,
    judge: JupiterJudge,
    quantile: f64,
    record: AttemptRecord,
}

/// What it came to.
#[derive(Debug)]
pub struct SingleResult {
    pub record: AttemptRecord,
    /// If it is a good one.
    pub answer: Option<JupiterAnswer>,
}

impl Dispatch<'_, JupiterCall<'_>> {
    /// Begins an attempt at the candidate. `number` is its place among those for the same client, from 1.
    pub fn single(&self, candidate: ApiCandidate, number: u32) -> SingleAttempt {
        let (operation, now) = (&self.operation, Instant::now());
        let reason = AttemptReason {
            number,
            ..AttemptReason::default()
        };
        let upstream = candidate.upstream();
        let record = AttemptRecord::begun(number, upstream.name());
        let span = attempt::span_of(self, upstream, reason);
        let limits = self.limits_of_single(&candidate, &span);
        let request = operation.request(upstream);
        SingleAttempt {
            running: attempt::start(candidate, request, limits, None, reason, (span, now)),
            judge: operation.detach(),
            quantile: self.settings.hedge.quantile,
            record,
        }
    }

    fn limits_of_single(&self, candidate: &ApiCandidate, span: &Span) -> AttemptLimits {
        let settings = candidate.upstream().settings();
        let (timeouts, demands) = (&settings.timeouts, self.operation.demands());
        AttemptLimits {
            deadline: self.deadline,
            queue: self.deadline,
            first_byte: timeouts.first_byte,
            progress: timeouts.progress.max(timeouts.first_byte),
            answer_buffer: self.settings.answer_buffer,
            replayable: demands.is_repeatable(),
            ask: demands.ask,
            urgency: None,
            headers: self.context.correlation(settings.propagate, span),
        }
    }
}

impl SingleAttempt {
    /// What is known of it so far.
    pub fn record(&self) -> &AttemptRecord {
        &self.record
    }

    fn judge(&self, attempted: FinishedAttempt<ApiRequest, ApiCandidate>) -> SingleResult {
        let mut candidate = attempted.candidate;
        let status = attempted.reply.as_ref().ok().map(|reply| reply.status);
        let judged = self.judge.judge(&mut candidate, attempted.reply);
        judged.note(&attempted.span, status);
        let mut record = self.record.clone();
        record.took = attempted.started.elapsed();
        let answer = match judged {
            JudgedAttempt::Good {
                answer, latency, ..
            } => {
                let upstream = candidate.upstream();
                self.judge.observe_latency(upstream, latency, self.quantile);
                record.outcome = GOOD;
                (answer.reply.status < 300).then_some(answer)
            }
            JudgedAttempt::Bad { verdict, .. } => {
                record.outcome = verdict.kind.label();
                None
            }
        };
        SingleResult { record, answer }
    }
}

impl Future for SingleAttempt {
    type Output = SingleResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SingleResult> {
        let attempted = std::task::ready!(Pin::new(&mut self.running).poll(cx));
        Poll::Ready(self.judge(attempted))
    }
}
