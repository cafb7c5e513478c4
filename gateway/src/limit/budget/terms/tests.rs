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

fn settings(organisation: Option<&str>) -> config::BudgetSettings {
    config::BudgetSettings {
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

#[tokio::test(start_paused = true)]
async fn a_group_that_is_edited_or_an_organisation_that_is_named_does_not_start_full() {
    let (budgets, treasury) = (UpstreamBudgets::default(), BudgetRegistry::default());
    budgets.set("one", Some(&settings(None)), &treasury);
    assert_eq!(sent(&budgets, "send"), 2);
    let mut edited = settings(None);
    edited.groups[0].methods = vec!["simulate".to_owned(), "send".to_owned()];
    budgets.set("one", Some(&edited), &treasury);
    assert_eq!(sent(&budgets, "send"), 0, "in another order");
    edited.groups[0].methods.push("airdrop".to_owned());
    budgets.set("one", Some(&edited), &treasury);
    assert_eq!(sent(&budgets, "airdrop"), 0, "with one more");
    edited.groups.push(BudgetGroup {
        methods: vec!["other".to_owned()],
        rate: rate(2),
    });
    budgets.set("one", Some(&edited), &treasury);
    assert_eq!(sent(&budgets, "other"), 2, "one of its own");
    assert_eq!(sent(&budgets, "any"), 6);
    edited.organisation = Some("org".to_owned());
    budgets.set("one", Some(&edited), &treasury);
    assert_eq!(budgets.left(Instant::now()), Some(0));
    assert_eq!((sent(&budgets, "any"), sent(&budgets, "send")), (0, 0));
    // What it finds there is not charged again.
    tokio::time::advance(Duration::from_mins(2)).await;
    budgets.set("one", Some(&edited), &treasury);
    assert_eq!(sent(&budgets, "any"), 2);
}
