//! All attempts for one call: which one starts when, and which answer is delivered.
//!
//! ```text
//! launch ─▶ in flight ─▶ good ────────────────────────────▶ delivered
//!              │  ▲        bad ─▶ retry allowed? ─ yes ─▶ launch on the next candidate
//!        hedge ▼  │                      └─ no ─▶ others in flight? wait : best answer so far
//!          launch ┘
//! ```

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep, sleep_until};

use super::attempt::{self, Attempted, InFlight, Judged};
use super::settle::{Settled, Speaker};
use super::{Delivered, Exchange, Trace};
use crate::jsonrpc;
use crate::solana::{Capability, FaultKind, Idempotency, Retry, Verdict};
use crate::upstream::{AttemptLimits, Candidate, Candidates, Need, Upstream};

/// The losers of a race may take this long to give their connection back.
const LOSER_LIMIT: Duration = Duration::from_secs(10);
/// Hedge timer of a method whose latency is not known yet.
const UNKNOWN_LATENCY: Duration = Duration::from_secs(1);

pub(super) struct Flight<'a> {
    exchange: &'a Exchange<'a>,
    candidates: Candidates<'a>,
    request: Bytes,
    attempts: Vec<InFlight>,
    /// Attempts whose bytes reached an upstream; refused connections cost nothing and count for
    /// nothing.
    sent: u32,
    hedges: u32,
    retried_once: bool,
    /// Some upstream may have seen the call more than once, or more than one of them.
    repeated: bool,
    settled: Settled,
    trace: Trace,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Event {
    Done(Attempted),
    HedgeDue,
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
            sent: 0,
            hedges: 0,
            retried_once: false,
            repeated: false,
            settled: Settled::default(),
            trace: Trace::default(),
        }
    }

    pub(super) async fn run(mut self) -> (Delivered, Trace) {
        self.exchange.live.budget.deposit();
        if !self.launch() {
            return self.end();
        }
        let mut hedge_at = self.hedge_due();
        loop {
            match next_event(&mut self.attempts, hedge_at).await {
                Event::HedgeDue => hedge_at = self.hedge(),
                Event::Done(attempted) => match self.conclude(attempted) {
                    Step::Deliver(delivered) => return self.deliver(delivered),
                    Step::Wait => {}
                    Step::End => return self.end(),
                    Step::Launch { after } => {
                        if let Some(pause) = after {
                            sleep(pause).await;
                        }
                        if !self.launch() && self.attempts.is_empty() {
                            return self.end();
                        }
                    }
                },
            }
        }
    }

    /// Starts an attempt at the next candidate; `false` when there is none.
    fn launch(&mut self) -> bool {
        let now = Instant::now();
        let Some(candidate) = self.candidates.next(now) else {
            return false;
        };
        self.start(candidate, false, now);
        true
    }

    fn start(&mut self, candidate: Candidate, hedge: bool, now: Instant) {
        self.trace.attempts += 1;
        let limits = self.limits(&candidate, now);
        let commitment = self.exchange.class.context.commitment;
        let request = self.request.clone();
        self.attempts.push(attempt::start(
            candidate, request, limits, commitment, hedge,
        ));
    }

    /// Every attempt but the last may use half of what is left of the caller's time, so that a
    /// silent upstream leaves time for another. While there is another one, a connection is not
    /// waited for longer than a new one may take.
    fn limits(&self, candidate: &Candidate, now: Instant) -> AttemptLimits {
        let exchange = self.exchange;
        let left = exchange.deadline.saturating_duration_since(now);
        let alone = !self.candidates.any_left(now);
        let last = alone || self.sent + 1 >= exchange.settings.retry.attempts;
        let share = if last || !self.may_repeat() {
            left
        } else {
            left / 2
        };
        let timeouts = &candidate.upstream().settings().timeouts;
        let queue = if alone { left } else { timeouts.connect };
        AttemptLimits {
            deadline: exchange.deadline,
            queue: now + queue,
            first_byte: share.min(timeouts.first_byte),
            answer_buffer: exchange.settings.answer_buffer,
            ledger_only: exchange.ledger_only,
            replayable: self.may_repeat()
                || exchange.class.profile().idempotency == Idempotency::WriteBySignature,
        }
    }

    /// Whether this kind of call may ever be sent a second time while the first is unanswered.
    fn may_repeat(&self) -> bool {
        self.exchange.class.profile().idempotency == Idempotency::Read
    }

    /// When the first hedge is due, if there may be one.
    fn hedge_due(&self) -> Option<Instant> {
        let hedge = &self.exchange.settings.hedge;
        let hedged = hedge.enabled && self.may_repeat() && !self.exchange.class.heavy;
        hedged.then(|| Instant::now() + self.usual_latency().max(hedge.floor))
    }

    fn usual_latency(&self) -> Duration {
        let latency = self.exchange.live.latency(self.exchange.class.method);
        latency.estimate().unwrap_or(UNKNOWN_LATENCY)
    }

    /// Starts a hedge, and says when to look for another. Where only upstreams that charge are
    /// left, it waits until the call is not slow any more but stuck.
    fn hedge(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let settings = &self.exchange.settings.hedge;
        let stuck_at = self.exchange.started + settings.metered_after;
        let charging = now >= stuck_at;
        if !self.candidates.any_hedge(now, charging) {
            return (!charging).then_some(stuck_at);
        }
        if !self.pay_for_repetition() {
            self.exchange.live.metrics.hedge("no_budget");
            return None;
        }
        let candidate = self.candidates.next_hedge(now, charging)?;
        self.start(candidate, true, now);
        self.hedges += 1;
        self.trace.hedged = true;
        self.exchange.live.metrics.hedge("started");
        let again = now + self.usual_latency().max(settings.floor);
        (self.hedges < settings.extra).then_some(again)
    }

    fn pay_for_repetition(&self) -> bool {
        let retry = &self.exchange.settings.retry;
        let paid =
            self.exchange
                .live
                .budget
                .withdraw(retry.budget, retry.min_per_second, Instant::now());
        if !paid {
            self.exchange.live.metrics.budget_exhausted();
        }
        paid
    }

    /// Draws the conclusion from one finished attempt.
    fn conclude(&mut self, attempted: Attempted) -> Step {
        let exchange = self.exchange;
        let (sent, hedge) = (attempted.bytes_sent(), attempted.hedge);
        let reached = attempted.reached;
        self.sent += u32::from(sent);
        self.repeated |= attempted.resent() || self.sent > 1;
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
            Judged::Bad { verdict, .. } if self.is_landed(&verdict) => {
                self.said_by(Some(speaker));
                match exchange.signature() {
                    Some(signature) => Step::Deliver(Delivered::Payload(signature)),
                    None => self.final_answer(),
                }
            }
            Judged::Bad { verdict, payload } => {
                self.settled
                    .note(&verdict, payload, &speaker, sent, exchange.class);
                self.retry(&speaker.upstream, verdict.kind, verdict.retry, sent)
            }
        }
    }

    /// Whether a refusal only says that our own repetition came second: the transaction is in.
    fn is_landed(&self, verdict: &Verdict) -> bool {
        self.repeated && verdict.kind == FaultKind::AlreadyProcessed
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
        let attempts_left = self.sent < self.exchange.settings.retry.attempts;
        let later = retry == Retry::ElsewhereLater;
        let pause = later.then_some(self.exchange.settings.retry.later);
        let time_left = Instant::now() + pause.unwrap_or_default() < self.exchange.deadline;
        let wanted = match retry {
            Retry::Final => return self.final_answer(),
            Retry::ElsewhereOnce if std::mem::replace(&mut self.retried_once, true) => false,
            Retry::Capable(capability) => self.narrow(capability),
            Retry::Elsewhere | Retry::ElsewhereOnce | Retry::ElsewhereLater => true,
        };
        if !self.attempts.is_empty() {
            return Step::Wait;
        }
        if !wanted || !attempts_left || !time_left {
            return Step::End;
        }
        if !self.candidates.any_left(Instant::now()) {
            if !later {
                return Step::End;
            }
            // What is not there yet may be there in a moment, on the same upstream too.
            self.candidates = self.exchange.candidates();
        }
        // An upstream that never saw the call was not burdened by it: moving on is free.
        if sent && !self.pay_for_repetition() {
            return Step::End;
        }
        self.exchange.live.metrics.retry(kind);
        self.trace
            .failed_over_from
            .get_or_insert_with(|| Arc::clone(upstream));
        Step::Launch { after: pause }
    }

    fn said_by(&mut self, speaker: Option<Speaker>) {
        (self.trace.upstream, self.trace.reached) = match speaker {
            Some(Speaker { upstream, reached }) => (Some(upstream), reached),
            None => (None, None),
        };
    }

    /// A final answer ends the call, even while a hedge is still out.
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
            leave_behind(loser, self.exchange);
        }
        if let (Some(from), Some(to)) = (&self.trace.failed_over_from, &self.trace.upstream)
            && !Arc::ptr_eq(from, to)
        {
            self.exchange.live.metrics.failover(from.id(), to.id());
        }
        (delivered, self.trace)
    }

    fn end(mut self) -> (Delivered, Trace) {
        let settled = std::mem::take(&mut self.settled);
        let (delivered, speaker) = settled.into_delivered(self.exchange);
        self.said_by(speaker);
        self.deliver(delivered)
    }
}

/// Waits for the first attempt to finish, or for the hedge timer.
async fn next_event(in_flight: &mut Vec<InFlight>, hedge_at: Option<Instant>) -> Event {
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
    match hedge_at {
        None => Event::Done(first_done.await),
        Some(at) => tokio::select! {
            biased;
            attempted = first_done => Event::Done(attempted),
            () = sleep_until(at) => Event::HedgeDue,
        },
    }
}

/// Lets an attempt whose answer nobody waits for finish, so that its connection can be used again,
/// and so that an upstream which never answers in time is known for it: where every race is lost,
/// only the losers can tell.
fn leave_behind(attempt: InFlight, exchange: &Exchange<'_>) {
    let class = *exchange.class;
    let method = exchange.call.method().to_owned();
    let unix_now = exchange.live.unix_now;
    drop(tokio::spawn(async move {
        if let Ok(attempted) = tokio::time::timeout(LOSER_LIMIT, attempt).await {
            drop(attempted.judge(&class, &method, unix_now));
        }
    }));
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
