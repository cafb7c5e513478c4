//! All attempts for one call: which one starts when, and which answer is delivered.
//!
//! ```text
//! launch ─▶ in flight ─▶ good ────────────────────────────▶ delivered
//!              │  ▲        bad ─▶ retry allowed? ─ yes ─▶ launch on the next candidate
//!     no answer ▼  │                     └─ no ─▶ others in flight? wait : best answer so far
//!          launch ┘
//! ```
//!
//! [`conclusion`] decides what follows from a finished attempt, [`stale`] what follows from an
//! answer older than what its client was shown; [`repetition`] decides when an unanswered call is
//! also sent to another upstream; [`abandoned`] handles attempts that are no longer waited for.

mod abandoned;
mod conclusion;
mod repetition;
mod search;
mod stale;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use stale::StaleAnswers;

use super::attempt::{self, AttemptReason, FinishedAttempt, RunningAttempt};
use super::attempt_record::UNANSWERED;
use super::best_failure::BestFailure;
use super::blame::Accused;
use super::{AttemptSummary, Delivered, Dispatch};
use crate::jsonrpc;
use crate::solana::{Capability, Idempotency};
use crate::upstream::{AttemptLimits, CallRequirements, Candidate, Candidates, Outlook, Upstream};

/// While another upstream could answer immediately, a connection is waited for at most this long.
const QUEUE: Duration = Duration::from_millis(100);

/// How many times longer an expensive answer may make no progress.
const HEAVY_PATIENCE: u32 = 5;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true beside any other"
)]
pub(super) struct Attempts<'a> {
    dispatch: &'a Dispatch<'a>,
    candidates: Candidates<'a>,
    request: Bytes,
    running: Vec<RunningAttempt>,
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
    /// It has waited for a connection without getting one.
    is_crowded: bool,
    /// When the youngest attempt began.
    launched: Instant,
    /// The upstreams that did not serve the call.
    accused: Accused,
    older: StaleAnswers,
    /// When a healthy upstream last gave an answer that can be delivered if no better one arrives.
    judged: Option<Instant>,
    /// Other upstreams were asked for an unknown method.
    searched: bool,
    settled: BestFailure,
    summary: AttemptSummary,
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

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum AttemptEvent {
    Done(FinishedAttempt),
    Due(TimerEvent),
}

enum NextStep {
    Deliver(Delivered),
    Launch { after: Option<Duration> },
    Wait,
    End,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(dispatch: &'a Dispatch<'a>) -> Self {
        let mut request =
            BytesMut::with_capacity(128 + dispatch.call.params().map_or(0, <[u8]>::len));
        jsonrpc::encode(dispatch.call, &mut request);
        Self {
            candidates: dispatch.candidates(),
            dispatch,
            request: request.freeze(),
            running: Vec::with_capacity(1),
            due: None,
            sent: 0,
            hedges: 0,
            retried_once: false,
            second_round: false,
            first_round: true,
            is_crowded: false,
            launched: dispatch.started,
            accused: Accused::default(),
            older: StaleAnswers::default(),
            judged: None,
            searched: false,
            settled: BestFailure::default(),
            summary: AttemptSummary::default(),
        }
    }

    pub(super) async fn run(&mut self) -> (Delivered, AttemptSummary) {
        // A question for deeper history belongs to a call that has been counted.
        if self.dispatch.deeper.is_none() {
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
        let Some(candidate) = self.candidates.next(now) else {
            self.due = None;
            return false;
        };
        self.start(candidate, AttemptReason::default(), now);
        true
    }

    /// Starts an attempt, and with it the timer after which it is unanswered for too long.
    fn start(&mut self, candidate: Candidate, reason: AttemptReason, now: Instant) {
        self.summary.attempts += 1;
        let reason = AttemptReason {
            number: self.summary.attempts,
            ..reason
        };
        let limits = self.limits(&candidate, now);
        let commitment = self.dispatch.class.context.commitment;
        let request = self.request.clone();
        let attempt = attempt::start(candidate, request, limits, commitment, reason, now);
        self.running.push(if reason.paid {
            attempt.paid_by(&self.dispatch.state.budget)
        } else {
            attempt
        });
        self.launched = now;
        self.arm(now);
    }

    /// Every attempt but the last may use half of the caller's remaining time, so that a silent
    /// upstream leaves time for another; a scan, which may need all of it, is hedged instead. While
    /// there is another upstream, waiting for a connection is limited to the time that one would
    /// need.
    fn limits(&self, candidate: &Candidate, now: Instant) -> AttemptLimits {
        let dispatch = self.dispatch;
        let left = dispatch.deadline.saturating_duration_since(now);
        let next = self.candidates.outlook(now);
        let alone = next == Outlook::Nobody;
        let last = alone || !self.may_attempt_after(1);
        let timeouts = &candidate.upstream().settings().timeouts;
        let first_byte = if dispatch.class.heavy {
            left.min(timeouts.first_byte_heavy)
        } else if last || !self.is_repeatable() {
            left.min(timeouts.first_byte)
        } else {
            (left / 2).min(timeouts.first_byte)
        };
        // If others are as busy, the first with a free connection will do.
        let queue = if alone && !self.is_crowded {
            left
        } else if next == Outlook::Fit {
            QUEUE.min(timeouts.connect)
        } else {
            timeouts.connect
        };
        // The last attempt has no better one to give way to.
        let progress = match dispatch.class.heavy {
            _ if last || !self.is_repeatable() => left,
            true => timeouts.progress * HEAVY_PATIENCE,
            false => timeouts.progress,
        };
        AttemptLimits {
            deadline: dispatch.deadline,
            queue: now + queue,
            first_byte,
            progress,
            answer_buffer: dispatch.settings.answer_buffer,
            ledger_only: dispatch.ledger_only,
            replayable: self.is_repeatable(),
            ask: dispatch.ask,
        }
    }

    /// Whether this kind of call may be sent a second time while the first is unanswered.
    fn is_repeatable(&self) -> bool {
        self.dispatch.class.profile().idempotency.is_repeatable()
    }

    /// Whether this is a transaction, which its signature keeps from executing twice.
    fn is_signed_write(&self) -> bool {
        self.dispatch.class.profile().idempotency == Idempotency::WriteBySignature
    }

    /// From here on only upstreams with this capability; `false` if none is left.
    fn narrow(&mut self, capability: Capability) -> bool {
        self.candidates.narrow(capability);
        self.candidates.any_left(Instant::now())
    }

    fn deliver(&mut self, delivered: Delivered) -> (Delivered, AttemptSummary) {
        if !self.running.is_empty() {
            let stuck = self.patience().stuck;
            for loser in self.running.drain(..) {
                let (upstream, took) = (loser.witness.upstream(), loser.started.elapsed());
                self.summary.tried(loser.number, upstream, UNANSWERED, took);
                abandoned::leave_behind(loser, self.dispatch, stuck);
            }
        }
        if let (Some(from), Some(to)) = (&self.summary.failed_over_from, &self.summary.upstream)
            && !Arc::ptr_eq(from, to)
        {
            self.dispatch.state.metrics.failover(from.id(), to.id());
        }
        (delivered, std::mem::take(&mut self.summary))
    }

    fn end(&mut self) -> (Delivered, AttemptSummary) {
        if self.is_signed_write() && !self.running.is_empty() {
            self.settled.left_in_doubt();
        }
        let mut settled = std::mem::take(&mut self.settled);
        settled.note_paused(self.candidates.paused(Instant::now()));
        let (delivered, speaker) = settled.into_delivered(self.dispatch);
        self.said_by(speaker);
        self.deliver(delivered)
    }
}

/// Waits for the first attempt to finish, or for the next timer event.
async fn next_event(
    in_flight: &mut Vec<RunningAttempt>,
    due: Option<(Instant, TimerEvent)>,
) -> AttemptEvent {
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

impl<'a> Dispatch<'a> {
    fn candidates(&'a self) -> Candidates<'a> {
        let requirements = CallRequirements {
            params: self.call.params(),
            floor: self.session.slot_floor(),
            history: self.deeper,
            strange: self.is_strange(),
            priority: self.ask.priority,
            ..CallRequirements::of(self.class, self.call.method())
        };
        self.pool.candidates(requirements)
    }

    fn observe_latency(&self, upstream: &Upstream, latency: Duration) {
        let quantile = self.settings.hedge.quantile;
        let live = upstream.state();
        live.observe_latency(self.class.method, latency, quantile);
    }
}

#[cfg(test)]
mod tests;
