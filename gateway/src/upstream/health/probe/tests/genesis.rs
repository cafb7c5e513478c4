//! Which cluster an upstream belongs to.

use super::*;

#[tokio::test]
async fn an_upstream_that_proves_to_be_of_another_cluster_begins_a_new_generation_once() {
    let (good, bad) = (Node::start(1000).await, Node::start(1000).await);
    let pool = pool(vec![good.settings("good"), bad.settings("bad")]);
    probe(&pool, "good").check(good.address).await;
    let changing = probe(&pool, "bad");
    changing.check(bad.address).await;
    let before = pool.generation();
    bad.says("getGenesisHash", &result("\"other\""));
    for _ in 0..20 {
        changing.check(bad.address).await;
    }
    assert_eq!(health(&pool, "bad"), Health::WrongCluster);
    let after = pool.generation();
    assert!(after > before, "{after} after {before}");
    for _ in 0..20 {
        changing.check(bad.address).await;
    }
    assert_eq!(pool.generation(), after, "it is known by now");
}

#[tokio::test]
async fn where_the_genesis_hash_is_configured_an_upstream_serves_once_it_has_shown_it() {
    let node = Node::start(1000).await;
    node.says("getGenesisHash", &error(-32601, "Method not found"));
    let pool = pool_of("abc", vec![node.settings("a")]);
    let probe = probe(&pool, "a");
    for _ in 0..3 {
        assert!(!probe.check(node.address).await);
    }
    assert_eq!(health(&pool, "a"), Health::Failing);
    let cause = pool.status().upstreams[0].cause.clone().unwrap();
    assert!(cause.starts_with("getGenesisHash: "), "{cause}");
    assert_eq!(
        node.asked("getGenesisHash"),
        3,
        "it is asked again each time"
    );
    node.says("getGenesisHash", &result("\"abc\""));
    for _ in 0..2 {
        probe.check(node.address).await;
    }
    assert_eq!(health(&pool, "a"), Health::Healthy);
    node.says("getGenesisHash", &error(-32601, "Method not found"));
    for _ in 0..20 {
        assert!(probe.check(node.address).await, "what it has shown counts");
    }
}

#[tokio::test]
async fn an_upstream_whose_slots_jump_is_asked_at_once_which_cluster_it_is() {
    for jump in [400_000, 10] {
        let node = Node::start(100_000).await;
        let mut settings = node.settings("a");
        settings.metered = true;
        let pool = pool_of("abc", vec![settings]);
        probe(&pool, "a").check(node.address).await;
        assert_eq!(health(&pool, "a"), Health::Healthy);
        let before = pool.generation();

        node.says("getGenesisHash", &result("\"other\""));
        let asked = node.asked("getGenesisHash");
        let member = Arc::clone(&pool.upstreams()[0].member);
        let watch = tokio::spawn(async move { Probe::new(member).answer_questions().await });
        hears(&pool, jump);
        while health(&pool, "a") != Health::WrongCluster {
            tokio::task::yield_now().await;
        }
        watch.abort();
        assert_eq!(node.asked("getGenesisHash"), asked + 1);
        assert!(pool.generation() > before);
        let slot = pool.upstreams()[0].state().slot(Commitment::Confirmed);
        assert_eq!(slot, Some(Slot(100_000)), "it was not believed meanwhile");
    }
}

#[tokio::test]
async fn an_upstream_whose_slots_jump_is_believed_when_it_shows_the_right_hash() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    node.says("getSlot", &result(400_000));
    hears(&pool, 400_000);
    assert_eq!(health(&pool, "a"), Health::Suspect);
    probe(&pool, "a").recheck().await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    assert_eq!(pool.tip(Commitment::Confirmed), Some(Slot(400_000)));
}

#[tokio::test]
async fn a_metered_upstream_of_another_cluster_is_back_soon_after_it_shows_the_right_hash() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    settings.probe.interval = Duration::from_millis(50);
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    node.says("getGenesisHash", &result("\"other\""));
    node.says("getSlot", &result(50_000_000));
    probe(&pool, "a").recheck().await;
    for _ in 0..3 {
        probe(&pool, "a").check(node.address).await;
    }
    assert_eq!(health(&pool, "a"), Health::WrongCluster);

    node.says("getGenesisHash", &result("\"abc\""));
    node.says("getSlot", &result(100_010));
    let asked = node.asked("getGenesisHash");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") != Health::Healthy {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getGenesisHash"), asked + 1);
    assert_eq!(pool.tip(Commitment::Confirmed), Some(Slot(100_010)));
}
