use super::*;
use crate::config::Per;

fn budget(requests: u64, per: Per, burst: u32, reserve: u32) -> Budget {
    let budget = Budget::default();
    budget.set(Some(&BudgetRate {
        requests,
        per,
        burst,
        reserve,
        sliding: false,
    }));
    budget
}

/// Sends what may be sent, and returns how much that was.
fn spend(budget: &Budget, priority: Priority) -> u32 {
    let mut sent = 0;
    while budget.take(1, priority, Instant::now()) {
        sent += 1;
        assert!(sent < 1_000_000);
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn without_settings_there_is_no_limit() {
    let budget = Budget::default();
    for _ in 0..1000 {
        budget.charge(1, Instant::now());
    }
    assert_eq!(budget.wait(1, Priority::Background, Instant::now()), None);
    assert_eq!(budget.left(Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn an_hours_budget_is_never_exceeded_by_more_than_its_burst() {
    let budget = budget(3000, Per::Hour, 15, 0);
    let mut sent = spend(&budget, Priority::Medium);
    assert_eq!(sent, 15);
    for _ in 0..3600 {
        tokio::time::advance(Duration::from_secs(1)).await;
        sent += spend(&budget, Priority::Medium);
    }
    assert!((3000..=3015).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_reserve_is_kept_for_the_classes_above() {
    let budget = budget(60, Per::Minute, 10, 20);
    assert_eq!(spend(&budget, Priority::Medium), 8);
    assert_eq!(spend(&budget, Priority::Background), 0);
    assert_eq!(budget.left(Instant::now()), Some(2));
    assert_eq!(spend(&budget, Priority::High), 2);
    assert_eq!(spend(&budget, Priority::Critical), 0);
    let wait = budget.wait(1, Priority::Critical, Instant::now()).unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    let longer = budget.wait(1, Priority::Medium, Instant::now()).unwrap();
    assert!(longer > wait);
    tokio::time::advance(wait).await;
    assert_eq!(spend(&budget, Priority::Medium), 0);
    assert_eq!(spend(&budget, Priority::Critical), 1);
}

#[tokio::test(start_paused = true)]
async fn in_no_window_of_its_time_is_more_sent_than_a_sliding_budget_has() {
    let budget = Budget::default();
    budget.set(Some(&BudgetRate {
        requests: 60,
        per: Per::Minute,
        burst: 20,
        reserve: 0,
        sliding: true,
    }));
    let mut sent: Vec<Instant> = Vec::new();
    for step in 0..3_000_u32 {
        tokio::time::advance(Duration::from_millis(100)).await;
        let now = Instant::now();
        // Bursts after silences are the worst case.
        if step % 700 > 400 {
            sent.extend((0..spend(&budget, Priority::Medium)).map(|_| now));
        }
        let window = sent.iter().rev();
        let within = |at: &&Instant| now - **at < Duration::from_mins(1);
        assert!(window.take_while(within).count() <= 60);
    }
    assert!(sent.len() > 150, "{}", sent.len());
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_and_not_sent_comes_back() {
    let budget = budget(60, Per::Hour, 5, 0);
    assert!(budget.take(5, Priority::Medium, Instant::now()));
    assert!(!budget.take(1, Priority::Medium, Instant::now()));
    budget.refund(2);
    assert_eq!(budget.left(Instant::now()), Some(2));
    assert!(!budget.take(3, Priority::Medium, Instant::now()));
    assert!(budget.take(2, Priority::Medium, Instant::now()));
    assert_eq!(budget.charged(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_used_up_before_a_restart_is_so_after_it() {
    let before = budget(1000, Per::Month, 1000, 0);
    assert!(before.take(900, Priority::Medium, Instant::now()));
    let after = budget(1000, Per::Month, 1000, 0);
    after.resume(before.used_up(Instant::now()), Instant::now());
    assert_eq!(after.left(Instant::now()), Some(100));
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_stays_used_up_when_the_settings_change() {
    let one = budget(60, Per::Minute, 10, 0);
    spend(&one, Priority::Medium);
    one.set(Some(&BudgetRate {
        requests: 60,
        per: Per::Minute,
        burst: 10,
        reserve: 50,
        sliding: false,
    }));
    assert!(one.wait(1, Priority::Medium, Instant::now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_stay_used_up_when_more_or_fewer_are_bought() {
    for (requests, per) in [(10_000, Per::Month), (100, Per::Month), (1000, Per::Hour)] {
        let one = budget(1000, Per::Month, 1000, 0);
        assert!(one.take(900, Priority::Medium, Instant::now()));
        one.set(Some(&BudgetRate {
            requests,
            per,
            burst: 1000,
            reserve: 0,
            sliding: false,
        }));
        assert_eq!(one.left(Instant::now()), Some(100), "{requests}");
        // Back again, nothing is gained or lost.
        one.set(Some(&BudgetRate {
            requests: 1000,
            per: Per::Month,
            burst: 1000,
            reserve: 0,
            sliding: false,
        }));
        assert_eq!(one.left(Instant::now()), Some(100), "{requests}");
    }
    let full = budget(60, Per::Minute, 10, 0);
    tokio::time::advance(Duration::from_secs(5)).await;
    full.set(Some(&BudgetRate {
        requests: 1,
        per: Per::Hour,
        burst: 10,
        reserve: 0,
        sliding: false,
    }));
    assert_eq!(full.left(Instant::now()), Some(10));
}
