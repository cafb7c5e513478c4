//! Upstreams without a free connection.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_loser_that_waits_for_a_connection_is_held_against_nobody() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Queue);
    script::set("paid", good(100));
    for key in 0..10 {
        assert_eq!(scene.balance(key).await, was("5", "own@0 paid@500"));
        sleep(Duration::from_secs(6)).await;
    }
    assert!(scene.pool.upstreams()[0].breaker_is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_all_connections_in_use_takes_the_first_that_is_free_anywhere() {
    for free in ["own", "paid", "public"] {
        let scene = Scene::broke(&["own", "paid", "public"]);
        for id in ["own", "paid", "public"] {
            let after = if id == free { 5_000 } else { 60_000 };
            script::set(id, Act::Crowded(after, GOOD.to_owned()));
        }
        let start = Instant::now();
        assert_eq!(scene.balance(1).await.0, "5", "{free}");
        // It may be waiting elsewhere at that moment.
        assert!(start.elapsed() < Duration::from_secs(9), "{free}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_finds_every_queue_full_goes_round_ever_more_slowly() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Full);
    script::set("paid", Act::Full);
    let start = Instant::now();
    let (delivered, summary) = scene.run("getSlot", "[]").await;
    assert!(matches!(
        delivered,
        Delivered::Rejected(Rejection::Saturated)
    ));
    let asked = script::asked(start);
    assert!(
        (200..400).contains(&asked.len()),
        "in 30 s: {}",
        asked.len()
    );
    assert!(summary.attempts().len() <= 32, "a line can be read");
    assert_eq!(summary.attempts, u32::try_from(asked.len()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn going_round_asks_nobody_again_who_has_failed() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Say(0, 500, String::new()));
    script::set("paid", Act::Full);
    let start = Instant::now();
    let transaction = transaction();
    scene.ask("sendTransaction", &transaction).await;
    let asked = script::asked(start);
    let of_own = asked.iter().filter(|(who, _)| who == "own").count();
    assert!(of_own <= 2, "{of_own} of {}", asked.len());
    assert!(asked.len() > 100);
}
