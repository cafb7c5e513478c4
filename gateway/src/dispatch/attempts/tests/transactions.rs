//! Where a transaction is sent, what a node says of it, and what the client is told.

use super::*;

fn error(code: i64, message: &str, data: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}","data":{data}}},"id":1}}"#
    )
}

fn processed() -> String {
    error(
        -32002,
        "Transaction simulation failed: This transaction has already been processed",
        r#"{"err":"AlreadyProcessed","logs":[]}"#,
    )
}

#[tokio::test(start_paused = true)]
async fn one_that_was_processed_before_is_answered_with_its_signature_whoever_sent_it() {
    let wire = [&[1][..], &[7; 64], &[1, 2, 3]].concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(wire);
    let base64 = format!(r#"["{base64}",{{"encoding":"base64","skipPreflight":true}}]"#);
    for params in [transaction(), base64] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", says(&processed()));
        script::set("paid", gives(0, &signature()));
        let shown = scene.shows("sendTransaction", &params).await;
        assert_eq!(shown, was(&signature(), "own@0"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_signature_cannot_be_read_gets_the_nodes_own_words() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", says(&processed()));
    let (answer, asked) = scene.shows("sendTransaction", r#"["!!!"]"#).await;
    assert!(answer.starts_with("-32002"), "{answer}");
    assert_eq!(asked, "own@0");
}

#[tokio::test(start_paused = true)]
async fn a_simulation_of_one_that_was_processed_says_so() {
    let scene = Scene::new(&["own"]);
    script::set("own", says(&processed()));
    let (answer, _) = scene.shows("simulateTransaction", &transaction()).await;
    assert!(answer.starts_with("-32002"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn another_failure_is_not_taken_for_processed() {
    let scene = Scene::new(&["own"]);
    let failed = error(
        -32002,
        "Transaction simulation failed: This transaction has already been processed",
        r#"{"err":{"InstructionError":[0,{"Custom":1}]}}"#,
    );
    script::set("own", says(&failed));
    let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
    assert!(answer.starts_with("-32002"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn vague_words_on_its_parameters_are_asked_about_elsewhere() {
    for message in [
        "unsupported",
        "Invalid params",
        "invalid request parameters",
    ] {
        let scene = Scene::broke(&["own", "paid", "spare"]);
        let first = error(-32602, message, "null");
        script::set("own", says(&first));
        script::set("paid", says(&error(-32602, "also no", "null")));
        script::set("spare", gives(0, &signature()));
        let shown = scene.shows("sendTransaction", &transaction()).await;
        assert_eq!(
            shown,
            was(&signature(), "own@0 paid@0 spare@0"),
            "{message}"
        );
        // Where all refuse, it is the first one's words.
        script::set("spare", says(&error(-32602, "nor here", "null")));
        let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
        assert_eq!(answer, format!("-32602 {message}"));
    }
}

#[tokio::test(start_paused = true)]
async fn agaves_words_on_its_parameters_are_final() {
    let scene = Scene::new(&["own", "paid"]);
    let message = "invalid transaction: Transaction failed to sanitize accounts offsets correctly";
    script::set("own", says(&error(-32602, message, "null")));
    script::set("paid", gives(0, &signature()));
    let shown = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(shown, was(&format!("-32602 {message}"), "own@0"));
}

#[tokio::test(start_paused = true)]
async fn an_airdrop_that_was_made_behind_a_rate_limit_is_not_asked_for_again() {
    let scene = Scene::new(&["own", "paid"]);
    let made = r#"{"jsonrpc":"2.0","result":"5sig","id":1}"#;
    script::set("own", Act::Say(0, 429, made.to_owned()));
    let shown = scene.shows("requestAirdrop", r#"["k",5]"#).await;
    assert_eq!(shown, was("\"5sig\"", "own@0"));
    // Without a result it was not made.
    script::set("own", Act::Say(0, 429, String::new()));
    script::set("paid", gives(0, "\"6sig\""));
    let (answer, asked) = scene.shows("requestAirdrop", r#"["k",5]"#).await;
    assert_eq!((&*answer, &*asked), ("\"6sig\"", "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_passes_upstreams_that_hang() {
    let mut scene = Scene::broke(&["own", "paid", "spare"]);
    scene.settings.retry.attempts = 1;
    script::set("own", Act::Hang);
    script::set("paid", Act::Hang);
    script::set("spare", gives(20, &signature()));
    let shown = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(shown, was(&signature(), "own@0 paid@300 spare@600"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_answered_with_another_signature_goes_on() {
    let wire = [&[1][..], &[7; 64], &[1, 2, 3]].concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(wire);
    let base64 = format!(r#"["{base64}",{{"encoding":"base64"}}]"#);
    for params in [transaction(), base64] {
        for wrong in ["\"5x\"", "\"\"", "\"rate limited\"", "5", "{}"] {
            let scene = Scene::new(&["own", "paid"]);
            script::set("own", gives(0, wrong));
            script::set("paid", gives(0, &signature()));
            let shown = scene.shows("sendTransaction", &params).await;
            assert_eq!(shown, was(&signature(), "own@0 paid@0"), "{wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_that_hang_close_nothing_but_their_method() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", gives(0, &signature()));
    for _ in 0..12 {
        let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
        assert_eq!(answer, signature());
        sleep(Duration::from_secs(6)).await;
    }
    assert!(scene.pool.upstreams()[0].breaker_is_closed());
    script::set("own", good(0));
    assert_eq!(scene.balance(1).await, was("5", "own@0"));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_under_way_counts_as_sent() {
    let processed = r#"{"jsonrpc":"2.0","error":{"code":-32002,"message":"x","data":{"err":"AlreadyProcessed"}},"id":1}"#;
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Hang);
    script::set("paid", says(processed));
    let (answer, asked) = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(answer, signature());
    assert_eq!(asked, "own@0 paid@300");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_sent_to_an_upstream_that_is_gone_counts_as_sent() {
    let processed = r#"{"jsonrpc":"2.0","error":{"code":-32002,"message":"x","data":{"err":"AlreadyProcessed"}},"id":1}"#;
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Vanish);
    script::set("paid", says(processed));
    let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(answer, signature());
    script::set("paid", Act::Vanish);
    let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(answer, "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_failed_preflight_waits_a_little_for_an_earlier_attempt() {
    let failed = r#"{"jsonrpc":"2.0","error":{"code":-32002,"message":"no","data":{"err":{"InstructionError":[0,"Custom"]}}},"id":1}"#;
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", gives(900, &signature()));
    script::set("paid", says(failed));
    let shown = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(shown, was(&signature(), "own@0 paid@300"));
    script::set("own", Act::Hang);
    let start = Instant::now();
    let shown = scene.shows("sendTransaction", &transaction()).await;
    assert_eq!(shown.0, "unknown");
    assert_eq!(start.elapsed(), Duration::from_millis(1300));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_for_a_slot_to_come_goes_round_only_so_often() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", says(NO_SLOT));
    script::set("paid", says(NO_SLOT));
    let start = Instant::now();
    let delivered = scene.ask("sendTransaction", &transaction()).await;
    assert_eq!(text(&delivered), "-32016 Minimum context slot");
    let asked = u32::try_from(script::asked(start).len()).unwrap();
    let attempts = scene.settings.retry.attempts;
    assert!((2..=attempts + 2).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_leaves_out_says_nothing_about_a_transaction_under_way() {
    let plan = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"not in your plan"},"id":1}"#;
    let unsigned = r#"{"jsonrpc":"2.0","error":{"code":-32003,"message":"Transaction signature verification failure"},"id":1}"#;
    let scene = Scene::new(&["own", "paid", "spare"]);
    script::set("own", Act::Break(0));
    script::set("paid", says(plan));
    script::set("spare", says(plan));
    assert_eq!(
        scene.shows("sendTransaction", &transaction()).await.0,
        "unknown"
    );
    // A verdict of every node is one, whoever spoke before.
    script::set("spare", says(unsigned));
    let (answer, _) = scene.shows("sendTransaction", &transaction()).await;
    assert!(answer.starts_with("-32003"), "{answer}");
}
