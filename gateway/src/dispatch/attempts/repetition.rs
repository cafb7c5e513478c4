//! Sending an unanswered call to another upstream as well: hedges of reads that are slow or stuck,
//! repetitions of transactions that may be lost, and what pays for them.
//!
//! A read is *slow* when it takes longer than the quickest upstream usually does; a hedge then goes
//! to an upstream where it costs nothing, `hedge.extra` times, paid for by the retry budget. It is
//! *stuck* when no healthy upstream takes so long: from then on it may be sent to any healthy
//! upstream, free of the budget.

use std::time::Duration;

use tokio::time::Instant;

use super::conclusion::SECOND_WORD;
use super::{Attempts, Payment, TimerEvent};
use crate::dispatch::attempt::AttemptReason;
use crate::dispatch::operation::Operation;
use crate::solana::Idempotency;
use crate::upstream::{Choices, ChosenPeer, Peer};

/// What a request takes whose usual latency is not known yet.
const UNKNOWN_LATENCY: Duration = Duration::from_millis(400);
/// The same for scans.
const UNKNOWN_SCAN: Duration = Duration::from_secs(5);
/// No scan counts as slow before this.
const LEAST_SCAN: Duration = Duration::from_secs(1);

/// How often another upstream is tried once a read is stuck.
const AGAIN: Duration = Duration::from_millis(500);

/// How long to wait for a read before hedging.
#[derive(Clone, Copy, Debug)]
pub(super) struct HedgeDelay {
    slow: Duration,
    pub(super) stuck: Duration,
}

impl<O: Operation> Attempts<'_, O> {
    /// Sets the time at which the call has been unanswered for too long, counted from now.
    pub(super) fn arm(&mut self, now: Instant) {
        let settings = self.dispatch.settings;
        let patience = match self.demands.idempotency {
            Idempotency::WriteBySignature => Some(settings.retry.write_after),
            Idempotency::Read if settings.hedge.enabled && self.demands.may_hedge => {
                let patience = self.patience();
                Some(patience.slow.min(patience.stuck))
            }
            Idempotency::Read | Idempotency::WriteOnce | Idempotency::Unknown => None,
        };
        self.due = patience.map(|patience| (now + patience, TimerEvent::Repetition));
    }

    /// The quickest upstream sets the measure, so that a slow one does not set its own. If only one
    /// is known, others are asked when it is stuck by the configured limit, and so become known.
    pub(super) fn patience(&self) -> HedgeDelay {
        let dispatch = self.dispatch;
        let hedge = &dispatch.settings.hedge;
        let usual = dispatch.operation.usual_latency();
        if self.demands.heavy {
            let half = dispatch
                .deadline
                .saturating_duration_since(dispatch.started)
                / 2;
            let usual = usual.map_or(UNKNOWN_SCAN, |(usual, _)| usual);
            return HedgeDelay {
                slow: (usual * 2).max(LEAST_SCAN).max(hedge.floor),
                stuck: half.max(hedge.metered_after),
            };
        }
        let compared = usual.is_some_and(|(_, several)| several);
        let usual = usual.map_or(UNKNOWN_LATENCY, |(usual, _)| usual);
        HedgeDelay {
            slow: usual.max(hedge.floor),
            stuck: if compared {
                usual.max(hedge.metered_after).max(hedge.floor)
            } else {
                hedge.metered_after.max(hedge.floor)
            },
        }
    }

    /// The next timer event. Once an upstream has judged the call, attempts in flight get as long
    /// as another would take; the usual call has nothing to end.
    pub(super) fn next_due(&self) -> Option<(Instant, TimerEvent)> {
        let judged = self.judged.filter(|_| !self.running.is_empty());
        let judged = judged.map(|judged| judged.max(self.launched) + self.last_word());
        let until = match (self.older_until(), judged) {
            (Some(older), Some(judged)) => Some(older.min(judged)),
            (older, judged) => older.or(judged),
        };
        let end = until.map(|until| (until, TimerEvent::End));
        match (self.due, end) {
            (Some(due), Some(end)) if due.0 >= end.0 => Some(end),
            (due, end) => due.or(end),
        }
    }

    /// How long other upstreams may take to contradict an answer.
    fn last_word(&self) -> Duration {
        if self.demands.is_signed_write() {
            return SECOND_WORD;
        }
        let patience = self.patience();
        if self.demands.heavy {
            patience.slow
        } else {
            patience.stuck
        }
    }

    /// Asks another upstream too, and schedules the next check.
    pub(super) fn repeat(&mut self) {
        let now = Instant::now();
        if !self.demands.is_signed_write() {
            self.hedge(now);
        } else if let Some(candidate) = self.candidates.next(now) {
            let hedge = AttemptReason {
                hedge: true,
                ..AttemptReason::default()
            };
            candidate.peer().hedged();
            self.start(candidate, hedge, now);
            self.summary.hedged = true;
            self.dispatch.state.metrics.hedge("started");
        } else {
            self.due = None;
        }
    }

    /// Starts a hedge. If only metered upstreams are left, it waits until the call is not only slow
    /// but stuck.
    fn hedge(&mut self, now: Instant) {
        let patience = self.patience();
        let stuck_at = self.launched + patience.stuck;
        let stuck = now >= stuck_at;
        // An unhealthy upstream may be healthy in a moment.
        let again = if stuck { now + AGAIN } else { stuck_at };
        self.due = Some((again, TimerEvent::Repetition));
        // A stuck call passes every upstream that hangs; each is asked once.
        let allowed = stuck || self.hedges < self.dispatch.settings.hedge.extra;
        if !allowed || !self.candidates.any_hedge(now, stuck) {
            return;
        }
        let lent = stuck && !self.demands.hedges_cost && self.lend(now);
        if !lent && !self.pay(now) {
            self.dispatch.state.metrics.hedge("no_budget");
            return;
        }
        let Some(candidate) = self.candidates.next_hedge(now, stuck) else {
            // No upstream was asked after all.
            self.dispatch.state.budget.refund();
            return;
        };
        self.hedges += 1;
        let hedge = AttemptReason {
            hedge: true,
            paid: true,
            lent,
            ..AttemptReason::default()
        };
        candidate.peer().hedged();
        self.start(candidate, hedge, now);
        self.summary.hedged = true;
        self.dispatch.state.metrics.hedge("started");
    }

    /// Whether another attempt can be afforded. The budget protects upstreams that struggle: a
    /// healthy one takes over even if it is spent, as long as that helps, and no transaction is lost
    /// for lack of budget.
    pub(super) fn pay_for_retry(&self, now: Instant) -> Option<Payment> {
        if self.demands.is_signed_write() {
            return Some(Payment::None);
        }
        if self.candidates.any_fit(now) && self.lend(now) {
            return Some(Payment::Lent);
        }
        self.pay(now).then_some(Payment::Budget)
    }

    fn lend(&self, now: Instant) -> bool {
        let share = self.dispatch.settings.retry.budget;
        self.dispatch.state.budget.lend(share, now)
    }

    pub(super) fn pay(&self, now: Instant) -> bool {
        let retry = &self.dispatch.settings.retry;
        let budget = &self.dispatch.state.budget;
        let paid = budget.withdraw(retry.budget, retry.min_per_second, now);
        if !paid {
            self.dispatch.state.metrics.budget_exhausted();
        }
        paid
    }
}
