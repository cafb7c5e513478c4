//! All budgets by name. They outlive configurations and upstreams, so that nothing is spent twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

use super::Budget;
use crate::config::BudgetRate;

/// Keeps them.
#[derive(Debug, Default)]
pub struct BudgetRegistry {
    budgets: Mutex<BTreeMap<String, Arc<Budget>>>,
    /// What was used up of those not requested yet, and when that was known.
    resumed: Mutex<BTreeMap<String, (Duration, Instant)>>,
}

impl BudgetRegistry {
    /// The budget of this name, with these settings from now on. A new one begins with what is used up
    /// of those that it takes the place of: the provider knows nothing of names here.
    pub fn budget<'b>(
        &self,
        name: &str,
        rate: &BudgetRate,
        before: impl Iterator<Item = &'b Arc<Budget>>,
    ) -> Arc<Budget> {
        let mut budgets = self.budgets.lock();
        let budget = budgets.entry(name.to_owned()).or_insert_with(|| {
            let (budget, now) = (self.resumed(name), Instant::now());
            let used = before.map(|before| before.used_here(now)).max();
            if let Some(used) = used.filter(|used| *used > 0) {
                budget.set(Some(rate));
                let each = Duration::from_nanos(budget.interval.load(Ordering::Relaxed));
                let used = u32::try_from(used).unwrap_or(u32::MAX);
                budget.resume(each.saturating_mul(used), now);
            }
            Arc::new(budget)
        });
        budget.set(Some(rate));
        Arc::clone(budget)
    }

    /// The budget of this name, with the settings that it had, or none yet.
    pub fn named(&self, name: &str) -> Arc<Budget> {
        let mut budgets = self.budgets.lock();
        let budget = budgets.entry(name.to_owned());
        Arc::clone(budget.or_insert_with(|| Arc::new(self.resumed(name))))
    }

    /// A new one, with what an earlier process had used up.
    fn resumed(&self, name: &str) -> Budget {
        let (budget, now) = (Budget::default(), Instant::now());
        if let Some((used_up, at)) = self.resumed.lock().remove(name) {
            budget.resume(used_up.saturating_sub(now - at), now);
        }
        budget
    }

    /// All that are in use.
    pub fn all(&self) -> Vec<(String, Arc<Budget>)> {
        let mut budgets = self.budgets.lock();
        // Budgets that no upstream uses any more are full before long.
        let now = Instant::now();
        budgets.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.used_up(now).is_zero());
        let all = budgets.iter();
        all.map(|(name, budget)| (name.clone(), Arc::clone(budget)))
            .collect()
    }

    /// What an earlier process had used up of each.
    pub fn resume(&self, used_up: impl IntoIterator<Item = (String, Duration)>) {
        let now = Instant::now();
        let used_up = used_up.into_iter();
        let budgets = self.budgets.lock();
        let mut resumed = self.resumed.lock();
        for (name, used_up) in used_up {
            match budgets.get(&name) {
                Some(budget) => budget.resume(used_up, now),
                None => drop(resumed.insert(name, (used_up, now))),
            }
        }
    }
}
