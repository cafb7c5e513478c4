//! A refusal that another upstream does not share is held against its upstream; one that all share is the answer.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_next_does_not_share_closes_the_method_after_a_handful() {
    for refusal in [
        says(ODD),
        Act::Say(0, 400, "Bad Request".to_owned()),
        Act::Say(0, 410, "Gone".to_owned()),
        Act::Say(0, 503, String::new()),
        says(NO_SLOT),
        says(r#"{"jsonrpc":"2.0","error":"no","id":1}"#),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid request"},"id":1}"#),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"},"id":1}"#),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}"#),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32015,"message":"Version"},"id":1}"#),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", refusal.clone());
        script::set("paid", good(0));
        for key in 0..4 {
            let (answer, _) = scene.balance(key).await;
            assert_eq!(answer, "5", "{refusal:?}");
        }
        assert_eq!(scene.balance(9).await, was("5", "paid@0"), "{refusal:?}");
        script::set("own", good(0));
        sleep(Duration::from_secs(4)).await;
        assert_eq!(scene.balance(9).await, was("5", "own@0"), "{refusal:?}");
        assert_eq!(scene.balance(9).await, was("5", "own@0"), "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_all_share_costs_nobody_anything_and_is_the_first_ones() {
    let scene = Scene::new(&["own", "paid"]);
    let other = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"also odd"},"id":1}"#;
    script::set("own", says(ODD));
    script::set("paid", says(other));
    for key in 0..20 {
        assert_eq!(scene.balance(key).await, was("-32000 odd", "own@0 paid@0"));
    }
    script::set("own", good(0));
    assert_eq!(scene.balance(21).await, was("5", "own@0"));
}

#[tokio::test(start_paused = true)]
async fn one_odd_question_closes_the_method_for_nobody_else() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("paid", good(0));
    for _ in 0..50 {
        script::set("own", says(ODD));
        assert_eq!(scene.balance(666).await.0, "5");
        script::set("own", good(0));
        assert_eq!(scene.balance(1).await, was("5", "own@0"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_everything_is_left_with_everything() {
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", says(ODD));
    script::set("paid", good(0));
    for method in [
        "getBalance",
        "getFeeForMessage",
        "getStakeMinimumDelegation",
    ] {
        for key in 0..4 {
            scene.shows(method, &format!("[{key}]")).await;
        }
    }
    let supply = r#"{"context":{"slot":$slot},"value":{"amount":"5"}}"#;
    script::set("paid", gives(0, supply));
    let shown = scene.shows("getTokenSupply", "[1]").await;
    assert_eq!(shown, was(r#"{"amount":"5"}"#, "paid@0"));
}

#[tokio::test(start_paused = true)]
async fn agaves_word_on_parameters_is_doubted_only_as_far_as_the_budget_goes() {
    let wrong =
        r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid param: WrongSize"},"id":1}"#;
    let scene = Scene::broke(&["own", "paid"]);
    script::set("own", says(wrong));
    script::set("paid", says(wrong));
    let told = "-32602 Invalid param: WrongSize";
    assert_eq!(scene.balance(1).await, was(told, "own@0"));
    let scene = Scene::new(&["own", "paid"]);
    assert_eq!(scene.balance(1).await, was(told, "own@0 paid@0"));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_say_which_call_it_answers_ends_none() {
    let anonymous = |code: i64, id: &str| {
        let error = format!(r#"{{"code":{code},"message":"Invalid params: x"}}"#);
        says(&format!(r#"{{"jsonrpc":"2.0","error":{error}{id}}}"#))
    };
    for (code, id) in [
        (-32602, ""),
        (-32602, r#","id":null"#),
        (-32002, r#","id":null"#),
        (-32015, ""),
        (-32600, ""),
        (-32700, r#","id":null"#),
    ] {
        let scene = Scene::broke(&["own", "paid"]);
        script::set("own", anonymous(code, id));
        script::set("paid", good(0));
        let shown = scene.balance(1).await;
        assert_eq!(shown, was("5", "own@0 paid@0"), "{code} {id}");
    }
    // Where all say so, it is nobody's word on the call, but for what could not be read at all.
    for (code, id, text) in [
        (-32602, r#","id":null"#, "nobody"),
        (-32600, "", "nobody"),
        (-32600, r#","id":null"#, "-32600 Invalid params: x"),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", anonymous(code, id));
        script::set("paid", anonymous(code, id));
        assert_eq!(scene.balance(1).await.0, text, "{code} {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_with_the_upstreams_key_reaches_no_client() {
    let mut settings = testing::settings("own", "http://127.0.0.1:1/v2/s3cr3tk3y");
    settings.metered = false;
    let mut scene = Scene::new(&["own"]);
    scene.pool = testing::healthy(vec![settings]);
    script::set(
        "own",
        Act::Say(0, 404, "Cannot POST /v2/s3cr3tk3y".to_owned()),
    );
    let delivered = scene.ask("getBalance", r#"["k"]"#).await;
    let Delivered::Rejected(Rejection::Refused(page)) = delivered else {
        panic!("{delivered:?}");
    };
    assert_eq!(page.status, 404);
    assert_eq!(page.body, "The upstream answered HTTP 404 to this call.\n");
}

#[tokio::test(start_paused = true)]
async fn calls_that_all_upstreams_limit_are_counted_and_no_others() {
    let scene = Scene::new(&["own", "paid"]);
    let limited = r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}"#;
    let count = || scene.live.rpc.limited_calls.count();
    script::set("own", Act::Say(0, 429, limited.to_owned()));
    script::set("paid", good(0));
    scene.balance(1).await;
    assert_eq!(count(), 0, "another serves it");
    script::set("paid", Act::Say(0, 429, limited.to_owned()));
    scene.balance(2).await;
    scene.balance(3).await;
    assert_eq!(count(), 2);
    script::set("paid", says(ODD));
    sleep(Duration::from_mins(1)).await;
    scene.balance(4).await;
    assert_eq!(count(), 2);
}
