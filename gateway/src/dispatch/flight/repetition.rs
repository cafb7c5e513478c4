//! Asking another upstream as well while the first has not answered: hedges of reads that are slow,
//! repetitions of transactions that may be lost, and what they are paid from.

use std::time::Duration;

use tokio::time::Instant;

use super::{Due, Flight};
use crate::solana::Idempotency;

/// Hedge timer of a method whose latency is not known yet.
const UNKNOWN_LATENCY: Duration = Duration::from_secs(1);

impl Flight<'_> {
    /// Sets the time at which the call has been unanswered for too long, counted from now.
    pub(super) fn arm(&mut self, now: Instant) {
        let settings = self.exchange.settings;
        let patience = match self.exchange.class.profile().idempotency {
            Idempotency::WriteBySignature => Some(settings.retry.write_after),
            Idempotency::Read => self.hedge_after(),
            Idempotency::WriteOnce | Idempotency::Unknown => None,
        };
        self.due = patience.map(|patience| (now + patience, Due::Repetition));
    }

    /// After how long a hedge is due, if there may be one.
    fn hedge_after(&self) -> Option<Duration> {
        let hedge = &self.exchange.settings.hedge;
        let hedged = hedge.enabled && !self.exchange.class.heavy && self.hedges < hedge.extra;
        hedged.then(|| self.usual_latency().max(hedge.floor))
    }

    fn usual_latency(&self) -> Duration {
        let latency = self.exchange.live.latency(self.exchange.class.method);
        latency.estimate().unwrap_or(UNKNOWN_LATENCY)
    }

    /// Asks another upstream too, and says when to look again.
    pub(super) fn repeat(&mut self) {
        let now = Instant::now();
        if !self.is_signed_write() {
            self.hedge(now);
        } else if let Some(candidate) = self.candidates.next(now) {
            self.start(candidate, true, now);
            self.trace.hedged = true;
            self.exchange.live.metrics.hedge("started");
        } else {
            self.due = None;
        }
    }

    /// Starts a hedge. Where only upstreams that charge are left, it waits until the call is not
    /// slow any more but stuck.
    fn hedge(&mut self, now: Instant) {
        self.due = None;
        let settings = &self.exchange.settings.hedge;
        let stuck_at = self.exchange.started + settings.metered_after;
        let charging = now >= stuck_at;
        if !self.candidates.any_hedge(now, charging) {
            self.due = (!charging).then_some((stuck_at, Due::Repetition));
            return;
        }
        if !self.pay(now) {
            self.exchange.live.metrics.hedge("no_budget");
            return;
        }
        let Some(candidate) = self.candidates.next_hedge(now, charging) else {
            return;
        };
        self.hedges += 1;
        self.start(candidate, true, now);
        self.trace.hedged = true;
        self.exchange.live.metrics.hedge("started");
    }

    /// Whether a further attempt can be afforded. The budget protects upstreams that struggle: one
    /// that is fit takes what another has failed at, and no transaction is lost for want of it.
    pub(super) fn pay_for_retry(&self, now: Instant) -> bool {
        self.is_signed_write() || self.candidates.any_fit(now) || self.pay(now)
    }

    fn pay(&self, now: Instant) -> bool {
        let retry = &self.exchange.settings.retry;
        let budget = &self.exchange.live.budget;
        let paid = budget.withdraw(retry.budget, retry.min_per_second, now);
        if !paid {
            self.exchange.live.metrics.budget_exhausted();
        }
        paid
    }
}
