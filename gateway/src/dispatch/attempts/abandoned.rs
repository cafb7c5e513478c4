//! Attempts whose answers are no longer waited for. They run on, so that their connections can be
//! reused, and so that an upstream that never answers in time is noticed: if it loses every race,
//! only the abandoned attempts show it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dispatch::attempt::{FinishedAttempt, RunningAttempt};
use crate::dispatch::operation::{Judge, JudgedAttempt, Operation};
use crate::dispatch::request::Dispatch;
use crate::solana::FaultKind;
use crate::upstream::{AttemptWitness, ChosenPeer};

/// A request that is still unanswered this long after another upstream has answered it will not be.
const LIMIT: Duration = Duration::from_secs(5);
/// The same for scans.
const HEAVY_LIMIT: Duration = Duration::from_mins(1);

/// Lets an attempt finish; counts a defeat against its upstream once it is unanswered for `stuck`
/// since its start, and a timeout at the limit. Scans are not timed against others.
pub(super) fn leave_behind<O: Operation>(
    attempt: RunningAttempt<O::Request, O::Chosen>,
    dispatch: &Dispatch<'_, O>,
    heavy: bool,
    stuck: Duration,
) {
    let now = Instant::now();
    let mut loser = AbandonedAttempt {
        judge: dispatch.operation.detach(),
        stuck_at: (!heavy).then_some(attempt.started + stuck),
        until: now + if heavy { HEAVY_LIMIT } else { LIMIT },
        quantile: dispatch.settings.hedge.quantile,
        attempt,
    };
    if loser.stuck_at.is_some_and(|stuck_at| stuck_at <= now) {
        loser.defeated();
    }
    drop(tokio::spawn(loser.run()));
}

struct AbandonedAttempt<J: Judge> {
    attempt: RunningAttempt<J::Request, J::Chosen>,
    judge: J,
    /// When it counts as a defeat; `None` once it has, and for scans.
    stuck_at: Option<Instant>,
    until: Instant,
    quantile: f64,
}

impl<J: Judge> AbandonedAttempt<J> {
    fn defeated(&mut self) {
        self.stuck_at = None;
        if !self.attempt.witness.is_written() {
            return;
        }
        let upstream = self.attempt.witness.peer();
        self.judge
            .hold_against(upstream, FaultKind::FirstByteTimeout);
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
        if let JudgedAttempt::Good { latency, .. } = judged {
            self.judge
                .observe_latency(candidate.peer(), latency, self.quantile);
        }
    }

    /// An attempt that still waits for a connection is not a failure of the upstream.
    fn never_finished(self) {
        if self.attempt.witness.is_written() {
            self.judge.never_answered(&self.attempt.witness);
        }
    }
}
