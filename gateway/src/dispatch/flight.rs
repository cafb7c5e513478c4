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
//! client knows [`older`]'s; when an unanswered call is sent to another upstream as well is
//! [`repetition`]'s; what becomes of
//! attempts nobody waits for any more is [`losers`]'s.

mod conclusion;
mod losers;
mod older;
mod repetition;
mod search;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use older::Older;

use super::attempt::{self, Attempted, InFlight, Reason};
use super::blame::Accused;
use super::settle::Settled;
use super::tried::UNANSWERED;
use super::{Delivered, Exchange, Trace};
use crate::jsonrpc;
use crate::solana::{Capability, Idempotency};
use crate::upstream::{AttemptLimits, Candidate, Candidates, Need, Outlook, Upstream};

/// While another upstream could answer at once, a connection is waited for this long at most.
const QUEUE: Duration = Duration::from_millis(100);

/// How many times longer an expensive answer may make no headway.
const HEAVY_PATIENCE: u32 = 5;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be true beside any other"
)]
pub(super) struct Flight<'a> {
    exchange: &'a Exchange<'a>,
    candidates: Candidates<'a>,
    request: Bytes,
    attempts: Vec<InFlight>,
    /// What is to be done next if no attempt ends before, and when.
    due: Option<(Instant, Due)>,
    /// Attempts whose bytes reached an upstream; refused connections cost nothing and count for
    /// nothing.
    sent: u32,
    hedges: u32,
    retried_once: bool,
    /// All upstreams have failed, and those that are fit are asked again.
    second_round: bool,
    /// No upstream was asked twice so far.
    first_round: bool,
    /// It has waited for a connection in vain.
    is_crowded: bool,
    /// When the youngest attempt began.
    launched: Instant,
    /// Who did not serve the call.
    accused: Accused,
    older: Older,
    /// When an upstream that is fit last said what the call may be answered with, for want of better.
    judged: Option<Instant>,
    /// Others were asked for a method that nobody knows.
    searched: bool,
    settled: Settled,
    trace: Trace,
}

/// What the passing of time asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The call has had no answer for long enough to ask somebody else as well.
    Repetition,
    /// The pause before a further attempt is over.
    Attempt,
    /// Nothing better is to be expected.
    End,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Event {
    Done(Attempted),
    Due(Due),
}

enum Step {
    Deliver(Delivered),
    Launch { after: Option<Duration> },
    Wait,
    End,
}

impl<'a> Flight<'a> {
    pub(super) fn new(exchange: &'a Exchange<'a>) -> Self {
        let mut request =
            BytesMut::with_capacity(128 + exchange.call.params().map_or(0, <[u8]>::len));
        jsonrpc::encode(exchange.call, &mut request);
        Self {
            candidates: exchange.candidates(),
            exchange,
            request: request.freeze(),
            attempts: Vec::with_capacity(1),
            due: None,
            sent: 0,
            hedges: 0,
            retried_once: false,
            second_round: false,
            first_round: true,
            is_crowded: false,
            launched: exchange.started,
            accused: Accused::default(),
            older: Older::default(),
            judged: None,
            searched: false,
            settled: Settled::default(),
            trace: Trace::default(),
        }
    }

    pub(super) async fn run(&mut self) -> (Delivered, Trace) {
        // A look into deeper history belongs to a call that has been counted.
        if self.exchange.elsewhere.is_none() {
            self.exchange.live.budget.deposit();
        }
        if !self.launch() {
            return self.end();
        }
        loop {
            let due = self.next_due();
            let step = match next_event(&mut self.attempts, due).await {
                Event::Done(attempted) => self.conclude(attempted),
                Event::Due(Due::Attempt) => Step::Launch { after: None },
                Event::Due(Due::Repetition) => {
                    self.repeat();
                    Step::Wait
                }
                Event::Due(Due::End) => Step::End,
            };
            match step {
                Step::Deliver(delivered) => return self.deliver(delivered),
                Step::Wait => {}
                Step::End => return self.end(),
                Step::Launch { after: Some(pause) } => {
                    self.due = Some((Instant::now() + pause, Due::Attempt));
                }
                Step::Launch { after: None } => {
                    if !self.launch() && self.attempts.is_empty() {
                        return self.end();
                    }
                }
            }
        }
    }

    /// Starts an attempt at the next candidate; `false` when there is none.
    fn launch(&mut self) -> bool {
        let now = Instant::now();
        let Some(candidate) = self.candidates.next(now) else {
            self.due = None;
            return false;
        };
        self.start(candidate, Reason::default(), now);
        true
    }

    /// Starts an attempt, and with it the time after which it is unanswered for too long.
    fn start(&mut self, candidate: Candidate, reason: Reason, now: Instant) {
        self.trace.attempts += 1;
        let reason = Reason {
            number: self.trace.attempts,
            ..reason
        };
        let limits = self.limits(&candidate, now);
        let commitment = self.exchange.class.context.commitment;
        let request = self.request.clone();
        let attempt = attempt::start(candidate, request, limits, commitment, reason, now);
        self.attempts.push(if reason.paid {
            attempt.paid_by(&self.exchange.live.budget)
        } else {
            attempt
        });
        self.launched = now;
        self.arm(now);
    }

    /// Every attempt but the last may use half of what is left of the caller's time, so that a
    /// silent upstream leaves time for another; a scan, which may need all of it, is joined by
    /// another instead. While there is another upstream, a connection is not waited for longer than
    /// that one would need.
    fn limits(&self, candidate: &Candidate, now: Instant) -> AttemptLimits {
        let exchange = self.exchange;
        let left = exchange.deadline.saturating_duration_since(now);
        let next = self.candidates.outlook(now);
        let alone = next == Outlook::Nobody;
        let last = alone || !self.may_attempt_after(1);
        let timeouts = &candidate.upstream().settings().timeouts;
        let first_byte = if exchange.class.heavy {
            left.min(timeouts.first_byte_heavy)
        } else if last || !self.is_repeatable() {
            left.min(timeouts.first_byte)
        } else {
            (left / 2).min(timeouts.first_byte)
        };
        // Where others are as busy, whichever has a connection first will do.
        let queue = if alone && !self.is_crowded {
            left
        } else if next == Outlook::Fit {
            QUEUE.min(timeouts.connect)
        } else {
            timeouts.connect
        };
        // The last one has no better to give way to.
        let progress = match exchange.class.heavy {
            _ if last || !self.is_repeatable() => left,
            true => timeouts.progress * HEAVY_PATIENCE,
            false => timeouts.progress,
        };
        AttemptLimits {
            deadline: exchange.deadline,
            queue: now + queue,
            first_byte,
            progress,
            answer_buffer: exchange.settings.answer_buffer,
            ledger_only: exchange.ledger_only,
            replayable: self.is_repeatable(),
            ask: exchange.ask,
        }
    }

    /// Whether this kind of call may be sent a second time while the first is unanswered.
    fn is_repeatable(&self) -> bool {
        self.exchange.class.profile().idempotency.is_repeatable()
    }

    /// Whether this is a transaction, which its signature keeps from happening twice.
    fn is_signed_write(&self) -> bool {
        self.exchange.class.profile().idempotency == Idempotency::WriteBySignature
    }

    /// From here on only upstreams with this capability; `false` when there is none left.
    fn narrow(&mut self, capability: Capability) -> bool {
        self.candidates.narrow(capability);
        self.candidates.any_left(Instant::now())
    }

    fn deliver(&mut self, delivered: Delivered) -> (Delivered, Trace) {
        if !self.attempts.is_empty() {
            let stuck = self.patience().stuck;
            for loser in self.attempts.drain(..) {
                let (upstream, took) = (loser.witness.upstream(), loser.started.elapsed());
                self.trace.tried(loser.number, upstream, UNANSWERED, took);
                losers::leave_behind(loser, self.exchange, stuck);
            }
        }
        if let (Some(from), Some(to)) = (&self.trace.failed_over_from, &self.trace.upstream)
            && !Arc::ptr_eq(from, to)
        {
            self.exchange.live.metrics.failover(from.id(), to.id());
        }
        (delivered, std::mem::take(&mut self.trace))
    }

    fn end(&mut self) -> (Delivered, Trace) {
        if self.is_signed_write() && !self.attempts.is_empty() {
            self.settled.left_in_doubt();
        }
        let mut settled = std::mem::take(&mut self.settled);
        settled.note_paused(self.candidates.paused(Instant::now()));
        let (delivered, speaker) = settled.into_delivered(self.exchange);
        self.said_by(speaker);
        self.deliver(delivered)
    }
}

/// Waits for the first attempt to finish, or for what is due.
async fn next_event(in_flight: &mut Vec<InFlight>, due: Option<(Instant, Due)>) -> Event {
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
        None => Event::Done(first_done.await),
        Some((at, due)) => tokio::select! {
            biased;
            attempted = first_done => Event::Done(attempted),
            () = sleep_until(at) => Event::Due(due),
        },
    }
}

impl<'a> Exchange<'a> {
    fn candidates(&'a self) -> Candidates<'a> {
        let need = Need {
            params: self.call.params(),
            floor: self.session.slot_floor(),
            history: self.elsewhere,
            strange: self.is_strange(),
            priority: self.ask.priority,
            ..Need::of(self.class, self.call.method())
        };
        self.pool.candidates(need)
    }

    fn observe_latency(&self, upstream: &Upstream, latency: Duration) {
        let quantile = self.settings.hedge.quantile;
        let live = upstream.live();
        live.observe_latency(self.class.method, latency, quantile);
    }
}

#[cfg(test)]
mod tests;
