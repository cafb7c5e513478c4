//! A blockhash that a node denies, which one further ahead may know. `own` is behind `paid`, though not by
//! so much that it does not serve.

use super::*;
use crate::solana::FaultKind;

const METHODS: [(&str, &str, &str); 3] = [
    ("isBlockhashValid", "false", "true"),
    ("getFeeForMessage", "null", "5000"),
    (
        "simulateTransaction",
        r#"{"err":"BlockhashNotFound","logs":[]}"#,
        r#"{"err":null,"logs":[]}"#,
    ),
];

fn at(slot: u64, value: &str) -> Act {
    let result = format!(r#"{{"context":{{"slot":{slot}}},"value":{value}}}"#);
    gives(0, &result)
}

/// They are seen at these slots, at every commitment.
fn scene(own: u64, paid: u64) -> Scene {
    let mut scene = Scene::new(&["own", "paid"]);
    scene.settings.selection.floor_ttl = Duration::ZERO;
    let is = |id: &str| {
        let all = scene.pool.upstreams().iter();
        all.into_iter().find(|one| one.id() == id).unwrap()
    };
    for (upstream, slot) in [(is("paid"), paid), (is("own"), own)] {
        upstream.seen_at(slot);
    }
    scene
}

async fn asks(scene: &Scene, method: &str) -> (String, String) {
    scene.shows(method, r#"["x"]"#).await
}

#[tokio::test(start_paused = true)]
async fn what_a_node_behind_denies_is_asked_of_one_further_ahead() {
    for (method, denied, known) in METHODS {
        let scene = scene(1000, 1010);
        script::set("own", at(1000, denied));
        script::set("paid", at(1010, known));
        let shown = asks(&scene, method).await;
        assert_eq!(shown, was(known, "own@0 paid@0"), "{method}");
        script::set("own", at(1000, known));
        let shown = asks(&scene, method).await;
        assert_eq!(shown, was(known, "own@0"), "{method}: not denied");
    }
}

#[tokio::test(start_paused = true)]
async fn the_word_of_a_node_at_the_tip_is_final() {
    for (method, denied, known) in METHODS {
        for behind in [0, 2] {
            let scene = scene(1010 - behind, 1010);
            script::set("own", at(1010 - behind, denied));
            script::set("paid", at(1010, known));
            let shown = asks(&scene, method).await;
            assert_eq!(shown, was(denied, "own@0"), "{method} {behind}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_further_ahead_it_is_delivered_and_where_the_other_denies_it_too() {
    for (method, denied, _) in METHODS {
        let scene = scene(1000, 1010);
        script::set("own", at(1000, denied));
        script::set("paid", at(1010, denied));
        let shown = asks(&scene, method).await;
        assert_eq!(shown, was(denied, "own@0 paid@0"), "{method}");
        script::set("paid", says(ODD));
        let (delivered, summary) = scene.run(method, r#"["y"]"#).await;
        assert_eq!(text(&delivered), denied, "{method}");
        assert_eq!(summary.doubt, Some(FaultKind::BlockhashNotFound));
        assert!(!summary.may_be_kept());
        script::asked(Instant::now());
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_budget_bounds_second_opinions() {
    let mut scene = scene(1000, 1010);
    scene.settings.retry.budget = 0.1;
    scene.settings.retry.min_per_second = 0;
    script::set("own", at(1000, "false"));
    script::set("paid", at(1010, "false"));
    let mut second = 0;
    for _ in 0..100 {
        let (_, who) = asks(&scene, "isBlockhashValid").await;
        second += usize::from(who.contains("paid"));
    }
    assert!((5..=20).contains(&second), "{second} of a hundred");
}
