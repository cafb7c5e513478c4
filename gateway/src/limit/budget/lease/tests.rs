//! Replicas that share a budget, with simulated time and a simulated Redis that comes and goes.

use std::collections::HashMap;

use tokio::time::Duration;

use super::*;
use crate::config::{BudgetRate, Per};
use crate::solana::Priority;

const STEP: Duration = Duration::from_millis(10);
/// Steps between two looks at Redis.
const LOOK: u32 = 10;

fn rate(requests: u64, per: Per, burst: u32) -> BudgetRate {
    BudgetRate {
        requests,
        per,
        burst,
        reserve: 0,
        sliding: false,
    }
}

/// The bucket in Redis, as the script keeps it.
struct Bucket {
    start: Instant,
    full_at: u128,
    /// The last question of each gateway, with what was granted, and what had been sent.
    last: HashMap<u64, (u64, i64, i64)>,
}

impl Bucket {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            full_at: 0,
            last: HashMap::new(),
        }
    }

    fn lease(&mut self, gateway: u64, demand: &LeaseRequest) -> LeaseAnswer {
        let now = self.start.elapsed().as_nanos();
        let interval = u128::from(demand.interval);
        if let Some((number, granted, sent)) = self.last.get(&gateway)
            && *number != demand.answered
        {
            let back = -(granted + sent);
            self.add(back, interval, now);
        }
        let leased = self.granted(now, interval, demand);
        let last = (demand.number, leased.granted, demand.sent);
        self.last.insert(gateway, last);
        leased
    }

    fn granted(&mut self, now: u128, interval: u128, demand: &LeaseRequest) -> LeaseAnswer {
        self.add(demand.sent, interval, now);
        if let Ok(back) = u128::try_from(-demand.want) {
            self.full_at = self.full_at.saturating_sub(back * interval).max(now);
            let left = self.left(demand, now);
            return LeaseAnswer {
                granted: demand.want,
                beyond: left,
            };
        }
        let left = self.left(demand, now);
        let granted = demand.want.min(left.max(0));
        self.full_at += u128::try_from(granted).unwrap() * interval;
        LeaseAnswer {
            granted,
            beyond: left - granted,
        }
    }

    fn add(&mut self, requests: i64, interval: u128, now: u128) {
        let nanos = u128::from(requests.unsigned_abs()) * interval;
        let full_at = self.full_at.max(now);
        self.full_at = match requests {
            ..0 => full_at.saturating_sub(nanos).max(now),
            _ => full_at + nanos,
        };
    }

    fn left(&self, demand: &LeaseRequest, now: u128) -> i64 {
        let used = (self.full_at - now).div_ceil(u128::from(demand.interval));
        i64::try_from(demand.burst).unwrap() - i64::try_from(used).unwrap()
    }
}

/// Sends whatever may be sent, for so many minutes, and says how much that was. `there` says whether
/// Redis is, at a second.
async fn sent_by(
    replicas: u64,
    rate: BudgetRate,
    minutes: u64,
    there: impl Fn(u64) -> bool,
) -> u64 {
    let budgets: Vec<Budget> = (0..replicas).map(|_| Budget::default()).collect();
    for budget in &budgets {
        budget.set(Some(&rate));
        // As at the start, before Redis has been asked.
        budget.go_alone(replicas, Instant::now());
    }
    let mut bucket = Bucket::new();
    let mut sent = 0;
    let steps = minutes * 60_000 / 10;
    for step in 0..steps {
        tokio::time::advance(STEP).await;
        let now = Instant::now();
        let up = there(step / 100);
        for (number, budget) in (0..).zip(&budgets) {
            // Each looks at another moment.
            if (step + number) % u64::from(LOOK) == 0 {
                match budget.demand(now) {
                    Some(demand) if up => {
                        let leased = bucket.lease(number, &demand);
                        // Now and then an answer comes too late.
                        if (step + number) % 130 != 0 {
                            budget.granted(&demand, leased);
                        }
                    }
                    _ => budget.go_alone(replicas, now),
                }
            }
            // Some ask for much more than others.
            let tries = if number % 2 == 0 { 10 } else { 1 };
            for _ in 0..tries {
                sent += u64::from(budget.take(1, Priority::Medium, now));
            }
        }
    }
    sent
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn assert_within_two_percent(sent: u64, expected: u64, what: &str) {
    let share = sent as f64 / expected as f64;
    assert!(
        (0.98..=1.02).contains(&share),
        "{what}: {sent} of {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_and_ten_replicas_together_send_what_the_budget_has() {
    for replicas in [1, 2, 10] {
        let minute = rate(6_000, Per::Minute, 100);
        let sent = sent_by(replicas, minute, 10, |_| true).await;
        assert_within_two_percent(sent, 60_100, &format!("{replicas} replicas"));
        let hour = rate(30_000, Per::Hour, 15);
        let sent = sent_by(replicas, hour, 30, |_| true).await;
        assert_within_two_percent(sent, 15_015, &format!("{replicas} replicas, by the hour"));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_so_while_redis_comes_and_goes_too() {
    for replicas in [2, 10] {
        let minute = rate(6_000, Per::Minute, 100);
        let sent = sent_by(replicas, minute, 10, |second| second % 40 < 20).await;
        assert_within_two_percent(sent, 60_100, &format!("{replicas} replicas, now and then"));
        let sent = sent_by(replicas, minute, 10, |_| false).await;
        assert_within_two_percent(sent, 60_100, &format!("{replicas} replicas, alone"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_idle_replica_does_not_need_others_have() {
    let busy = Budget::default();
    let idle = Budget::default();
    let mut bucket = Bucket::new();
    let mut look = |gateway, budget: &Budget| {
        let demand = budget.demand(Instant::now()).unwrap();
        let leased = bucket.lease(gateway, &demand);
        budget.granted(&demand, leased);
    };
    for (gateway, budget) in [(0, &busy), (1, &idle)] {
        budget.set(Some(&rate(60, Per::Hour, 64)));
        look(gateway, budget);
    }
    let mut sent = 0;
    for _ in 0..20 {
        while busy.take(1, Priority::Medium, Instant::now()) {
            sent += 1;
        }
        look(0, &busy);
    }
    assert_eq!(sent, 60, "all but what the idle one has in stock");
    assert!(
        idle.take(1, Priority::Medium, Instant::now()),
        "which it may use at once"
    );
}

#[tokio::test(start_paused = true)]
async fn the_reserve_counts_over_all_replicas() {
    let budget = Budget::default();
    budget.set(Some(&BudgetRate {
        reserve: 50,
        ..rate(60, Per::Hour, 20)
    }));
    let mut bucket = Bucket::new();
    let mut sent = [0, 0];
    for (at, priority) in [Priority::Medium, Priority::High].into_iter().enumerate() {
        for _ in 0..30 {
            let demand = budget.demand(Instant::now()).unwrap();
            let leased = bucket.lease(0, &demand);
            budget.granted(&demand, leased);
            while budget.take(1, priority, Instant::now()) {
                sent[at] += 1;
            }
        }
    }
    assert_eq!(sent, [10, 10]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_takes_nothing_from_the_budget_and_adds_nothing_to_it() {
    let budgets = [Budget::default(), Budget::default()];
    let mut bucket = Bucket::new();
    let mut look = |gateway, budget: &Budget| {
        let demand = budget.demand(Instant::now()).unwrap();
        let leased = bucket.lease(gateway, &demand);
        budget.granted(&demand, leased);
    };
    for (gateway, budget) in (0..).zip(&budgets) {
        budget.set(Some(&rate(60, Per::Day, 160)));
        look(gateway, budget);
    }
    let mut sent = 0;
    let mut send = |budget: &Budget, most: u32| {
        for _ in 0..most {
            sent += u32::from(budget.take(1, Priority::Medium, Instant::now()));
        }
    };
    for round in 0..10 {
        for budget in &budgets {
            send(budget, 5);
        }
        for (gateway, budget) in (0..).zip(&budgets) {
            match round % 3 {
                2 => budget.go_alone(2, Instant::now()),
                _ => look(gateway, budget),
            }
        }
    }
    for _ in 0..50 {
        for (gateway, budget) in (0..).zip(&budgets) {
            send(budget, 100);
            look(gateway, budget);
        }
    }
    assert!((158..=161).contains(&sent), "{sent} of 160");
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_in_an_answer_that_never_came_is_not_lost() {
    let budget = Budget::default();
    let mut bucket = Bucket::new();
    budget.set(Some(&rate(60, Per::Day, 160)));
    // A Redis that was slow carries all of these out in the end.
    for _ in 0..20 {
        let demand = budget.demand(Instant::now()).unwrap();
        bucket.lease(0, &demand);
    }
    let mut sent = 0;
    for _ in 0..50 {
        let demand = budget.demand(Instant::now()).unwrap();
        let leased = bucket.lease(0, &demand);
        budget.granted(&demand, leased);
        while budget.take(1, Priority::Medium, Instant::now()) {
            sent += 1;
        }
    }
    assert_eq!(sent, 160);
}

/// A budget with a lease of this many requests, and more in Redis.
fn leased(burst: u32, lease: i64) -> Budget {
    let budget = Budget::default();
    budget.set(Some(&rate(60, Per::Hour, burst)));
    let demand = budget.demand(Instant::now()).unwrap();
    let granted = LeaseAnswer {
        granted: lease,
        beyond: 1_000_000,
    };
    budget.granted(&demand, granted);
    budget
}

#[test]
fn a_call_that_costs_too_much_takes_nothing_from_others_not_even_for_a_moment() {
    let budget = leased(100_000, 20_000);
    let now = Instant::now();
    std::thread::scope(|scope| {
        let greedy = || {
            for _ in 0..200_000 {
                assert!(!budget.take(50_000, Priority::Medium, now));
            }
        };
        scope.spawn(greedy);
        scope.spawn(greedy);
        scope.spawn(|| {
            for number in 0..20_000 {
                assert!(budget.take(1, Priority::Medium, now), "{number}");
            }
        });
    });
    let demand = budget.demand(now).unwrap();
    assert_eq!(demand.sent, 0, "nothing was sent without a lease");
}

#[tokio::test(start_paused = true)]
async fn looking_leases_what_one_call_needs_and_no_more() {
    let budget = leased(160, 5);
    for _ in 0..1000 {
        assert!(budget.wait(12, Priority::Medium, Instant::now()).is_some());
    }
    let demand = budget.demand(Instant::now()).unwrap();
    assert_eq!(demand.want, 2 * 12 - 5, "nothing was sent");
    // Where calls are sent, those that found nothing left count as well.
    let budget = leased(160, 5);
    for _ in 0..30 {
        let now = Instant::now();
        if budget.wait(1, Priority::Medium, now).is_none() {
            assert!(budget.take(1, Priority::Medium, now));
        }
    }
    let demand = budget.demand(Instant::now()).unwrap();
    assert_eq!(demand.want, 2 * 30);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_lease_is_told_until_when_it_comes() {
    let (budget, now) = (Budget::default(), Instant::now());
    budget.set(Some(&rate(1, Per::Hour, 60)));
    let given = |granted, beyond| {
        let demand = budget.demand(now).unwrap();
        budget.granted(&demand, LeaseAnswer { granted, beyond });
        while budget.take(1, Priority::Medium, now) {}
        budget.wait(1, Priority::Medium, now)
    };
    assert_eq!(given(3, 57), Some(Duration::from_millis(100)));
    assert_eq!(given(57, 0), Some(Duration::from_hours(1)));
}
