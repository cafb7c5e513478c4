//! All budgets by name. They outlive configurations and upstreams, so that nothing is spent twice.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The budget of this name, with these settings from now on.
    pub fn budget(&self, name: &str, rate: &BudgetRate) -> Arc<Budget> {
        let mut budgets = self.budgets.lock();
        let budget = budgets.entry(name.to_owned()).or_insert_with(|| {
            let budget = Budget::default();
            if let Some((used_up, at)) = self.resumed.lock().remove(name) {
                let now = Instant::now();
                budget.resume(used_up.saturating_sub(now - at), now);
            }
            Arc::new(budget)
        });
        budget.set(Some(rate));
        Arc::clone(budget)
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
