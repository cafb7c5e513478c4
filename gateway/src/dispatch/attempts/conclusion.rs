//! What follows from a finished attempt: its answer is delivered, another upstream is asked, or
//! other attempts are waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Attempts, NextStep, TimerEvent};
use crate::dispatch::Delivered;
use crate::dispatch::attempt::{AttemptReason, FinishedAttempt, JudgedAttempt};
use crate::dispatch::best_failure::{AnsweredBy, FailureAnswer};
use crate::solana::{Blame, FaultKind, Heads, Penalty, Retry, Verdict};
use crate::upstream::{Health, Upstream};

/// A node this many slots behind the others may know less than they do about a transaction.
const FRESH_LAG: u64 = 2;
/// How long an earlier attempt is waited for after a transaction was refused.
pub(super) const SECOND_WORD: Duration = Duration::from_secs(1);

/// Pause between two rounds of a call that waits for a connection at each upstream in turn.
const NEXT_ROUND: Duration = Duration::from_millis(10);

impl Attempts<'_> {
    /// Draws the conclusion from one finished attempt.
    pub(super) fn conclude(&mut self, attempted: FinishedAttempt) -> NextStep {
        let dispatch = self.dispatch;
        let (sent, reason) = (attempted.bytes_sent(), attempted.reason);
        let started = attempted.started;
        let (reached, youngest) = (attempted.reached, attempted.started >= self.launched);
        // An attempt in flight may have arrived just as well.
        let repeated = attempted.resent() || self.sent > 0 || !self.running.is_empty();
        self.sent += u32::from(sent);
        let unix_now = dispatch.state.unix_now;
        let (candidate, judged) = attempted.judge(dispatch.class, dispatch.call, unix_now);
        let speaker = AnsweredBy {
            upstream: Arc::clone(candidate.upstream()),
            reached,
        };
        match judged {
            JudgedAttempt::Good {
                payload,
                latency,
                heads,
            } => {
                dispatch.observe_latency(&speaker.upstream, latency);
                self.accused.settle(dispatch, &speaker.upstream);
                if let Some(doubt) = self.doubt(&heads, &speaker.upstream) {
                    self.lost(reason, &speaker, doubt, latency);
                    return self.older(payload, &heads, &speaker, doubt);
                }
                self.summary.told_heads = dispatch.session.tell(&heads);
                self.is_served();
                self.won(reason, &speaker, latency);
                self.said_by(Some(speaker));
                NextStep::Deliver(Delivered::Payload(payload))
            }
            JudgedAttempt::Bad { verdict, .. } if repeated && is_landed(&verdict) => {
                self.accused.settle(dispatch, &speaker.upstream);
                self.won(reason, &speaker, started.elapsed());
                self.said_by(Some(speaker));
                match dispatch.signature() {
                    Some(signature) => NextStep::Deliver(Delivered::Payload(signature)),
                    None => self.final_answer(),
                }
            }
            JudgedAttempt::Bad {
                verdict,
                payload,
                page,
            } => {
                self.lost(reason, &speaker, verdict.kind, started.elapsed());
                let next = BadAnswer {
                    kind: verdict.kind,
                    retry: self.where_next(&verdict, &speaker.upstream),
                    sent,
                    youngest,
                };
                self.bad(&verdict, FailureAnswer { payload, page }, &speaker, next)
            }
        }
    }

    /// Why a good answer is delivered only if there is no better one.
    fn doubt(&self, heads: &Heads, upstream: &Upstream) -> Option<FaultKind> {
        if self.dispatch.session.goes_backwards(heads) {
            return Some(FaultKind::BehindSession);
        }
        let suspect = heads.slot().is_some() && upstream.state().health() == Health::Suspect;
        suspect.then_some(FaultKind::SlotInDoubt)
    }

    /// An attempt gave the answer that is delivered.
    fn won(&mut self, reason: AttemptReason, speaker: &AnsweredBy, took: Duration) {
        self.summary.won = Some((reason.number, took));
        if reason.hedge {
            self.dispatch.state.metrics.hedge("won");
            speaker.upstream.state().won_hedge();
        }
    }

    /// An attempt gave no answer that could be delivered at once.
    fn lost(
        &mut self,
        reason: AttemptReason,
        speaker: &AnsweredBy,
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
        said: FailureAnswer,
        speaker: &AnsweredBy,
        next: BadAnswer,
    ) -> NextStep {
        let dispatch = self.dispatch;
        if next.sent {
            let upstream = &speaker.upstream;
            self.accused
                .note(upstream, verdict, speaker.reached, dispatch);
        }
        let told = said.payload.is_some();
        // The upstream is healthy and the fault concerns the call: others are waited for only
        // briefly.
        if told
            && (verdict.blame != Blame::Upstream || verdict.penalty == Penalty::None)
            && speaker.upstream.state().health() == Health::Healthy
        {
            self.judged = Some(Instant::now());
        }
        self.settled
            .note(verdict, said, speaker, next.sent, dispatch.class);
        self.retry(&speaker.upstream, next)
    }

    /// Where to ask next, given which upstream answered. What a node that trails the others finds
    /// wrong with a transaction may be right for them.
    fn where_next(&self, verdict: &Verdict, upstream: &Upstream) -> Retry {
        let live = upstream.state();
        let trails = live.health() != Health::Healthy || live.lag() > FRESH_LAG;
        if verdict.kind == FaultKind::SimulationFailed && self.is_signed_write() && trails {
            return Retry::Elsewhere;
        }
        verdict.retry
    }

    /// Decides what comes after an answer that was not good.
    fn retry(&mut self, upstream: &Arc<Upstream>, next: BadAnswer) -> NextStep {
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
            _ if !self.searches_on(kind, now) => false,
            _ if once && std::mem::replace(&mut self.retried_once, true) => false,
            Retry::Capable(capability) => self.narrow(capability),
            // Handled after this call, by `history`.
            Retry::Deeper => false,
            _ => true,
        };
        let others = !self.running.is_empty();
        // While the latest attempt is in flight there is no hurry.
        let hurry = youngest || self.is_signed_write();
        if others && (retry == Retry::ElsewhereLater || !wanted || !hurry) {
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
            self.is_crowded = true;
            if !self.candidates.any_left(now) {
                // It has waited at each of them, and goes round until one has a free connection.
                self.candidates = self.dispatch.candidates();
                return NextStep::Launch {
                    after: Some(NEXT_ROUND),
                };
            }
        }
        if !self.candidates.any_left(now) {
            if !later || self.was_sent_enough(0) {
                return otherwise;
            }
            // What does not exist yet may exist in a moment, on the same upstream too.
            self.candidates = self.dispatch.candidates().once_more();
            self.first_round = false;
            self.second_round |= again;
        }
        if !self.pays_for(retry, sent, now) {
            return otherwise;
        }
        self.dispatch.state.metrics.retry(kind);
        self.summary
            .failed_over_from
            .get_or_insert_with(|| Arc::clone(upstream));
        NextStep::Launch { after: pause }
    }

    /// An upstream that never saw the call was not burdened by it: moving on is free.
    fn pays_for(&self, retry: Retry, sent: bool, now: Instant) -> bool {
        match retry {
            Retry::SecondOpinion => self.pay(now),
            _ => !sent || self.pay_for_retry(now),
        }
    }

    /// Whether a call that failed on every upstream is tried again after a pause: for example when
    /// the connection to a healthy one broke while another is down. Explicit answers would be
    /// repeated.
    fn begins_again(&self, kind: FaultKind, retry: Retry, now: Instant) -> bool {
        retry == Retry::Elsewhere
            && kind.is_transient()
            // A scan that timed out would do so again.
            && !(self.dispatch.class.heavy && kind.is_timeout())
            && !self.second_round
            && self.summary.attempts > 1
            && self.is_repeatable()
            && !self.candidates.any_left(now)
            && self.dispatch.candidates().any_fit(now)
    }

    /// Whether the call may be sent once more after `further` more attempts. It may go to every
    /// upstream once: which of them can serve it is not known before. Upstreams asked before are
    /// asked again only a limited number of times, as are all when only a better answer is sought.
    pub(super) fn may_attempt_after(&self, further: u32) -> bool {
        let all = self.is_signed_write() || self.first_round;
        (all && self.dispatch.deeper.is_none()) || !self.was_sent_enough(further)
    }

    fn was_sent_enough(&self, further: u32) -> bool {
        self.sent + further >= self.dispatch.settings.retry.attempts
    }

    pub(super) fn said_by(&mut self, speaker: Option<AnsweredBy>) {
        (self.summary.upstream, self.summary.reached) = match speaker {
            Some(AnsweredBy { upstream, reached }) => (Some(upstream), reached),
            None => (None, None),
        };
    }

    /// A verdict that needs no second opinion ends the call, even while a hedge is in flight. Only
    /// a failed preflight waits briefly for an attempt that may have been accepted.
    fn final_word(&mut self, kind: FaultKind, now: Instant) -> NextStep {
        if self.is_signed_write() && !self.running.is_empty() {
            if !self.settled.is_certain() && kind == FaultKind::SimulationFailed {
                let until = (now + SECOND_WORD).min(self.dispatch.deadline);
                self.due = Some((until, TimerEvent::End));
                return NextStep::Wait;
            }
            self.settled.left_in_doubt();
        }
        self.final_answer()
    }

    pub(super) fn final_answer(&mut self) -> NextStep {
        let settled = std::mem::take(&mut self.settled);
        let (delivered, speaker) = settled.into_delivered(self.dispatch);
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

/// Whether a refusal only says that the transaction has been processed already.
fn is_landed(verdict: &Verdict) -> bool {
    verdict.kind == FaultKind::AlreadyProcessed
}
