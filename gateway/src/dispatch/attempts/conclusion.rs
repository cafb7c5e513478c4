//! What follows from a finished attempt: its answer is delivered, another upstream is asked, or
//! other attempts are waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempts, NextStep, Payment, TimerEvent};
use crate::dispatch::Delivered;
use crate::dispatch::attempt::{AttemptReason, FinishedAttempt};
use crate::dispatch::best_failure::{AnsweredBy, FailureAnswer, FailureWorth};
use crate::dispatch::operation::{JudgedAttempt, Operation, PeerOf};
use crate::solana::{Blame, FaultKind, Idempotency, Penalty, Retry, Verdict};
use crate::upstream::{Choices, ChosenPeer, Peer};

/// How long an earlier attempt is waited for after a transaction was refused.
pub(super) const SECOND_WORD: Duration = Duration::from_secs(1);

/// Pause before a call that waits for a connection at each upstream in turn goes round again; doubled
/// with every round, up to the longest.
const NEXT_ROUND: Duration = Duration::from_millis(10);
const LONGEST_ROUND: Duration = Duration::from_millis(200);

impl<O: Operation> Attempts<'_, O> {
    /// Draws the conclusion from one finished attempt.
    pub(super) fn conclude(
        &mut self,
        attempted: FinishedAttempt<O::Request, O::Chosen>,
    ) -> NextStep<O::Answer> {
        let operation = &self.dispatch.operation;
        let (sent, reason) = (attempted.bytes_sent(), attempted.reason);
        let started = attempted.started;
        let (reached, youngest) = (attempted.reached, attempted.started >= self.launched);
        self.sent += u32::from(sent);
        let mut candidate = attempted.candidate;
        let status = attempted.reply.as_ref().ok().map(|reply| reply.status);
        let judged = operation.judge(&mut candidate, attempted.reply);
        judged.note(&attempted.span, status);
        let speaker = AnsweredBy {
            upstream: Arc::clone(candidate.peer()),
            reached,
        };
        let done = match &judged {
            JudgedAttempt::Good { .. } => None,
            JudgedAttempt::Bad { verdict, .. } => operation.done_already(verdict),
        };
        if let Some(answer) = done {
            self.accused.settle(operation, &speaker.upstream);
            self.won(reason, &speaker, started.elapsed());
            self.said_by(Some(speaker));
            return NextStep::Deliver(Delivered::Payload(answer));
        }
        match judged {
            JudgedAttempt::Good {
                answer,
                latency,
                freshness,
            } => {
                let quantile = self.dispatch.settings.hedge.quantile;
                operation.observe_latency(&speaker.upstream, latency, quantile);
                let doubt = operation.doubt(&freshness, &speaker.upstream);
                self.served(doubt, &speaker.upstream);
                if let Some(doubt) = doubt {
                    self.lost(reason, &speaker, doubt, latency);
                    return self.older(answer, &freshness, &speaker, doubt);
                }
                self.freshness = Some(freshness);
                operation.is_served(self.searched);
                self.won(reason, &speaker, latency);
                self.said_by(Some(speaker));
                NextStep::Deliver(Delivered::Payload(answer))
            }
            JudgedAttempt::Bad {
                verdict,
                answer,
                page,
            } => {
                self.lost(reason, &speaker, verdict.kind, started.elapsed());
                let next = BadAnswer {
                    kind: verdict.kind,
                    retry: operation.where_next(&verdict, &speaker.upstream),
                    sent,
                    youngest,
                };
                self.bad(&verdict, FailureAnswer { answer, page }, &speaker, next)
            }
        }
    }

    /// An upstream gave a good answer, which settles who is to blame, unless it is as old as theirs.
    fn served(&mut self, doubt: Option<FaultKind>, upstream: &Arc<PeerOf<O>>) {
        if doubt != Some(FaultKind::BehindTip) {
            self.accused.settle(&self.dispatch.operation, upstream);
        }
    }

    /// An attempt gave the answer that is delivered.
    fn won(&mut self, reason: AttemptReason, speaker: &AnsweredBy<PeerOf<O>>, took: Duration) {
        self.summary.won = Some((reason.number, took));
        if reason.lent {
            self.dispatch.state.budget.refund();
        }
        if reason.hedge {
            self.dispatch.state.metrics.hedge("won");
            speaker.upstream.won_hedge();
        }
    }

    /// An attempt gave no answer that could be delivered at once.
    fn lost(
        &mut self,
        reason: AttemptReason,
        speaker: &AnsweredBy<PeerOf<O>>,
        kind: FaultKind,
        took: Duration,
    ) {
        self.summary
            .tried(reason.number, &speaker.upstream, kind.label(), took);
    }

    /// An answer that is not to be delivered before others have been asked.
    fn bad(
        &mut self,
        verdict: &Verdict,
        said: FailureAnswer<O::Answer>,
        speaker: &AnsweredBy<PeerOf<O>>,
        next: BadAnswer,
    ) -> NextStep<O::Answer> {
        let operation = &self.dispatch.operation;
        if next.sent && operation.accuses(verdict, speaker.reached) {
            self.accused.note(&speaker.upstream, verdict.kind);
        }
        let told = said.answer.is_some();
        // The upstream is healthy and the fault concerns the call: others are waited for only
        // briefly.
        if told
            && (verdict.blame != Blame::Upstream || verdict.penalty == Penalty::None)
            && speaker.upstream.is_healthy()
        {
            self.judged = Some(Instant::now());
        }
        let worth = FailureWorth {
            rank: operation.rank(verdict),
            certain: operation.is_certain(verdict),
            in_doubt: next.sent && self.demands.idempotency != Idempotency::Read,
        };
        self.settled.note(verdict, said, speaker, worth);
        self.retry(&speaker.upstream, next)
    }

    /// Decides what comes after an answer that was not good.
    fn retry(&mut self, upstream: &Arc<PeerOf<O>>, next: BadAnswer) -> NextStep<O::Answer> {
        let BadAnswer {
            kind,
            retry,
            sent,
            youngest,
        } = next;
        self.summary.fault = Some(kind);
        let now = Instant::now();
        let again = self.begins_again(kind, retry, now);
        let later = again || retry == Retry::ElsewhereLater;
        let pause = later.then_some(self.dispatch.settings.retry.later);
        let time_left = now + pause.unwrap_or_default() < self.dispatch.deadline;
        let once = matches!(retry, Retry::ElsewhereOnce | Retry::SecondOpinion);
        let wanted = match retry {
            Retry::Final => return self.final_word(kind, now),
            _ if !self.may_go_on(kind, now) => false,
            _ if once && std::mem::replace(&mut self.retried_once, true) => false,
            Retry::Capable(capability) => self.narrow(capability),
            // Handled after this call, by `history`.
            Retry::Deeper => false,
            _ => true,
        };
        let others = !self.running.is_empty();
        // While the latest attempt is in flight there is no hurry.
        let hurry = youngest || self.demands.is_signed_write();
        let beside = !others || self.candidates.suits_others(now);
        if others && (retry == Retry::ElsewhereLater || !wanted || !hurry || !beside) {
            return NextStep::Wait;
        }
        let otherwise = if others {
            NextStep::Wait
        } else {
            NextStep::End
        };
        if !wanted || !self.may_attempt_after(0) || !time_left {
            return otherwise;
        }
        if kind == FaultKind::Saturated {
            self.crowded.push(Arc::clone(upstream));
            if !self.candidates.any_left(now) {
                return self.go_round();
            }
        }
        if !self.candidates.any_left(now) {
            if !later || self.was_sent_enough(0) {
                return otherwise;
            }
            // What does not exist yet may exist in a moment, on the same upstream too.
            self.candidates = self.dispatch.operation.candidates().once_more();
            self.first_round = false;
            self.second_round |= again;
        }
        let Some(payment) = self.pays_for((kind, retry), again, sent, now) else {
            return otherwise;
        };
        self.payment = payment;
        self.dispatch.state.metrics.retry(kind);
        self.summary
            .failed_over_from
            .get_or_insert_with(|| Arc::clone(upstream));
        NextStep::Launch { after: pause }
    }

    /// Whether others may be asked after this fault. Who has refused it before is not asked again, and
    /// costs nothing.
    fn may_go_on(&mut self, kind: FaultKind, now: Instant) -> bool {
        let any_left = || self.candidates.any_left(now);
        let operation = &self.dispatch.operation;
        operation.may_go_on(kind, &mut self.searched, any_left, now)
    }

    /// It has waited at each upstream, and goes round those that had no free connection until one has.
    fn go_round(&mut self) -> NextStep<O::Answer> {
        for upstream in self.crowded.drain(..) {
            self.candidates.return_again(&upstream);
        }
        let doubled = NEXT_ROUND.saturating_mul(1 << self.rounds.min(10));
        self.rounds += 1;
        NextStep::Launch {
            after: Some(doubled.min(LONGEST_ROUND)),
        }
    }

    /// An upstream that never saw the call was not burdened by it: moving on is free. What goes round
    /// `again` after a broken answer, or to the only upstream, is paid for: that may be broken for good,
    /// and would get twice the calls. `None` if the budget is used up.
    fn pays_for(
        &self,
        (kind, retry): (FaultKind, Retry),
        again: bool,
        sent: bool,
        now: Instant,
    ) -> Option<Payment> {
        let paid = || self.pay(now).then_some(Payment::Budget);
        match retry {
            Retry::SecondOpinion => paid(),
            _ if again && (self.summary.attempts == 1 || !kind.is_transient()) => paid(),
            _ if !sent => Some(Payment::None),
            _ => self.pay_for_retry(now),
        }
    }

    /// Whether a call that failed on every upstream is tried again after a pause: for example when
    /// the connection to a healthy one broke while another is down. The only upstream is asked again
    /// for a read, unless it took its time; other explicit answers would be repeated. While an attempt is
    /// in flight, a broken answer is no reason for more.
    fn begins_again(&self, kind: FaultKind, retry: Retry, now: Instant) -> bool {
        let read = self.demands.idempotency == Idempotency::Read;
        let alone = self.summary.attempts == 1;
        let broken = read && kind.is_broken_answer() && self.running.is_empty();
        let passes = kind.is_transient() || broken;
        retry == Retry::Elsewhere
            && passes
            // A scan that timed out would do so again.
            && !(self.demands.heavy && kind.is_timeout())
            && !(alone && (!read || kind.is_timeout()))
            && !self.second_round
            && self.demands.is_repeatable()
            && !self.candidates.any_left(now)
            && self.dispatch.operation.candidates().any_fit(now)
    }

    /// Whether the call may be sent once more after `further` more attempts. It may go to every
    /// upstream once: which of them can serve it is not known before. Upstreams asked before are
    /// asked again only a limited number of times, as are all when only a better answer is sought.
    pub(super) fn may_attempt_after(&self, further: u32) -> bool {
        let all = self.demands.is_signed_write() || self.first_round;
        (all && !self.demands.counted) || !self.was_sent_enough(further)
    }

    fn was_sent_enough(&self, further: u32) -> bool {
        self.sent + further >= self.dispatch.settings.retry.attempts
    }

    pub(super) fn said_by(&mut self, speaker: Option<AnsweredBy<PeerOf<O>>>) {
        (self.summary.upstream, self.summary.reached) = match speaker {
            Some(AnsweredBy { upstream, reached }) => (Some(upstream), reached),
            None => (None, None),
        };
    }

    /// A verdict that needs no second opinion ends the call, even while a hedge is still out. Only one
    /// that may be contradicted waits a little for an attempt that may have been taken.
    fn final_word(&mut self, kind: FaultKind, now: Instant) -> NextStep<O::Answer> {
        if self.demands.is_signed_write() && !self.running.is_empty() {
            let operation = &self.dispatch.operation;
            if !self.settled.is_certain() && operation.may_be_contradicted(kind) {
                let until = (now + SECOND_WORD).min(self.dispatch.deadline);
                self.due = Some((until, TimerEvent::End));
                return NextStep::Wait;
            }
            self.settled.left_in_doubt();
        }
        self.final_answer()
    }

    pub(super) fn final_answer(&mut self) -> NextStep<O::Answer> {
        let settled = std::mem::take(&mut self.settled);
        let (delivered, speaker) =
            settled.into_delivered(&self.dispatch.operation, self.demands.idempotency);
        self.said_by(speaker);
        NextStep::Deliver(delivered)
    }
}

/// The properties of a bad answer that decide what comes next.
#[derive(Clone, Copy)]
struct BadAnswer {
    kind: FaultKind,
    retry: Retry,
    /// The upstream has seen the call.
    sent: bool,
    /// No attempt began later.
    youngest: bool,
}
