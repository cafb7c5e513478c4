//! The retry budget bounds what is sent, and hides no fit upstream.

use super::*;

#[tokio::test(start_paused = true)]
async fn without_budget_no_read_is_lost_while_an_upstream_is_fit() {
    let scene = Scene::broke(&["own", "paid"]);
    script::set("own", Act::Say(0, 400, String::new()));
    script::set("paid", good(0));
    for key in 0..200 {
        assert_eq!(scene.balance(key).await.0, "5");
    }
}

#[tokio::test(start_paused = true)]
async fn five_upstreams_that_fail_do_not_hide_a_sixth_that_is_well() {
    let failing = ["own", "paid", "a", "b", "c"];
    for failure in [
        Act::Say(0, 503, String::new()),
        Act::Say(0, 400, "Bad Request".to_owned()),
        Act::Break(0),
        Act::Hang,
        says("garbage"),
        says(ODD),
        says(NO_SLOT),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error"},"id":1}"#),
        says(r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}"#),
    ] {
        let scene = Scene::broke(&["own", "paid", "a", "b", "c", "well"]);
        for id in failing {
            script::set(id, failure.clone());
        }
        script::set("well", good(0));
        for key in 0..20 {
            let (answer, asked) = scene.balance(key).await;
            assert_eq!(answer, "5", "{failure:?} {asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_twice_once_a_call_was_sent_often_enough() {
    let mut scene = Scene::new(&["own", "paid", "a", "b"]);
    scene.settings.retry.attempts = 2;
    for (failure, answer) in [
        (Act::Break(0), "nobody"),
        (says(NO_SLOT), "-32016 Minimum context slot"),
    ] {
        for id in ["own", "paid", "a", "b"] {
            script::set(id, failure.clone());
        }
        let start = Instant::now();
        let delivered = scene
            .ask("getBalance", r#"["k",{"minContextSlot":5000}]"#)
            .await;
        assert_eq!(text(&delivered), answer);
        let mut asked: Vec<_> = script::asked(start)
            .into_iter()
            .map(|(who, _)| who)
            .collect();
        asked.sort();
        assert_eq!(asked, ["a", "b", "own", "paid"]);
    }
}

/// What is left of a retry budget after `own` has failed 64 calls at once and `paid` did this with each.
async fn left_of_the_budget(paid: Act) -> usize {
    let mut scene = Scene::new(&["own", "paid"]);
    scene.settings.retry.budget = 1.0;
    scene.settings.retry.min_per_second = 0;
    (0..1000).for_each(|_| scene.live.budget.deposit());
    // So late that all calls are under way before the first is asked of the other.
    script::set("own", Act::Say(1, 500, String::new()));
    script::set("paid", paid);
    let start = Instant::now();
    let calls = (0..64).map(|_| scene.ask("getSlot", "[]"));
    futures::future::join_all(calls).await;
    // Balances fade with time.
    sleep_until(start + Duration::from_secs(40)).await;
    let pays = || scene.live.budget.withdraw(1.0, 0, Instant::now());
    std::iter::repeat_with(pays)
        .take_while(|paid| *paid)
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_was_not_sent_is_not_paid_for() {
    let served = left_of_the_budget(gives(0, "1000")).await;
    let unsent = left_of_the_budget(Act::Full).await;
    let in_vain = left_of_the_budget(Act::Say(0, 500, String::new())).await;
    assert_eq!(unsent, served);
    assert!(in_vain + 2 < served, "{in_vain} of {served}");
}
