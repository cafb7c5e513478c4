//! Attempts whose answers are no longer waited for. They run on, so that their connections can be
//! reused, and so that an upstream that never answers in time is noticed: if it loses every race,
//! only the abandoned attempts show it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::dispatch::Dispatch;
use crate::dispatch::attempt::{FinishedAttempt, JudgedAttempt, RunningAttempt};
use crate::jsonrpc::Call;
use crate::solana::{Class, FaultKind, Verdict};
use crate::upstream::AttemptOutcome;

/// A call still unanswered this long after another upstream answered it counts as timed out.
const LIMIT: Duration = Duration::from_secs(5);
/// The same for scans.
const HEAVY_LIMIT: Duration = Duration::from_mins(1);

/// Lets an attempt finish; counts a defeat against its upstream once it is unanswered for `stuck`
/// since its start, and a timeout at the limit. Scans are not timed against others.
pub(super) fn leave_behind(attempt: RunningAttempt, dispatch: &Dispatch<'_>, stuck: Duration) {
    let now = Instant::now();
    let mut loser = AbandonedAttempt {
        class: *dispatch.class,
        call: dispatch.call.clone(),
        stuck_at: (!dispatch.class.heavy).then_some(attempt.started + stuck),
        until: now
            + if dispatch.class.heavy {
                HEAVY_LIMIT
            } else {
                LIMIT
            },
        quantile: dispatch.settings.hedge.quantile,
        unix_now: dispatch.state.unix_now,
        attempt,
    };
    if loser.stuck_at.is_some_and(|stuck_at| stuck_at <= now) {
        loser.defeated();
    }
    drop(tokio::spawn(loser.run()));
}

struct AbandonedAttempt {
    attempt: RunningAttempt,
    class: Class,
    call: Call,
    /// When it counts as a defeat; `None` once it has, and for scans.
    stuck_at: Option<Instant>,
    until: Instant,
    quantile: f64,
    unix_now: fn() -> u64,
}

impl AbandonedAttempt {
    fn defeated(&mut self) {
        self.stuck_at = None;
        if !self.attempt.witness.is_written() {
            return;
        }
        let upstream = self.attempt.witness.upstream();
        let (method, params) = (self.call.method(), self.call.params());
        upstream.refused(method, params, FaultKind::FirstByteTimeout);
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

    fn finished(self, attempted: FinishedAttempt) {
        let (candidate, judged) = attempted.judge(&self.class, &self.call, self.unix_now);
        if let JudgedAttempt::Good { latency, .. } = judged {
            let live = candidate.upstream().state();
            live.observe_latency(self.class.method, latency, self.quantile);
        }
    }

    /// An attempt that still waits for a connection is not a failure of the upstream.
    fn never_finished(self) {
        if !self.attempt.witness.is_written() {
            return;
        }
        let verdict = Verdict::transport(FaultKind::FirstByteTimeout, &self.class, true);
        self.attempt.witness.record(&AttemptOutcome::Fault {
            class: &self.class,
            method: self.call.method(),
            verdict: &verdict,
            status: None,
        });
    }
}
