//! All attempts for one call: which one starts when, and which answer is delivered.
//!
//! ```text
//! launch ─▶ in flight ─▶ good ────────────────────────────▶ delivered
//!              │  ▲        bad ─▶ retry allowed? ─ yes ─▶ launch on the next candidate
//!     no answer ▼  │                     └─ no ─▶ others in flight? wait : best answer so far
//!          launch ┘
//! ```
//!
//! What follows from a finished attempt is [`conclusion`]'s, from an answer that is older than its
//! client knows [`stale`]'s; when an unanswered call is sent to another upstream as well is
//! [`repetition`]'s; what becomes of attempts nobody waits for any more is [`abandoned`]'s.

mod abandoned;
mod conclusion;
mod limits;
mod repetition;
mod stale;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::attempt::{self, AttemptReason, FinishedAttempt, RunningAttempt};
use super::attempt_summary::AttemptSummary;
use super::best_failure::BestFailure;
use super::blame::Accused;
use super::delivered::Delivered;
use super::operation::{Demands, Operation, PeerOf};
use super::request::Dispatch;
use crate::error::Rejection;
use crate::solana::Capability;
use crate::upstream::WireRequest;
use crate::upstream::{Choices, ChosenPeer, Peer};

#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true beside any other"
)]
pub(super) struct Attempts<'a, O: Operation> {
    dispatch: &'a Dispatch<'a, O>,
    demands: Demands,
    candidates: O::Choices,
    running: Vec<RunningAttempt<O::Request, O::Chosen>>,
    /// What is to be done next if no attempt ends before, and when.
    due: Option<(Instant, TimerEvent)>,
    /// Attempts whose bytes reached an upstream; refused connections cost nothing and do not count.
    sent: u32,
    hedges: u32,
    retried_once: bool,
    /// All upstreams have failed, and the healthy ones are being asked again.
    second_round: bool,
    /// No upstream has been asked twice so far.
    first_round: bool,
    /// What the next attempt has cost the retry budget.
    payment: Payment,
    /// The upstreams at which it has waited for a connection without getting one, in this round.
    crowded: Vec<Arc<PeerOf<O>>>,
    /// How often it has gone round them.
    rounds: u32,
    /// When the youngest attempt began.
    launched: Instant,
    /// The upstreams that did not serve the call.
    accused: Accused<PeerOf<O>>,
    older: StaleAnswers,
    /// When a healthy upstream last gave an answer that can be delivered if no better one arrives.
    judged: Option<Instant>,
    /// Others were asked for what the first did not know.
    searched: bool,
    settled: BestFailure<O::Answer, PeerOf<O>>,
    /// What the delivered answer says of its age, unless it is delivered for want of a better.
    freshness: Option<O::Freshness>,
    summary: AttemptSummary<PeerOf<O>, O::Notes>,
}

/// The stale answers so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StaleAnswers {
    asked: u32,
    /// When the best of them is delivered.
    until: Option<Instant>,
}

/// What all attempts together came to.
pub(super) struct AttemptsOutcome<O: Operation> {
    pub(super) delivered: Delivered<O::Answer>,
    /// Of an answer that is in no doubt, what it says of its age.
    pub(super) freshness: Option<O::Freshness>,
    pub(super) summary: AttemptSummary<PeerOf<O>, O::Notes>,
}

/// What is due as time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimerEvent {
    /// The call has been unanswered long enough to ask another upstream as well.
    Repetition,
    /// The pause before a further attempt is over.
    Attempt,
    /// No better answer is to be expected.
    End,
}

/// What an attempt costs the retry budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payment {
    None,
    /// Returned if it serves the call.
    Lent,
    Budget,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum AttemptEvent<R: WireRequest, C> {
    Done(FinishedAttempt<R, C>),
    Due(TimerEvent),
}

enum NextStep<Answer> {
    Deliver(Delivered<Answer>),
    Launch { after: Option<Duration> },
    Wait,
    End,
}

impl<'a, O: Operation> Attempts<'a, O> {
    pub(super) fn new(dispatch: &'a Dispatch<'a, O>) -> Self {
        let operation = &dispatch.operation;
        Self {
            demands: operation.demands(),
            candidates: operation.candidates(),
            dispatch,
            running: Vec::with_capacity(1),
            due: None,
            sent: 0,
            hedges: 0,
            retried_once: false,
            second_round: false,
            first_round: true,
            payment: Payment::None,
            crowded: Vec::new(),
            rounds: 0,
            launched: dispatch.started,
            accused: Accused::default(),
            older: StaleAnswers::default(),
            judged: None,
            searched: false,
            settled: BestFailure::default(),
            freshness: None,
            summary: AttemptSummary::default(),
        }
    }

    pub(super) async fn run(&mut self) -> AttemptsOutcome<O> {
        if !self.demands.counted {
            self.dispatch.state.budget.deposit();
        }
        if !self.launch() {
            return self.end();
        }
        loop {
            let due = self.next_due();
            let step = match next_event(&mut self.running, due).await {
                AttemptEvent::Done(attempted) => self.conclude(attempted),
                AttemptEvent::Due(TimerEvent::Attempt) => NextStep::Launch { after: None },
                AttemptEvent::Due(TimerEvent::Repetition) => {
                    self.repeat();
                    NextStep::Wait
                }
                AttemptEvent::Due(TimerEvent::End) => NextStep::End,
            };
            match step {
                NextStep::Deliver(delivered) => return self.deliver(delivered),
                NextStep::Wait => {}
                NextStep::End => return self.end(),
                NextStep::Launch { after: Some(pause) } => {
                    self.due = Some((Instant::now() + pause, TimerEvent::Attempt));
                }
                NextStep::Launch { after: None } => {
                    if !self.launch() && self.running.is_empty() {
                        return self.end();
                    }
                }
            }
        }
    }

    /// Starts an attempt at the next candidate; `false` if there is none.
    fn launch(&mut self) -> bool {
        let now = Instant::now();
        let payment = std::mem::replace(&mut self.payment, Payment::None);
        let paid = payment != Payment::None;
        let Some(candidate) = self.candidates.next(now) else {
            if paid {
                self.dispatch.state.budget.refund();
            }
            self.due = None;
            return false;
        };
        let reason = AttemptReason {
            paid,
            lent: payment == Payment::Lent,
            ..AttemptReason::default()
        };
        self.start(candidate, reason, now);
        true
    }

    /// Starts an attempt, and with it the timer after which it is unanswered for too long.
    fn start(&mut self, candidate: O::Chosen, reason: AttemptReason, now: Instant) {
        self.summary.attempts += 1;
        let reason = AttemptReason {
            number: self.summary.attempts,
            ..reason
        };
        let span = attempt::span_of(self.dispatch, candidate.peer(), reason);
        let limits = self.limits(&candidate, &span, now);
        let reached = self.dispatch.operation.reached(candidate.peer());
        let request = self.dispatch.operation.request(candidate.peer());
        let attempt = attempt::start(candidate, request, limits, reached, reason, (span, now));
        self.running.push(if reason.paid {
            attempt.paid_by(&self.dispatch.state.budget)
        } else {
            attempt
        });
        self.launched = now;
        self.arm(now);
    }

    /// From here on only upstreams with this capability; `false` if none is left.
    fn narrow(&mut self, capability: Capability) -> bool {
        self.candidates.narrow(capability);
        self.candidates.any_left(Instant::now())
    }

    fn deliver(&mut self, delivered: Delivered<O::Answer>) -> AttemptsOutcome<O> {
        if std::mem::replace(&mut self.payment, Payment::None) != Payment::None {
            // It was not made after all.
            self.dispatch.state.budget.refund();
        }
        self.leave_the_rest_behind();
        if let (Some(from), Some(to)) = (&self.summary.failed_over_from, &self.summary.upstream)
            && !Arc::ptr_eq(from, to)
        {
            let metrics = &self.dispatch.state.metrics;
            metrics.failover(from.name(), to.name());
        }
        AttemptsOutcome {
            delivered,
            freshness: self.freshness.take(),
            summary: std::mem::take(&mut self.summary),
        }
    }

    fn end(&mut self) -> AttemptsOutcome<O> {
        if self.demands.is_signed_write() && !self.running.is_empty() {
            self.settled.left_in_doubt();
        }
        let mut settled = std::mem::take(&mut self.settled);
        settled.note_paused(self.candidates.paused(Instant::now()));
        let (delivered, speaker) =
            settled.into_delivered(&self.dispatch.operation, self.demands.idempotency);
        if matches!(
            delivered,
            Delivered::Rejected(Rejection::RateLimited { .. } | Rejection::BudgetSpent { .. })
        ) {
            self.dispatch.operation.is_limited();
        }
        self.said_by(speaker);
        self.deliver(delivered)
    }
}

/// Waits for the first attempt to finish, or for the next timer event.
async fn next_event<R: WireRequest, C: ChosenPeer>(
    in_flight: &mut Vec<RunningAttempt<R, C>>,
    due: Option<(Instant, TimerEvent)>,
) -> AttemptEvent<R, C> {
    let first_done = poll_fn(|cx| {
        for i in 0..in_flight.len() {
            if let Some(attempt) = in_flight.get_mut(i)
                && let Poll::Ready(attempted) = Pin::new(attempt).poll(cx)
            {
                drop(in_flight.swap_remove(i));
                return Poll::Ready(attempted);
            }
        }
        Poll::Pending
    });
    match due {
        None => AttemptEvent::Done(first_done.await),
        Some((at, due)) => tokio::select! {
            biased;
            attempted = first_done => AttemptEvent::Done(attempted),
            () = sleep_until(at) => AttemptEvent::Due(due),
        },
    }
}

#[cfg(test)]
mod tests;
