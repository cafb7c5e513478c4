//! All budgets of one upstream: its own and those of groups of methods, with the costs of methods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::time::{Duration, Instant};

use super::probe_share::{ProbeShare, ProbedBudget};
use super::{Budget, BudgetRegistry};
use crate::config;
use crate::solana::Priority;

/// What an upstream may be sent. Without budgets, a check costs one load.
#[derive(Debug, Default)]
pub struct UpstreamBudgets {
    is_limited: AtomicBool,
    terms: ArcSwapOption<BudgetTerms>,
    probes: ProbeShare,
}

#[derive(Debug)]
struct BudgetTerms {
    own: Arc<Budget>,
    /// Counts its upstream among those that are probed.
    _probed: ProbedBudget,
    costs: BTreeMap<String, u32>,
    groups: Vec<MethodGroup>,
}

/// Methods with a budget in addition to that of the upstream.
#[derive(Debug)]
struct MethodGroup {
    methods: Vec<String>,
    budget: Arc<Budget>,
}

/// What was taken for one call.
#[derive(Debug, Default)]
pub struct BudgetCharge {
    terms: Option<Arc<BudgetTerms>>,
    cost: u32,
    group: Option<usize>,
}

/// What was taken for a probe.
#[derive(Debug, Default)]
pub struct ProbeCharge {
    /// Of the budget.
    pub budget: BudgetCharge,
    /// Of the share that probes have.
    share: Duration,
}

impl UpstreamBudgets {
    /// Applies settings. The budgets themselves belong to the registry, which keeps them by name.
    pub fn set(
        &self,
        upstream: &str,
        settings: Option<&config::BudgetSettings>,
        treasury: &BudgetRegistry,
    ) {
        let before = self.terms.load_full();
        let terms = settings.map(|settings| {
            let name = match &settings.organisation {
                Some(organisation) => format!("organisation/{organisation}"),
                None => format!("upstream/{upstream}"),
            };
            let groups = settings.groups.iter().map(|group| {
                let name = format!("{name}/{}", group.methods.join(","));
                let before = before
                    .iter()
                    .flat_map(|before| before.of_any(&group.methods));
                MethodGroup {
                    budget: treasury.budget(&name, &group.rate, before),
                    methods: group.methods.clone(),
                }
            });
            let before = before.iter().map(|before| &before.own);
            let own = treasury.budget(&name, &settings.rate, before);
            Arc::new(BudgetTerms {
                groups: groups.collect(),
                _probed: ProbedBudget::of(&own),
                own,
                costs: settings.costs.clone(),
            })
        });
        self.is_limited.store(terms.is_some(), Ordering::Relaxed);
        self.terms.store(terms);
    }

    /// Whether there is any.
    pub fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// How long a call of a method has to wait; `None` if it may be sent now.
    pub fn wait(&self, method: &str, priority: Priority, now: Instant) -> Option<Duration> {
        if !self.is_limited() {
            return None;
        }
        let terms = self.terms.load();
        let terms = terms.as_ref()?;
        let cost = terms.cost(method);
        let own = terms.own.wait(cost, priority, now);
        let group = terms.group(method).and_then(|at| terms.groups.get(at));
        let group = group.and_then(|group| group.budget.wait(cost, priority, now));
        own.max(group)
    }

    /// Takes the cost of a call, if it may be sent now.
    pub fn take(&self, method: &str, priority: Priority, now: Instant) -> Option<BudgetCharge> {
        if !self.is_limited() {
            return Some(BudgetCharge::default());
        }
        let Some(terms) = self.terms.load_full() else {
            return Some(BudgetCharge::default());
        };
        let (cost, group) = (terms.cost(method), terms.group(method));
        if !terms.own.take(cost, priority, now) {
            return None;
        }
        let of_group = group.and_then(|at| terms.groups.get(at));
        if of_group.is_some_and(|group| !group.budget.take(cost, priority, now)) {
            terms.own.refund(cost);
            return None;
        }
        Some(BudgetCharge {
            terms: Some(terms),
            cost,
            group,
        })
    }

    /// The time between two probes by this method that would use up what probes may use. `None`
    /// without a budget.
    pub fn probe_pace(&self, method: &str) -> Option<Duration> {
        if !self.is_limited() {
            return None;
        }
        Some(self.terms.load().as_ref()?.probe_pace(method))
    }

    /// Whether a round of probes that begins with this method may start.
    pub fn may_probe(&self, method: &str, now: Instant) -> bool {
        if !self.is_limited() {
            return true;
        }
        let terms = self.terms.load();
        let Some(terms) = terms.as_ref() else {
            return true;
        };
        let each = terms.own.probe_interval();
        if !self.probes.may_begin(each, terms.own.at_once(), now) {
            return false;
        }
        let has_budget = self.wait(method, Priority::Medium, now).is_none();
        if !has_budget {
            self.probes.found_nothing();
        }
        has_budget
    }

    /// Takes the cost of a probe, if both the budget and the share of it that probes have allow it.
    pub fn take_for_probe(&self, method: &str, now: Instant) -> Option<ProbeCharge> {
        if !self.is_limited() {
            return Some(ProbeCharge::default());
        }
        let Some(terms) = self.terms.load_full() else {
            return Some(ProbeCharge::default());
        };
        let each = terms.own.probe_interval();
        if !self.probes.allows(each, terms.own.at_once(), now) {
            return None;
        }
        let Some(budget) = self.take(method, Priority::Medium, now) else {
            self.probes.found_nothing();
            return None;
        };
        let share = terms.probe_pace(method);
        self.probes.spend(share, now);
        Some(ProbeCharge { budget, share })
    }

    /// Gives back what was taken for a probe that was not sent.
    pub fn refund_probe(&self, charge: &ProbeCharge) {
        charge.budget.refund();
        self.probes.refund(charge.share);
    }

    /// Whether the last probe was not sent for want of budget.
    pub fn lacks_probes(&self) -> bool {
        self.is_limited() && self.probes.is_short()
    }

    /// Charges for a call for which nothing was taken, such as a subscription.
    pub fn charge(&self, method: &str, now: Instant) {
        if !self.is_limited() {
            return;
        }
        if let Some(terms) = self.terms.load().as_ref() {
            let (cost, group) = (terms.cost(method), terms.group(method));
            terms.charge(cost, group, now);
        }
    }

    /// What is left of the upstream's own budget; `None` without one.
    pub fn left(&self, now: Instant) -> Option<u64> {
        self.terms.load().as_ref()?.own.left(now)
    }

    /// What the upstream's own budget earns per hour.
    pub fn per_hour(&self) -> Option<f64> {
        self.terms.load().as_ref()?.own.per_hour()
    }

    /// What was charged to the upstream's own budget since the start.
    pub fn charged(&self) -> Option<u64> {
        Some(self.terms.load().as_ref()?.own.charged())
    }
}

impl BudgetTerms {
    fn cost(&self, method: &str) -> u32 {
        if self.costs.is_empty() {
            return 1;
        }
        self.costs.get(method).copied().unwrap_or(1)
    }

    fn group(&self, method: &str) -> Option<usize> {
        let has = |group: &MethodGroup| group.methods.iter().any(|name| name == method);
        self.groups.iter().position(has)
    }

    /// The budgets of groups with any of these methods.
    fn of_any(&self, methods: &[String]) -> impl Iterator<Item = &Arc<Budget>> {
        let has = |group: &&MethodGroup| group.methods.iter().any(|name| methods.contains(name));
        self.groups.iter().filter(has).map(|group| &group.budget)
    }

    /// The time in which the share of probes earns one by this method.
    fn probe_pace(&self, method: &str) -> Duration {
        let group = self.group(method).and_then(|at| self.groups.get(at));
        let own = self.own.probe_interval();
        let slowest = group.map_or(own, |group| own.max(group.budget.probe_interval()));
        slowest.saturating_mul(self.cost(method))
    }

    fn charge(&self, cost: u32, group: Option<usize>, now: Instant) {
        self.own.charge(cost, now);
        if let Some(group) = group.and_then(|at| self.groups.get(at)) {
            group.budget.charge(cost, now);
        }
    }
}

impl BudgetCharge {
    /// Charges for the same call again.
    pub fn again(&self, now: Instant) {
        if let Some(terms) = &self.terms {
            terms.charge(self.cost, self.group, now);
        }
    }

    /// The call was not sent after all.
    pub fn refund(&self) {
        let Some(terms) = &self.terms else { return };
        terms.own.refund(self.cost);
        if let Some(group) = self.group.and_then(|at| terms.groups.get(at)) {
            group.budget.refund(self.cost);
        }
    }
}

#[cfg(test)]
mod tests;
