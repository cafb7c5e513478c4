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
        settings: Option<&config::Budget>,
        treasury: &BudgetRegistry,
    ) {
        let terms = settings.map(|settings| {
            let name = match &settings.organisation {
                Some(organisation) => format!("organisation/{organisation}"),
                None => format!("upstream/{upstream}"),
            };
            let groups = settings.groups.iter().map(|group| MethodGroup {
                budget: treasury
                    .budget(&format!("{name}/{}", group.methods.join(",")), &group.rate),
                methods: group.methods.clone(),
            });
            let own = treasury.budget(&name, &settings.rate);
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
mod tests {
    use super::*;
    use crate::config::{BudgetGroup, BudgetRate, Per};

    fn rate(burst: u32) -> BudgetRate {
        BudgetRate {
            requests: 60,
            per: Per::Hour,
            burst,
            reserve: 0,
            sliding: false,
        }
    }

    fn settings(organisation: Option<&str>) -> config::Budget {
        config::Budget {
            rate: rate(10),
            costs: [("scan".to_owned(), 4)].into(),
            groups: vec![BudgetGroup {
                methods: vec!["send".to_owned(), "simulate".to_owned()],
                rate: rate(2),
            }],
            organisation: organisation.map(str::to_owned),
        }
    }

    fn sent(budgets: &UpstreamBudgets, method: &str) -> usize {
        let take = || budgets.take(method, Priority::Medium, Instant::now());
        std::iter::from_fn(take).take(1000).count()
    }

    #[tokio::test(start_paused = true)]
    async fn methods_cost_what_they_cost_and_groups_have_less() {
        let budgets = UpstreamBudgets::default();
        let treasury = BudgetRegistry::default();
        assert_eq!(sent(&budgets, "any"), 1000, "no budget, no limit");
        budgets.set("one", Some(&settings(None)), &treasury);
        assert_eq!(sent(&budgets, "send"), 2);
        assert_eq!(sent(&budgets, "simulate"), 0);
        assert!(
            budgets
                .wait("send", Priority::Medium, Instant::now())
                .is_some()
        );
        assert!(
            budgets
                .wait("any", Priority::Medium, Instant::now())
                .is_none()
        );
        assert_eq!(sent(&budgets, "scan"), 2, "eight are left, each costs four");
        assert_eq!(budgets.left(Instant::now()), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_group_does_not_have_is_not_taken_of_the_whole() {
        let budgets = UpstreamBudgets::default();
        budgets.set("one", Some(&settings(None)), &BudgetRegistry::default());
        let one = budgets
            .take("send", Priority::Medium, Instant::now())
            .unwrap();
        assert_eq!(sent(&budgets, "send"), 1);
        assert_eq!(budgets.left(Instant::now()), Some(8));
        one.refund();
        assert_eq!(sent(&budgets, "send"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn upstreams_of_one_organisation_have_one_budget_and_others_their_own() {
        let treasury = BudgetRegistry::default();
        let all = ["one", "two", "three"].map(|name| (name, UpstreamBudgets::default()));
        for (name, budgets) in &all {
            let organisation = (*name != "three").then_some("org");
            budgets.set(name, Some(&settings(organisation)), &treasury);
        }
        let sent = all.each_ref().map(|(_, budgets)| sent(budgets, "any"));
        assert_eq!(sent, [10, 0, 10]);
    }

    /// What probes that are tried every 400 ms take in this time.
    async fn probed(budgets: &[&UpstreamBudgets], time: Duration) -> usize {
        let (mut sent, until) = (0, Instant::now() + time);
        while Instant::now() < until {
            for budgets in budgets {
                let now = Instant::now();
                let taken = budgets.may_probe("getSlot", now).then(|| {
                    let take = || budgets.take_for_probe("getSlot", now);
                    std::iter::from_fn(take).take(4).count()
                });
                sent += taken.unwrap_or(0);
            }
            tokio::time::advance(Duration::from_millis(400)).await;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn probes_take_no_more_than_their_share_whoever_shares_the_budget() {
        for upstreams in [1, 3] {
            let treasury = BudgetRegistry::default();
            let mut settings = settings(Some("org"));
            settings.rate = BudgetRate {
                requests: 1000,
                ..rate(20)
            };
            let all: Vec<_> = (0..upstreams).map(|_| UpstreamBudgets::default()).collect();
            for (number, budgets) in all.iter().enumerate() {
                budgets.set(&number.to_string(), Some(&settings), &treasury);
            }
            let all: Vec<&UpstreamBudgets> = all.iter().collect();
            let first = probed(&all, Duration::from_secs(1)).await;
            assert!((4..=10).contains(&first), "{first} at once of twenty");
            let sent = probed(&all, Duration::from_hours(10)).await;
            assert!((980..=1010).contains(&sent), "{sent} of ten thousand");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_is_used_up_is_not_exceeded_by_probes() {
        let budgets = UpstreamBudgets::default();
        budgets.set("one", Some(&settings(None)), &BudgetRegistry::default());
        assert_eq!(sent(&budgets, "any"), 10);
        let now = Instant::now();
        assert!(!budgets.may_probe("getSlot", now));
        assert!(budgets.take_for_probe("getSlot", now).is_none());
        assert!(budgets.lacks_probes());
        tokio::time::advance(Duration::from_mins(1)).await;
        let probe = budgets.take_for_probe("getSlot", Instant::now()).unwrap();
        assert!(!budgets.lacks_probes());
        assert_eq!(sent(&budgets, "any"), 0);
        budgets.refund_probe(&probe);
        assert_eq!(sent(&budgets, "any"), 1, "it was not sent");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_are_rarer_where_they_cost_more_or_their_group_has_less() {
        let budgets = UpstreamBudgets::default();
        assert_eq!(budgets.probe_pace("any"), None);
        let mut settings = settings(None);
        settings.groups[0].rate.requests = 6;
        budgets.set("one", Some(&settings), &BudgetRegistry::default());
        // One a minute is earned, a tenth of that by probes.
        let pace = |method| budgets.probe_pace(method).unwrap().as_secs() / 60;
        assert_eq!((pace("any"), pace("scan"), pace("send")), (10, 40, 100));
    }
}
