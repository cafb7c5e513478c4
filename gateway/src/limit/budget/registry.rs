//! All budgets by their names. They outlive configurations and upstreams, so that nothing is sold twice.

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
    /// What was used up of those that have not been asked for yet, and when that was known.
    resumed: Mutex<BTreeMap<String, (Duration, Instant)>>,
}

impl BudgetRegistry {
    /// The one of this name, with these settings from now on.
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
        // Those that no upstream has any more are full before long.
        let now = Instant::now();
        budgets.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.used_up(now).is_zero());
        let all = budgets.iter();
        all.map(|(name, budget)| (name.clone(), Arc::clone(budget)))
            .collect()
    }

    /// What was used up of each in an earlier process.
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
