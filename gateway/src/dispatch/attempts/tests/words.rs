//! What an upstream says of a call while others are silent.

use super::*;

const WRONG: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid param: WrongSize"},"id":1}"#;
const NO_BLOCKHASH: &str = r#"{"jsonrpc":"2.0","error":{"code":-32002,"message":"Transaction simulation failed: Blockhash not found","data":{"err":"BlockhashNotFound"}},"id":1}"#;

/// A result that the session sees at this slot.
fn balance_at(slot: u64) -> String {
    format!(r#"{{"context":{{"slot":{slot}}},"value":5}}"#)
}

/// How long the answer took, with what it was and who was asked.
async fn timed(scene: &Scene, method: &str, params: &str) -> (String, String, u128) {
    let start = Instant::now();
    let (answer, asked) = scene.shows(method, params).await;
    (answer, asked, start.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn a_clients_mistake_is_told_although_the_first_upstream_hangs() {
    let error = |code: i64, message: &str| {
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}},"id":1}}"#)
    };
    for (method, body) in [
        ("getBalance", WRONG.to_owned()),
        ("getBalance", error(-32602, "no such thing")),
        ("getBalance", error(-32600, "Invalid request")),
        ("getBalance", NO_SLOT.to_owned()),
        ("getTransaction", error(-32015, "Version")),
        ("getBlockTime", error(-32007, "skipped")),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", Act::Hang);
        script::set("paid", says(&body));
        let (answer, asked, took) = timed(&scene, method, r#"["k"]"#).await;
        let told: serde_json::Value = serde_json::from_str(&body).unwrap();
        let told = &told["error"];
        let message = told["message"].as_str().unwrap();
        assert_eq!(answer, format!("{} {message}", told["code"]));
        assert_eq!(asked, "own@0 paid@500", "{method} {body}");
        assert!(took <= 1000, "{method} {body} took {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clients_mistake_is_told_although_those_asked_for_a_second_opinion_hang() {
    let scene = Scene::new(&["own", "paid", "spare"]);
    script::set("own", says(WRONG));
    script::set("paid", Act::Hang);
    script::set("spare", Act::Hang);
    let (answer, asked, took) = timed(&scene, "getBalance", r#"["k"]"#).await;
    assert_eq!(answer, "-32602 Invalid param: WrongSize");
    assert_eq!((asked.as_str(), took), ("own@0 paid@0", 500));
    // Whoever answers in time and well still has the last word.
    script::set("paid", good(300));
    assert_eq!(scene.balance(1).await, was("5", "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn what_an_upstream_says_of_itself_is_not_told_while_another_may_answer() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", good(3000));
    let busy = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"busy"},"id":1}"#;
    for said in [says(ODD), says(busy), Act::Say(0, 400, String::new())] {
        script::set("paid", said);
        assert_eq!(scene.balance(1).await, was("5", "own@0 paid@500"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_blockhash_is_told_within_a_second_beside_an_upstream_that_hangs() {
    for (first, second) in [
        (Act::Hang, says(NO_BLOCKHASH)),
        (says(NO_BLOCKHASH), Act::Hang),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", first);
        script::set("paid", second);
        let (answer, _, took) = timed(&scene, "simulateTransaction", &transaction()).await;
        assert!(answer.starts_with("-32002"), "{answer}");
        assert!(took <= 1000, "{took} ms");
        let (answer, _, took) = timed(&scene, "sendTransaction", &transaction()).await;
        assert_eq!(answer, "unknown", "the one that hangs may have taken it");
        assert!(took <= 1300, "{took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_only_the_archive_finds_unsupported_is_told_word_for_word() {
    let version = r#"{"jsonrpc":"2.0","error":{"code":-32015,"message":"Transaction version (0) is not supported"},"id":1}"#;
    let pruned =
        r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Block 5 cleaned up"},"id":1}"#;
    let null = r#"{"jsonrpc":"2.0","result":null,"id":1}"#;
    for (method, params, own) in [
        ("getTransaction", r#"["5sig"]"#, null),
        ("getBlock", "[5]", null),
        ("getBlock", "[5]", pruned),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", says(own));
        script::set("paid", says(version));
        let shown = scene.shows(method, params).await;
        let told = "-32015 Transaction version (0) is not supported";
        assert_eq!(shown, was(told, "own@0 paid@0"), "{method} {own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_hangs_is_asked_of_one_that_is_not_known_to_be_far_enough() {
    let scene = Scene::new(&["own", "paid"]);
    for (key, slot) in [(1, 1015), (2, 1030), (3, 1045), (4, 1060)] {
        script::set("own", gives(0, &balance_at(slot)));
        scene.balance(key).await;
    }
    script::set("own", Act::Hang);
    let far_enough = r#"{"context":{"slot":1060},"value":[]}"#;
    script::set("paid", gives(100, far_enough));
    let (answer, asked, _) = timed(&scene, "getTokenAccountsByOwner", r#"["k",{}]"#).await;
    assert_eq!(
        (answer.as_str(), asked.as_str()),
        ("[]", "own@0 paid@15000")
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_not_fit_when_a_scan_is_stuck_is_looked_at_again_soon() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", gives(100, "[]"));
    scene.pool.upstreams()[1].rest_for(Duration::from_millis(16_200));
    let (answer, asked, _) = timed(&scene, "getProgramAccounts", r#"["k"]"#).await;
    assert_eq!(
        (answer.as_str(), asked.as_str()),
        ("[]", "own@0 paid@16500")
    );
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_asked_of_each_upstream_once_until_one_serves_it() {
    let scene = Scene::broke(&["own", "paid", "spare"]);
    script::set("own", Act::Break(0));
    script::set("paid", Act::Say(0, 503, String::new()));
    script::set("spare", gives(0, "[]"));
    for key in 0..3 {
        let params = format!(r#"["{key}"]"#);
        let shown = scene.shows("getProgramAccounts", &params).await;
        assert_eq!(shown, was("[]", "own@0 paid@0 spare@0"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_took_too_long_everywhere_goes_no_second_round() {
    let scene = Scene::broke(&["own"]);
    script::set("own", Act::Hang);
    let (answer, asked, _) = timed(&scene, "getProgramAccounts", r#"["k"]"#).await;
    assert_eq!((answer.as_str(), asked.as_str()), ("nobody", "own@0"));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_never_left_is_given_back_when_the_client_leaves() {
    let mut scene = Scene::new(&["own", "spare"]);
    scene.settings.retry.budget = 0.0;
    scene.settings.retry.min_per_second = 0;
    scene.pool = {
        let upstreams = ["own", "spare"].map(|id| testing::settings(id, "http://127.0.0.1:1/"));
        testing::healthy(upstreams.to_vec())
    };
    for (other, left) in [(Act::Queue, 1), (Act::Hang, 0)] {
        let budget = &scene.live.budget;
        while budget.withdraw(0.0, 0, Instant::now()) {}
        budget.refund();
        script::set("own", other.clone());
        script::set("spare", other);
        let start = Instant::now();
        let leaves = tokio::time::timeout(
            Duration::from_millis(450),
            scene.ask("getBalance", r#"["k"]"#),
        );
        assert!(leaves.await.is_err());
        assert_eq!(script::asked(start).len(), 2, "a hedge was begun");
        let budget = std::iter::from_fn(|| budget.withdraw(0.0, 0, Instant::now()).then_some(()));
        assert_eq!(budget.count(), left);
    }
}
