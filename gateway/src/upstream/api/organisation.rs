//! State shared by the upstreams of one organisation, whatever their keys: its budget, and its
//! hold-offs. Jupiter counts requests by organisation.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::holds::ApiHolds;
use super::priority::priority;
use crate::config;
use crate::jupiter::{ApiFault, Product};
use crate::limit::Budget;

/// An organisation; an upstream that names none has one of its own.
#[derive(Debug, Default)]
pub(super) struct Organisation {
    budget: Arc<Budget>,
    holds: Mutex<ApiHolds>,
}

impl Organisation {
    /// One that pays from this budget.
    pub(super) fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget,
            holds: Mutex::default(),
        })
    }

    /// Applies the settings of its upstreams, of which there are so many; what is used up stays used
    /// up.
    pub(super) fn set(&self, budget: Option<&config::BudgetSettings>, upstreams: usize) {
        self.budget.set(budget.map(|budget| &budget.rate));
        self.budget
            .is_probed_by(u64::try_from(upstreams).unwrap_or(u64::MAX));
    }

    /// The least time between two canaries of one upstream: together they may use as much of the
    /// budget as probes may.
    pub(super) fn canary_pace(&self) -> Duration {
        self.budget.probe_interval()
    }

    /// How long its upstreams are held off: they asked for that.
    pub(super) fn held_off(&self, product: Product, now: Instant) -> Option<Duration> {
        self.holds.lock().left(product, now)
    }

    /// How long its upstreams are held off, or their budget is used up.
    pub(super) fn wait(&self, product: Product, now: Instant) -> Option<Duration> {
        let held = self.held_off(product, now);
        let spent = match product {
            Product::Execute => None,
            _ => self.budget.wait(1, priority(product), now),
        };
        held.max(spent)
    }

    /// Takes what a request costs, if it may be sent now. Executions cost nothing and have a limit of
    /// their own.
    pub(super) fn take(&self, product: Product, now: Instant) -> bool {
        product == Product::Execute || self.budget.take(1, priority(product), now)
    }

    /// Gives back what was taken for a request that was not sent.
    pub(super) fn refund(&self, product: Product) {
        if product != Product::Execute {
            self.budget.refund(1);
        }
    }

    /// Charges for a request that is sent in any case. Executions cost nothing and have a limit of their own.
    pub(super) fn charge(&self, product: Product, now: Instant) {
        if product != Product::Execute && self.budget.is_limited() {
            self.budget.charge(1, now);
        }
    }

    /// One of its upstreams has refused a request.
    pub(super) fn refused(&self, product: Product, fault: ApiFault, now: Instant) {
        self.holds.lock().hold(product, fault, now);
    }

    pub(super) fn served(&self, product: Product) {
        self.holds.lock().served(product);
    }

    /// The current hold-off, and its reason.
    pub(super) fn held(&self, now: Instant) -> Option<(Duration, &'static str)> {
        self.holds.lock().longest(now)
    }

    /// Requests that may be sent right now; `None` without a budget.
    pub(super) fn left(&self, now: Instant) -> Option<u64> {
        self.budget.left(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BudgetRate, Per};

    fn one_a_second() -> config::BudgetSettings {
        config::BudgetSettings {
            rate: BudgetRate {
                requests: 60,
                per: Per::Minute,
                burst: 2,
                reserve: 0,
                sliding: false,
            },
            costs: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn executions_are_not_of_the_budget() {
        let organisation = Organisation::default();
        organisation.set(Some(&one_a_second()), 1);
        let now = Instant::now();
        for _ in 0..10 {
            organisation.charge(Product::Execute, now);
        }
        assert_eq!(organisation.left(now), Some(2));
        organisation.charge(Product::Quote, now);
        organisation.charge(Product::Tokens, now);
        assert!(organisation.wait(Product::Quote, now).is_some());
        assert_eq!(organisation.wait(Product::Execute, now), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(organisation.wait(Product::Quote, later), None);
    }

    #[test]
    fn canaries_of_all_its_upstreams_take_a_tenth_of_the_budget() {
        let organisation = Organisation::default();
        assert_eq!(organisation.canary_pace(), Duration::ZERO);
        organisation.set(Some(&one_a_second()), 3);
        assert_eq!(organisation.canary_pace(), Duration::from_secs(30));
    }
}
