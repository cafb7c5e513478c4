//! Calls that all upstreams have failed, and are sent once more after a pause.

use super::*;

const INTERNAL: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error"},"id":1}"#;

/// What an upstream does that may be over in a moment.
fn passing() -> [Act; 7] {
    [
        Act::Break(0),
        Act::Say(0, 500, String::new()),
        Act::Say(0, 503, String::new()),
        says(r#"{"jsonrpc":"2.0","result":{"cont"#),
        says(r#"{"jsonrpc":"2.0","result":5,"id":777}"#),
        says(r#"{"jsonrpc":"2.0","result":null,"id":1}"#),
        says(INTERNAL),
    ]
}

/// Asks for a balance while all of `ids` do `act`, and lets them be well after 100 ms. Returns what
/// came of it and who was asked when.
async fn heals(scene: &Scene, ids: &[&str], act: Act) -> (String, String) {
    for id in ids {
        script::set(id, act.clone());
    }
    let well = async {
        sleep(Duration::from_millis(100)).await;
        for id in ids {
            script::set(id, good(0));
        }
    };
    let (shown, ()) = tokio::join!(scene.balance(1), well);
    shown
}

#[tokio::test(start_paused = true)]
async fn a_read_that_all_answered_wrongly_is_asked_for_once_more() {
    for act in passing() {
        let scene = Scene::new(&["own", "paid"]);
        let shown = heals(&scene, &["own", "paid"], act.clone()).await;
        assert_eq!(shown, was("5", "own@0 paid@0 own@150"), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_the_only_upstream_failed_is_asked_for_once_more() {
    for act in passing() {
        let scene = Scene::new(&["own"]);
        let shown = heals(&scene, &["own"], act.clone()).await;
        assert_eq!(shown, was("5", "own@0 own@150"), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_upstream_is_asked_no_third_time_and_its_words_are_passed_on() {
    let scene = Scene::new(&["own"]);
    script::set("own", says(INTERNAL));
    assert_eq!(
        scene.balance(1).await,
        was("-32603 Internal error", "own@0 own@150")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_for_good_gets_no_more_calls_than_the_budget_pays_for() {
    for act in passing() {
        let scene = Scene::broke(&["own"]);
        script::set("own", act.clone());
        let (_, asked) = scene.balance(1).await;
        assert_eq!(asked, "own@0", "{act:?}");
    }
    let scene = Scene::broke(&["own", "paid"]);
    script::set("own", says(INTERNAL));
    script::set("paid", says(INTERNAL));
    assert_eq!(
        scene.balance(1).await,
        was("-32603 Internal error", "own@0 paid@0")
    );
}

#[tokio::test(start_paused = true)]
async fn the_only_upstream_is_asked_once_for_what_it_refuses_or_takes_its_time_for() {
    for act in [
        says(ODD),
        Act::Say(0, 404, "Not Found".to_owned()),
        Act::Hang,
    ] {
        let scene = Scene::new(&["own"]);
        script::set("own", act.clone());
        let start = Instant::now();
        scene.ask("getBalance", r#"["k"]"#).await;
        assert_eq!(script::asked(start).len(), 1, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_upstream_gets_a_write_once() {
    for act in passing() {
        for method in ["requestAirdrop", "sendTransaction"] {
            let scene = Scene::new(&["own"]);
            script::set("own", act.clone());
            let start = Instant::now();
            scene.ask(method, &transaction()).await;
            assert_eq!(script::asked(start).len(), 1, "{method} {act:?}");
        }
    }
}
