//! What a node says of a transaction, and what the client is told.

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
