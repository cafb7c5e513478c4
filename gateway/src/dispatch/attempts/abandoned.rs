//! Attempts whose answers are no longer waited for. They run on, so that their connections can be
//! reused, and so that an upstream that never answers in time is noticed: if it loses every race,
//! only the abandoned attempts show it.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use super::Attempts;
use crate::dispatch::attempt::{FinishedAttempt, RunningAttempt};
use crate::dispatch::attempt_record::UNANSWERED;
use crate::dispatch::operation::{Judge, JudgedAttempt, Operation};
use crate::dispatch::request::Dispatch;
use crate::upstream::{AttemptWitness, ChosenPeer};

/// A request that is still unanswered this long after another upstream has answered it will not be.
const LIMIT: Duration = Duration::from_secs(5);
/// The same for scans.
const HEAVY_LIMIT: Duration = Duration::from_mins(1);

/// Whoever takes less than this many times as long as the quickest is not slow: all take so long now,
/// and who answers first is chance.
const SLOWER: u32 = 2;

/// How long an attempt may be unanswered before it is a defeat: `stuck`, or longer if the answer that is
/// delivered took longer, counted from its own start. `None` if nobody has answered.
fn defeat_after(stuck: Duration, won: Option<Duration>) -> Option<Duration> {
    won.map(|won| stuck.max(won.saturating_mul(SLOWER)))
}

/// Lets an attempt finish; counts a defeat against its upstream once it is unanswered for `stuck`
/// since its start, and a timeout at the limit. Scans are not timed against others. `served`: another
/// has served the request.
fn leave_behind<O: Operation>(
    attempt: RunningAttempt<O::Request, O::Chosen>,
    dispatch: &Dispatch<'_, O>,
    (heavy, served): (bool, bool),
    stuck: Option<Duration>,
) {
    let now = Instant::now();
    let mut loser = AbandonedAttempt {
        judge: dispatch.operation.detach(),
        stuck_at: stuck
            .filter(|_| !heavy)
            .map(|stuck| attempt.started + stuck),
        until: now + if heavy { HEAVY_LIMIT } else { LIMIT },
        quantile: dispatch.settings.hedge.quantile,
        served,
        attempt,
    };
    if loser.stuck_at.is_some_and(|stuck_at| stuck_at <= now) {
        loser.defeated();
    }
    drop(tokio::spawn(loser.run()));
}

impl<O: Operation> Attempts<'_, O> {
    /// Lets the attempts finish that nobody waits for any more.
    pub(super) fn leave_the_rest_behind(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let stuck = defeat_after(self.patience().stuck, self.answered_in());
        let kind = (self.demands.heavy, self.summary.won.is_some());
        for loser in self.running.drain(..) {
            let (upstream, took) = (loser.witness.peer(), loser.started.elapsed());
            self.summary.tried(loser.number, upstream, UNANSWERED, took);
            leave_behind(loser, self.dispatch, kind, stuck);
        }
    }

    /// Whoever asked has gone: what must not be cut short goes on to its end.
    fn outlive_its_caller(&mut self) {
        let operation = &self.dispatch.operation;
        if self.running.is_empty() || !operation.outlives_its_caller() {
            return;
        }
        for attempt in self.running.drain(..) {
            // Not while the gateway itself ends.
            if let Ok(runtime) = Handle::try_current()
                && attempt.witness.is_written()
            {
                let until = (Instant::now() + LIMIT).max(self.dispatch.deadline);
                let left = AbandonedAttempt {
                    judge: operation.detach(),
                    stuck_at: None,
                    until,
                    quantile: self.dispatch.settings.hedge.quantile,
                    served: false,
                    attempt,
                };
                drop(runtime.spawn(left.run()));
            }
        }
    }

    /// How long the answer took that is delivered, from the start of its own attempt; no time at all if
    /// it is an error, or delivered for want of a better.
    fn answered_in(&self) -> Option<Duration> {
        let won = self.summary.won.map(|(_, took)| took);
        let answered = self.judged.is_some() || self.older.asked > 0;
        won.or_else(|| answered.then_some(Duration::ZERO))
    }
}

/// Nothing is in flight any more unless the request was given up.
impl<O: Operation> Drop for Attempts<'_, O> {
    fn drop(&mut self) {
        self.outlive_its_caller();
    }
}

struct AbandonedAttempt<J: Judge> {
    attempt: RunningAttempt<J::Request, J::Chosen>,
    judge: J,
    /// When it counts as a defeat; `None` once it has, and for scans.
    stuck_at: Option<Instant>,
    until: Instant,
    quantile: f64,
    /// Another upstream has served the request.
    served: bool,
}

impl<J: Judge> AbandonedAttempt<J> {
    fn defeated(&mut self) {
        self.stuck_at = None;
        if !self.attempt.witness.is_written() {
            return;
        }
        self.judge.defeated(self.attempt.witness.peer());
    }

    async fn run(mut self) {
        let mut done = None;
        if let Some(stuck_at) = self.stuck_at.filter(|stuck_at| *stuck_at < self.until) {
            done = timeout_at(stuck_at, &mut self.attempt).await.ok();
            if done.is_none() {
                self.defeated();
            }
        }
        if done.is_none() {
            done = timeout_at(self.until, &mut self.attempt).await.ok();
        }
        match done {
            Some(attempted) => self.finished(attempted),
            None => self.never_finished(),
        }
    }

    fn finished(self, attempted: FinishedAttempt<J::Request, J::Chosen>) {
        let mut candidate = attempted.candidate;
        let status = attempted.reply.as_ref().ok().map(|reply| reply.status);
        let judged = self.judge.judge(&mut candidate, attempted.reply);
        judged.note(&attempted.span, status);
        match judged {
            JudgedAttempt::Good { latency, .. } => {
                self.judge
                    .observe_latency(candidate.peer(), latency, self.quantile);
            }
            JudgedAttempt::Bad { verdict, .. } if self.served => {
                self.judge.failed_late(candidate.peer(), &verdict);
            }
            JudgedAttempt::Bad { .. } => {}
        }
    }

    /// An attempt that still waits for a connection is not a failure of the upstream.
    fn never_finished(self) {
        if self.attempt.witness.is_written() {
            self.judge
                .never_answered(&self.attempt.witness, self.served);
        }
    }
}
