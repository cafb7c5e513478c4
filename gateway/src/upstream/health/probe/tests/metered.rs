//! Probes of upstreams that charge: few, and within their budget.

use super::*;
use crate::solana::Priority;

#[tokio::test]
async fn a_metered_upstream_costs_one_call_a_round_and_none_while_it_rests() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    let probe = probe(&pool, "a");
    for _ in 0..3 {
        probe.check(node.address).await;
    }
    assert_eq!(
        (node.asked("getSlot"), node.asked("getGenesisHash")),
        (3, 1)
    );
    assert_eq!(node.asked("getHealth"), 0);
    node.says("getSlot", &error(429, "Too many requests"));
    probe.check(node.address).await;
    for _ in 0..5 {
        assert!(probe.check(node.address).await);
    }
    assert_eq!(node.asked("getSlot"), 4);
    assert_eq!(health(&pool, "a"), Health::Healthy);
}

/// Settings with a budget.
fn sold(node: &Node, id: &str, requests: u64, burst: u32) -> config::UpstreamSettings {
    let rate = config::BudgetRate {
        requests,
        per: config::Per::Hour,
        burst,
        reserve: 0,
        sliding: false,
    };
    config::UpstreamSettings {
        budget: Some(config::BudgetSettings {
            rate,
            costs: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            organisation: None,
        }),
        ..node.settings(id)
    }
}

#[tokio::test]
async fn probes_use_little_of_a_small_budget_and_the_upstream_is_healthy_all_the_same() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 100, 20)]);
    let probe = probe(&pool, "a");
    for _ in 0..100 {
        assert!(probe.check(node.address).await);
    }
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked.lock().values().sum::<u32>();
    assert!((4..=10).contains(&asked), "{asked}");
    let budget = &pool.upstreams()[0].state().budget;
    assert_eq!(budget.left(Instant::now()), Some(20 - u64::from(asked)));
    // What is kept for the time when it is away.
    probe.look_once().await;
    assert_eq!(node.asked.lock().values().sum::<u32>(), asked + 1);
    for _ in 0..20 {
        probe.look_once().await;
        probe.recheck().await;
    }
    assert!(budget.left(Instant::now()) >= Some(10));
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_not_exceeded_by_probes_after_a_restart_either() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 60, 10)]);
    let budget = &pool.upstreams()[0].state().budget;
    while budget
        .take("getBalance", Priority::Medium, Instant::now())
        .is_some()
    {}
    let probe = probe(&pool, "a");
    for _ in 0..10 {
        probe.check(node.address).await;
        probe.look_once().await;
        probe.recheck().await;
    }
    assert_eq!(node.asked.lock().values().sum::<u32>(), 0);
    assert_eq!(health(&pool, "a"), Health::Unprobed);
}

#[tokio::test]
async fn probes_that_could_not_be_sent_cost_nothing() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 60, 10)]);
    let probe = probe(&pool, "a");
    let dead = SocketAddr::new("127.0.0.2".parse().unwrap(), 1);
    let state = pool.upstreams()[0].state();
    state.addresses.pretend(vec![dead]);
    for _ in 0..20 {
        probe.check(dead).await;
    }
    assert_eq!(health(&pool, "a"), Health::Failing);
    assert_eq!(state.budget.left(Instant::now()), Some(10));
}

#[tokio::test]
async fn a_budget_that_pays_for_no_probe_is_named() {
    let node = Node::start(1000).await;
    let pool = pool(vec![sold(&node, "a", 60, 1)]);
    let budget = &pool.upstreams()[0].state().budget;
    while budget.take_for_probe("getSlot", Instant::now()).is_some() {}
    probe(&pool, "a").check(node.address).await;
    let said = pool.status().upstreams.swap_remove(0);
    assert_eq!(said.state, "unprobed (budget spent)");
    assert!(said.cause.unwrap().contains("budget"));
    assert!(said.cure.unwrap().contains("budget"));
    assert_eq!(node.asked("getSlot"), 0);
}
