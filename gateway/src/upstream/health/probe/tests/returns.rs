//! An upstream out of service is looked at between its rounds, so that it is back soon.

use super::*;

/// Fails so often that the breaker opens, and says when.
fn open_breaker(upstream: &Upstream) -> Instant {
    let now = Instant::now();
    let mut breaker = upstream.state().breaker.lock();
    for _ in 0..5 {
        breaker.failure(None, now, &upstream.member.policy.breaker);
    }
    now
}

#[tokio::test]
async fn a_good_probe_lets_an_open_breaker_try_calls_sooner() {
    let node = Node::start(1000).await;
    let pool = pool(vec![node.settings("a")]);
    let upstream = &pool.upstreams()[0];
    let start = open_breaker(upstream);
    let open = || upstream.state().breaker.lock().open_for(start).unwrap();
    assert_eq!(open(), Duration::from_mins(1));
    probe(&pool, "a").check(node.address).await;
    assert!(open() <= Duration::from_secs(30), "{:?}", open());
}

#[tokio::test]
async fn a_metered_upstream_that_is_away_is_back_with_one_good_look() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    let asked = node.asked("getSlot");
    let upstream = &pool.upstreams()[0];
    let start = open_breaker(upstream);
    let open = || upstream.state().breaker.lock().open_for(start).unwrap();
    node.says("getSlot", &result("null"));
    probe(&pool, "a").look_once().await;
    assert_eq!(open(), Duration::from_mins(1), "no slot is no good look");
    node.says("getSlot", &result(1001));
    let member = Arc::clone(&upstream.member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while open() > Duration::from_secs(30) {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked + 2);
}

#[tokio::test]
async fn a_metered_upstream_that_called_itself_unhealthy_is_back_soon_after_it_no_longer_does() {
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    let upstream = &pool.upstreams()[0];
    let limits = &upstream.member.policy.health;
    upstream.state().track(limits, Instant::now(), |tracker| {
        tracker.says(crate::upstream::health::SelfReport::Unwell { behind: None });
    });
    assert_eq!(health(&pool, "a"), Health::Unwell);
    node.says(
        "getHealth",
        r#""error":{"code":-32005,"message":"Node is unhealthy"}"#,
    );
    probe(&pool, "a").look_once().await;
    assert_eq!(health(&pool, "a"), Health::Unwell, "so it says");
    node.says("getHealth", &result("\"ok\""));
    let asked = node.asked("getHealth");
    let member = Arc::clone(&upstream.member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") != Health::Healthy {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getHealth"), asked + 1);
}

#[tokio::test]
async fn a_metered_upstream_in_doubt_is_back_as_soon_as_it_shows_where_it_is() {
    let node = Node::start(100_000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool_of("abc", vec![settings]);
    probe(&pool, "a").check(node.address).await;
    hears(&pool, 400_000);
    assert_eq!(health(&pool, "a"), Health::Suspect);
    node.says("getSlot", &result(100_001));
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    while health(&pool, "a") == Health::Suspect {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(health(&pool, "a"), Health::Healthy);
    assert_eq!(node.asked("getSlot"), asked + 1);
}

#[tokio::test]
async fn a_metered_upstream_in_service_is_not_asked_for_that() {
    tokio::time::pause();
    let node = Node::start(1000).await;
    let mut settings = node.settings("a");
    settings.metered = true;
    let pool = pool(vec![settings]);
    probe(&pool, "a").check(node.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });
    tokio::time::sleep(Duration::from_mins(1)).await;
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked);
}

#[tokio::test]
async fn a_metered_upstream_that_answers_from_far_behind_is_looked_at_at_once() {
    let (node, other) = (Node::start(1000).await, Node::start(1000).await);
    let settings = [&node, &other]
        .into_iter()
        .zip(["a", "b"])
        .map(|(node, id)| {
            let mut settings = node.settings(id);
            settings.metered = true;
            settings
        });
    let pool = pool(settings.collect());
    probe(&pool, "a").check(node.address).await;
    probe(&pool, "b").check(other.address).await;
    assert_eq!(health(&pool, "a"), Health::Healthy);
    let asked = node.asked("getSlot");
    let member = Arc::clone(&pool.upstreams()[0].member);
    let watch = tokio::spawn(async move { Probe::new(member).look_while_away().await });

    node.says("getSlot", &result(950));
    hears(&pool, 990);
    tokio::task::yield_now().await;
    assert_eq!(node.asked("getSlot"), asked, "others may be as far");
    hears(&pool, 950);
    while health(&pool, "a") != Health::Lagging {
        tokio::task::yield_now().await;
    }
    watch.abort();
    assert_eq!(node.asked("getSlot"), asked + 1);
}
