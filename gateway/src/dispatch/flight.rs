//! All attempts for one call: which one starts when, and which answer is delivered.
//!
//! ```text
//! launch ─▶ in flight ─▶ good ────────────────────────────▶ delivered
//!              │  ▲        bad ─▶ retry allowed? ─ yes ─▶ launch on the next candidate
//!     no answer ▼  │                     └─ no ─▶ others in flight? wait : best answer so far
//!          launch ┘
//! ```
//!
//! When an unanswered call is sent to another upstream as well is [`repetition`]'s; what becomes of
//! attempts nobody waits for any more is [`losers`]'s.

mod losers;
mod repetition;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use super::attempt::{self, Attempted, InFlight, Judged};
use super::settle::{Settled, Speaker};
use super::{Delivered, Exchange, Trace};
use crate::jsonrpc;
use crate::solana::{Capability, FaultKind, Idempotency, Retry, Verdict};
use crate::upstream::{AttemptLimits, Candidate, Candidates, Health, Need, Upstream};

/// While another upstream could answer at once, a connection is waited for this long at most.
const QUEUE: Duration = Duration::from_millis(100);
/// A node this many slots behind the others may know less than they do about a transaction.
const FRESH_LAG: u64 = 2;
/// How long an answer to an earlier attempt is waited for when a preflight failed meanwhile.
const SECOND_WORD: Duration = Duration::from_secs(1);

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
            settled: Settled::default(),
            trace: Trace::default(),
        }
    }

    pub(super) async fn run(mut self) -> (Delivered, Trace) {
        self.exchange.live.budget.deposit();
        if !self.launch() {
            return self.end();
        }
        loop {
            let step = match next_event(&mut self.attempts, self.due).await {
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
        self.start(candidate, false, now);
        true
    }

    /// Starts an attempt, and with it the time after which it is unanswered for too long.
    fn start(&mut self, candidate: Candidate, hedge: bool, now: Instant) {
        self.trace.attempts += 1;
        let limits = self.limits(&candidate, now);
        let commitment = self.exchange.class.context.commitment;
        let request = self.request.clone();
        self.attempts.push(attempt::start(
            candidate, request, limits, commitment, hedge,
        ));
        self.arm(now);
    }

    /// Every attempt but the last may use half of what is left of the caller's time, so that a
    /// silent upstream leaves time for another. While there is another one, a connection is not
    /// waited for longer than that one would need.
    fn limits(&self, candidate: &Candidate, now: Instant) -> AttemptLimits {
        let exchange = self.exchange;
        let left = exchange.deadline.saturating_duration_since(now);
        let alone = !self.candidates.any_left(now);
        let last = alone || self.sent + 1 >= exchange.settings.retry.attempts;
        let share = if last || !self.is_repeatable() {
            left
        } else {
            left / 2
        };
        let timeouts = &candidate.upstream().settings().timeouts;
        let queue = if alone {
            left
        } else if self.candidates.any_fit(now) {
            QUEUE.min(timeouts.connect)
        } else {
            timeouts.connect
        };
        AttemptLimits {
            deadline: exchange.deadline,
            queue: now + queue,
            first_byte: share.min(timeouts.first_byte),
            answer_buffer: exchange.settings.answer_buffer,
            ledger_only: exchange.ledger_only,
            replayable: self.is_repeatable(),
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

    /// Draws the conclusion from one finished attempt.
    fn conclude(&mut self, attempted: Attempted) -> Step {
        let exchange = self.exchange;
        let (sent, hedge) = (attempted.bytes_sent(), attempted.hedge);
        let reached = attempted.reached;
        // What is under way may have arrived just as well.
        let repeated = attempted.resent() || self.sent > 0 || !self.attempts.is_empty();
        self.sent += u32::from(sent);
        let method = exchange.call.method();
        let (candidate, judged) = attempted.judge(exchange.class, method, exchange.live.unix_now);
        let speaker = Speaker {
            upstream: Arc::clone(candidate.upstream()),
            reached,
        };
        match judged {
            Judged::Good { payload, latency } => {
                exchange.observe_latency(latency);
                if exchange.goes_backwards(&payload) {
                    self.settled.note_stale(payload, &speaker);
                    let kind = FaultKind::BehindSession;
                    return self.retry(&speaker.upstream, kind, Retry::Elsewhere, sent);
                }
                exchange.raise_floor(&payload);
                if hedge {
                    exchange.live.metrics.hedge("won");
                }
                self.said_by(Some(speaker));
                Step::Deliver(Delivered::Payload(payload))
            }
            Judged::Bad { verdict, .. } if repeated && is_landed(&verdict) => {
                self.said_by(Some(speaker));
                match exchange.signature() {
                    Some(signature) => Step::Deliver(Delivered::Payload(signature)),
                    None => self.final_answer(),
                }
            }
            Judged::Bad { verdict, payload } => {
                let retry = self.where_next(&verdict, &speaker.upstream);
                self.settled
                    .note(&verdict, payload, &speaker, sent, exchange.class);
                self.retry(&speaker.upstream, verdict.kind, retry, sent)
            }
        }
    }

    /// Where to ask next, given who has spoken. What a node that trails the others finds wrong with
    /// a transaction may be right on theirs.
    fn where_next(&self, verdict: &Verdict, upstream: &Upstream) -> Retry {
        let live = upstream.live();
        let trails = live.health() != Health::Healthy || live.lag() > FRESH_LAG;
        if verdict.kind == FaultKind::SimulationFailed && self.is_signed_write() && trails {
            return Retry::Elsewhere;
        }
        verdict.retry
    }

    /// Decides what comes after an answer that was not good.
    fn retry(
        &mut self,
        upstream: &Arc<Upstream>,
        kind: FaultKind,
        retry: Retry,
        sent: bool,
    ) -> Step {
        self.trace.fault = Some(kind);
        let now = Instant::now();
        let later = retry == Retry::ElsewhereLater;
        let pause = later.then_some(self.exchange.settings.retry.later);
        let time_left = now + pause.unwrap_or_default() < self.exchange.deadline;
        let wanted = match retry {
            Retry::Final => return self.final_word(kind, now),
            Retry::ElsewhereOnce if std::mem::replace(&mut self.retried_once, true) => false,
            Retry::Capable(capability) => self.narrow(capability),
            Retry::Elsewhere | Retry::ElsewhereOnce | Retry::ElsewhereLater => true,
        };
        let others = !self.attempts.is_empty();
        // The youngest attempt was the hope of the call; while it is out there is no hurry.
        if others && (later || !wanted || !self.is_signed_write()) {
            return Step::Wait;
        }
        let otherwise = if others { Step::Wait } else { Step::End };
        if !wanted || !self.may_attempt() || !time_left {
            return otherwise;
        }
        if !self.candidates.any_left(now) {
            if !later {
                return otherwise;
            }
            // What is not there yet may be there in a moment, on the same upstream too.
            self.candidates = self.exchange.candidates();
        }
        // An upstream that never saw the call was not burdened by it: moving on is free.
        if sent && !self.pay_for_retry(now) {
            return otherwise;
        }
        self.exchange.live.metrics.retry(kind);
        self.trace
            .failed_over_from
            .get_or_insert_with(|| Arc::clone(upstream));
        Step::Launch { after: pause }
    }

    /// Whether the call may be sent once more. A transaction may go to every upstream there is.
    fn may_attempt(&self) -> bool {
        self.is_signed_write() || self.sent < self.exchange.settings.retry.attempts
    }

    fn said_by(&mut self, speaker: Option<Speaker>) {
        (self.trace.upstream, self.trace.reached) = match speaker {
            Some(Speaker { upstream, reached }) => (Some(upstream), reached),
            None => (None, None),
        };
    }

    /// A verdict that needs no second opinion ends the call, even while a hedge is still out. Only a
    /// failed preflight waits a little for an attempt that may have been taken.
    fn final_word(&mut self, kind: FaultKind, now: Instant) -> Step {
        if self.is_signed_write() && !self.attempts.is_empty() {
            if !self.settled.is_certain() && kind == FaultKind::SimulationFailed {
                let until = (now + SECOND_WORD).min(self.exchange.deadline);
                self.due = Some((until, Due::End));
                return Step::Wait;
            }
            self.settled.left_in_doubt();
        }
        self.final_answer()
    }

    fn final_answer(&mut self) -> Step {
        let settled = std::mem::take(&mut self.settled);
        let (delivered, speaker) = settled.into_delivered(self.exchange);
        self.said_by(speaker);
        Step::Deliver(delivered)
    }

    /// From here on only upstreams with this capability; `false` when there is none left.
    fn narrow(&mut self, capability: Capability) -> bool {
        self.candidates.narrow(capability);
        self.candidates.any_left(Instant::now())
    }

    fn deliver(mut self, delivered: Delivered) -> (Delivered, Trace) {
        for loser in self.attempts.drain(..) {
            losers::leave_behind(loser, self.exchange);
        }
        if let (Some(from), Some(to)) = (&self.trace.failed_over_from, &self.trace.upstream)
            && !Arc::ptr_eq(from, to)
        {
            self.exchange.live.metrics.failover(from.id(), to.id());
        }
        (delivered, self.trace)
    }

    fn end(mut self) -> (Delivered, Trace) {
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

/// Whether a refusal only says that the transaction is in.
fn is_landed(verdict: &Verdict) -> bool {
    verdict.kind == FaultKind::AlreadyProcessed
}

/// Waits for the first attempt to finish, or for what is due.
async fn next_event(in_flight: &mut Vec<InFlight>, due: Option<(Instant, Due)>) -> Event {
    let first_done = poll_fn(|cx| {
        for i in 0..in_flight.len() {
            if let Some(attempt) = in_flight.get_mut(i)
                && let Poll::Ready(attempted) = attempt.as_mut().poll(cx)
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
            floor: self.slot_floor(),
            ..Need::of(self.class, self.call.method())
        };
        self.pool.candidates(need)
    }

    fn observe_latency(&self, latency: Duration) {
        self.live
            .latency(self.class.method)
            .observe(latency, self.settings.hedge.quantile);
    }
}
