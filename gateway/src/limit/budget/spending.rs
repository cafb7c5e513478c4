//! How fast a budget is used, and when it will be used up.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::UpstreamBudgets;

/// Time over which use is averaged.
const OVER: f64 = 60.0;

/// Samples the budget of one upstream from time to time.
#[derive(Debug, Default)]
pub struct SpendingRate(Mutex<Option<SpendingSample>>);

#[derive(Clone, Copy, Debug)]
struct SpendingSample {
    at: Instant,
    charged: u64,
    per_second: f64,
}

impl SpendingRate {
    /// Takes a sample; returns when the budget will be used up at the current rate, or `None` if it
    /// will not.
    pub fn look(&self, budgets: &UpstreamBudgets, now: Instant) -> Option<Duration> {
        let charged = budgets.charged()?;
        let mut seen = self.0.lock();
        let per_second = match *seen {
            None => 0.0,
            Some(before) => {
                let passed = now.saturating_duration_since(before.at).as_secs_f64();
                if passed <= 0.0 {
                    return ends(budgets, before.per_second, now);
                }
                #[expect(clippy::cast_precision_loss, reason = "a rate")]
                let rate = charged.saturating_sub(before.charged) as f64 / passed;
                let weight = (passed / OVER).min(1.0);
                before.per_second + (rate - before.per_second) * weight
            }
        };
        *seen = Some(SpendingSample {
            at: now,
            charged,
            per_second,
        });
        drop(seen);
        ends(budgets, per_second, now)
    }

    /// The result of the last sample.
    pub fn ends(&self, budgets: &UpstreamBudgets, now: Instant) -> Option<Duration> {
        let seen = (*self.0.lock())?;
        ends(budgets, seen.per_second, now)
    }
}

fn ends(budgets: &UpstreamBudgets, per_second: f64, now: Instant) -> Option<Duration> {
    let left = budgets.left(now)?;
    let earned = budgets.per_hour()? / 3600.0;
    let shrinks = per_second - earned;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let seconds = left as f64 / shrinks;
    // A budget that lasts a year counts as lasting.
    (shrinks > 0.0 && seconds < 31_536_000.0).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::super::BudgetRegistry;
    use super::*;
    use crate::config::{self, BudgetRate, Per};
    use crate::solana::Priority;

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_more_is_used_than_is_earned() {
        let budgets = UpstreamBudgets::default();
        let settings = config::BudgetSettings {
            rate: BudgetRate {
                requests: 3600,
                per: Per::Hour,
                burst: 10_000,
                reserve: 0,
                sliding: false,
            },
            costs: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        };
        budgets.set("one", Some(&settings), &BudgetRegistry::default());
        let pace = SpendingRate::default();
        assert_eq!(pace.look(&budgets, Instant::now()), None);
        let mut ends = None;
        // Eleven a second, of which one is earned.
        for _ in 0..400 {
            tokio::time::advance(Duration::from_secs(1)).await;
            for _ in 0..11 {
                budgets.charge("any", Instant::now());
            }
            ends = pace.look(&budgets, Instant::now());
        }
        let seconds = ends.unwrap().as_secs();
        assert!((550..=650).contains(&seconds), "{seconds}");
        assert!(budgets.take("any", Priority::Low, Instant::now()).is_some());
        for _ in 0..1000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            ends = pace.look(&budgets, Instant::now());
        }
        assert_eq!(ends, None, "nobody uses it any more");
    }
}
