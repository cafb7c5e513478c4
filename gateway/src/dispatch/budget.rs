//! The retry budget: retries and hedges may add at most a share on top of the requests, so that a
//! failing cluster is not overloaded by retries.
//!
//! Not here: whether an answer may be retried at all (`solana::judge`) and where (`upstream`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The balance is halved after each of these spans, so that a quiet night does not pay for a storm
/// at dawn.
const HORIZON: Duration = Duration::from_secs(10);
/// Spans after which the balance is practically zero.
const FORGOTTEN: f64 = 64.0;
/// Attempts at fit upstreams that may be in flight, or in vain, beyond what requests have earned.
const MOST_LENT: f64 = 200.0;

/// A token bucket that every request fills by `ratio` and every retry or hedge empties by one. A
/// reserve refilled over time lets a gateway with little traffic retry at all. It does not come on
/// top: what it lends is paid back from what requests earn.
#[derive(Debug)]
pub struct RetryBudget {
    /// Requests since the last withdrawal; folded into `state` lazily to keep deposits lock-free.
    deposits: AtomicU64,
    state: Mutex<RetryBudgetState>,
}

#[derive(Debug)]
struct RetryBudgetState {
    earned: f64,
    reserve: f64,
    refilled: Instant,
    window_started: Instant,
}

impl RetryBudget {
    /// Starts with a full reserve of `per_second` (see [`Self::withdraw`]) times the horizon.
    pub fn new(now: Instant) -> Self {
        Self {
            deposits: AtomicU64::new(0),
            state: Mutex::new(RetryBudgetState {
                earned: 0.0,
                reserve: f64::INFINITY,
                refilled: now,
                window_started: now,
            }),
        }
    }

    /// Counts one request of a client.
    pub fn deposit(&self) {
        self.deposits.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the price of one retry that was never sent, or of a lent one that served its call.
    pub fn refund(&self) {
        self.state.lock().earned += 1.0;
    }

    /// Takes the price of one retry or hedge; `false` when the budget is spent.
    ///
    /// `ratio` is the share of requests that may be retried (0.2 = 20 %), `per_second` the retries
    /// per second that are always allowed. They are passed in because a reload may change them
    /// while the balance lives on.
    pub fn withdraw(&self, ratio: f64, per_second: u32, now: Instant) -> bool {
        let mut state = self.state.lock();
        self.earn(&mut state, ratio, now);
        let elapsed = now.saturating_duration_since(state.refilled).as_secs_f64();
        state.refilled = now;
        state.reserve = (state.reserve + elapsed * f64::from(per_second))
            .min(f64::from(per_second) * HORIZON.as_secs_f64());
        if state.earned < 1.0 && state.reserve < 1.0 {
            return false;
        }
        state.earned -= 1.0;
        state.reserve = (state.reserve - 1.0).max(0.0);
        true
    }

    /// Takes the price of an attempt at an upstream that is fit, and so likely to serve the call.
    /// Then the price is to be [returned](Self::refund), and such attempts are as good as free: they
    /// need not have been earned. `false` if many were in vain, so that nothing is fit.
    pub fn lend(&self, ratio: f64, now: Instant) -> bool {
        let mut state = self.state.lock();
        self.earn(&mut state, ratio, now);
        if state.earned <= -MOST_LENT {
            return false;
        }
        state.earned -= 1.0;
        true
    }

    /// Adds the share of the requests since the last time.
    fn earn(&self, state: &mut RetryBudgetState, ratio: f64, now: Instant) {
        let fresh = self.deposits.swap(0, Ordering::Relaxed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of requests, far below 2^52"
        )]
        let fresh = fresh as f64;
        let since = now.saturating_duration_since(state.window_started);
        let spans = (since.as_secs_f64() / HORIZON.as_secs_f64()).floor();
        // Their times are not known: the same number is assumed for each span.
        let deserved = fresh * ratio / spans.max(1.0);
        if spans >= 1.0 {
            let left = 0.5_f64.powf(spans.min(FORGOTTEN));
            // All of the last span, half of the one before, and so on.
            state.earned = state.earned * left + deserved * 2.0 * (1.0 - left);
            state.window_started = now;
        } else {
            state.earned += deserved;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawals(budget: &RetryBudget, ratio: f64, per_second: u32, now: Instant) -> usize {
        std::iter::from_fn(|| budget.withdraw(ratio, per_second, now).then_some(()))
            .take(100_000)
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_requests_may_be_repeated() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget, 0.2, 0, now), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_gateway_may_still_repeat_some() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        assert_eq!(
            withdrawals(&budget, 0.2, 10, now),
            100,
            "the reserve starts full"
        );
        assert_eq!(
            withdrawals(&budget, 0.2, 10, now + Duration::from_secs(1)),
            10
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_not_added_to_the_share() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        // In advance, while little is earned, and then in a storm.
        assert_eq!(withdrawals(&budget, 0.2, 10, now), 100);
        (0..5000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget, 0.2, 10, now), 900);
        let budget = RetryBudget::new(now);
        (0..5000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget, 0.2, 10, now), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lent_is_paid_back_unless_it_helped() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        for _ in 0..10_000 {
            assert!(budget.lend(0.2, now));
            budget.refund();
        }
        (0..5000).for_each(|_| budget.deposit());
        let lent = std::iter::from_fn(|| budget.lend(0.2, now).then_some(())).count();
        assert_eq!(lent, 1200, "a thousand of them were earned");
        (0..1000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget, 0.2, 0, now), 0);
        (0..5000).for_each(|_| budget.deposit());
        assert_eq!(withdrawals(&budget, 0.2, 0, now), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_earned_long_ago_fades() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        (0..1000).for_each(|_| budget.deposit());
        assert!(budget.withdraw(0.2, 0, start));
        let rest = withdrawals(&budget, 0.2, 0, start + Duration::from_secs(11));
        assert!(
            (95..=100).contains(&rest),
            "half of 199 is left, not {rest}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_night_does_not_pay_for_a_storm_at_dawn() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        // 8 h of 1000 a second, and nothing to be repeated.
        let night = 8 * 3600_u64;
        budget.deposits.store(night * 1000, Ordering::Relaxed);
        let dawn = start + Duration::from_secs(night);
        let spent = withdrawals(&budget, 0.2, 0, dawn);
        assert!(
            (3_900..=4_000).contains(&spent),
            "20 % of two horizons, not {spent}"
        );
    }
}
