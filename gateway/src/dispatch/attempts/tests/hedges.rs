//! Reads that hang are asked of others too, as long as the budget and the deadline allow it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_is_asked_of_the_bought_upstream_once_it_is_stuck() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", good(100));
    assert_eq!(scene.balance(1).await, was("5", "own@0 paid@500"));
}

#[tokio::test(start_paused = true)]
async fn a_read_passes_two_upstreams_that_hang() {
    let scene = Scene::broke(&["own", "paid", "spare"]);
    script::set("own", Act::Hang);
    script::set("paid", Act::Hang);
    script::set("spare", good(100));
    assert_eq!(
        scene.balance(1).await,
        was("5", "own@0 paid@500 spare@1000")
    );
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_fails_is_replaced_at_once() {
    let scene = Scene::new(&["own", "paid", "spare"]);
    script::set("own", Act::Hang);
    script::set("paid", Act::Break(10));
    script::set("spare", good(100));
    assert_eq!(scene.balance(1).await, was("5", "own@0 paid@500 spare@510"));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_loses_every_race_is_left_soon() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", good(100));
    for key in 0..4 {
        scene.balance(key).await;
    }
    assert_eq!(scene.balance(9).await, was("5", "paid@0"));
    assert!(scene.pool.upstreams()[0].breaker_is_closed());
    // Whoever never answers has failed, although nobody waits for it any more.
    sleep(Duration::from_secs(6)).await;
    scene.balance(10).await;
    sleep(Duration::from_secs(6)).await;
    assert!(!scene.pool.upstreams()[0].breaker_is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_does_not_set_the_measure_for_itself() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", good(3000));
    script::set("paid", good(100));
    for key in 0..80 {
        let start = Instant::now();
        scene.balance(key).await;
        assert!(start.elapsed() <= Duration::from_millis(600), "call {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_take_long_nobody_is_slower_than_the_others() {
    for (own, paid) in [(600, 600), (600, 620), (1500, 1500), (900, 700)] {
        let scene = Scene::new(&["own", "paid", "spare"]);
        script::set("own", good(own));
        script::set("paid", good(paid));
        script::set("spare", good(own));
        tokio::join!(
            scene.balance(1),
            scene.balance(2),
            scene.balance(3),
            scene.balance(4),
            scene.balance(5),
            scene.balance(6)
        );
        sleep(Duration::from_secs(5)).await;
        for one in scene.pool.status().upstreams {
            assert_eq!((one.id.as_str(), one.state.as_str()), (&*one.id, "healthy"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_answers_nobody_is_slower_than_the_others() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", Act::Hang);
    tokio::join!(
        scene.balance(1),
        scene.balance(2),
        scene.balance(3),
        scene.balance(4)
    );
    for one in scene.pool.status().upstreams {
        assert!(!one.state.starts_with("slow"), "{}", one.state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_upstreams_need_long_for_is_not_bought_for_ever() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", good(800));
    script::set("paid", good(800));
    let mut bought = 0;
    for key in 0..200 {
        bought = u32::from(scene.balance(key).await.1.contains("paid"));
    }
    assert_eq!(bought, 0, "it is known by now that nobody is quicker");
}

#[tokio::test(start_paused = true)]
async fn without_hedges_too_a_read_passes_all_that_hang() {
    let mut scene = Scene::broke(&["own", "paid", "a", "b", "c", "well"]);
    scene.settings.hedge.enabled = false;
    for id in ["own", "paid", "a", "b", "c"] {
        script::set(id, Act::Hang);
    }
    script::set("well", good(0));
    assert_eq!(scene.balance(1).await.0, "5");
}

#[tokio::test(start_paused = true)]
async fn a_slow_scan_is_waited_for_and_held_against_nobody() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", gives(9_000, "[]"));
    script::set("paid", gives(100, "[]"));
    for key in 0..6 {
        let shown = scene
            .shows("getProgramAccounts", &format!(r#"["{key}"]"#))
            .await;
        assert_eq!(shown, was("[]", "own@0"));
    }
    assert!(scene.pool.upstreams()[0].breaker_is_closed());
}
