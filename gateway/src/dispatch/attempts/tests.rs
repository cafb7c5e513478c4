//! Who is asked when, in virtual time: upstreams `own` (local), `paid` and `spare` (metered) follow
//! a script.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use perijove_core::Slot;
use prometheus::Registry;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config;
use crate::context::RequestContext;
use crate::dispatch::attempt::script::{self, Act};
use crate::dispatch::{
    AnswerPayload, AttemptSummary, Delivered, Dispatch, DispatchMetrics, DispatchState,
    ReadSession, RpcCall, Settings,
};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call, RequestEntry};
use crate::limit::PermitRequest;
use crate::solana::{self, Priority, classify};
use crate::upstream::{Pool, testing};

mod old_answers;
mod passed_on;
mod second_round;
mod transactions;
mod words;

/// A balance.
const GOOD: &str = r#"{"jsonrpc":"2.0","result":{"context":{"slot":$slot},"value":5},"id":1}"#;
const NO_SLOT: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32016,"message":"Minimum context slot"},"id":1}"#;
const ODD: &str = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"odd"},"id":1}"#;

fn good(after: u64) -> Act {
    Act::Say(after, 200, GOOD.to_owned())
}

/// Another result, after so many milliseconds.
fn gives(after: u64, result: &str) -> Act {
    let body = format!(r#"{{"jsonrpc":"2.0","result":{result},"id":1}}"#);
    Act::Say(after, 200, body)
}

fn says(body: &str) -> Act {
    Act::Say(0, 200, body.to_owned())
}

struct Scene {
    pool: Arc<Pool>,
    settings: Settings,
    live: DispatchState,
}

impl Scene {
    fn new(ids: &[&str]) -> Self {
        let upstreams = ids.iter().map(|id| {
            let mut settings = testing::settings(id, "http://127.0.0.1:1/");
            settings.metered = *id != "own";
            settings.tier = match *id {
                "own" => config::Tier::Local,
                "paid" => config::Tier::Paid,
                _ => config::Tier::Public,
            };
            settings
        });
        let metrics = DispatchMetrics::register(&Registry::new()).unwrap();
        script::begin();
        Self {
            pool: testing::healthy(upstreams.collect()),
            settings: Settings {
                retry: config::Retry::default(),
                hedge: config::Hedge::default(),
                history: config::History::default(),
                selection: config::Selection::default(),
                answer_buffer: 1024,
            },
            live: DispatchState::new(metrics, 16, || 0),
        }
    }

    /// Without a budget for repetitions.
    fn broke(ids: &[&str]) -> Self {
        let mut scene = Self::new(ids);
        scene.settings.retry.budget = 0.0;
        scene.settings.retry.min_per_second = 0;
        scene
    }

    async fn ask(&self, method: &str, params: &str) -> Delivered {
        self.run(method, params).await.0
    }

    async fn run(&self, method: &str, params: &str) -> (Delivered, AttemptSummary) {
        let call = call(method, params);
        let class = classify(call.method(), call.params());
        let started = Instant::now();
        let selection = &self.settings.selection;
        let session = ReadSession::of(&self.live.rpc, 7, &class, selection, started);
        let dispatch = Dispatch {
            operation: RpcCall {
                pool: &self.pool,
                memory: &self.live.rpc,
                call: &call,
                class: &class,
                session: &session,
                ask: PermitRequest::own(Priority::Medium),
                ledger_only: false,
                deeper: None,
            },
            settings: &self.settings,
            state: &self.live,
            context: &RequestContext::internal(7, started, started + Duration::from_secs(30)),
            span: &tracing::Span::none(),
            started,
            deadline: started + Duration::from_secs(30),
        };
        dispatch.run().await
    }

    /// Asks, and says what came of it and who was asked at which millisecond.
    async fn shows(&self, method: &str, params: &str) -> (String, String) {
        let start = Instant::now();
        let delivered = self.ask(method, params).await;
        let asked: Vec<_> = script::asked(start)
            .into_iter()
            .map(|(who, at)| format!("{who}@{at}"))
            .collect();
        (text(&delivered), asked.join(" "))
    }

    async fn balance(&self, key: u32) -> (String, String) {
        self.shows("getBalance", &format!(r#"["{key}"]"#)).await
    }
}

fn call(method: &str, params: &str) -> Call {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    match jsonrpc::parse(&Bytes::from(body), 10) {
        Ok(jsonrpc::RequestPayload::Single(RequestEntry::Call(call))) => call,
        other => panic!("{other:?}"),
    }
}

fn text(delivered: &Delivered) -> String {
    match delivered {
        Delivered::Payload(AnswerPayload::Whole(answer)) => {
            if let Some(error) = answer.error() {
                return format!("{} {}", error.code, error.message);
            }
            let result = answer.result().unwrap();
            let value = solana::wrapped_parts(result).map_or(result, |(_, value)| value);
            String::from_utf8(value.to_vec()).unwrap()
        }
        Delivered::Rejected(Rejection::OutcomeUnknown) => "unknown".to_owned(),
        Delivered::Rejected(Rejection::NoUpstream { .. }) => "nobody".to_owned(),
        Delivered::Rejected(Rejection::RateLimited { retry_after }) => {
            format!("limited for {} s", retry_after.as_secs())
        }
        other => panic!("{other:?}"),
    }
}

fn was(answer: &str, asked: &str) -> (String, String) {
    (answer.to_owned(), asked.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nobody_has_is_asked_for_after_each_pause() {
    let mut scene = Scene::new(&["own", "paid"]);
    scene.settings.retry.attempts = 3;
    script::set("own", says(NO_SLOT));
    script::set("paid", says(NO_SLOT));
    let shown = scene
        .shows("getBalance", r#"["k",{"minContextSlot":5000}]"#)
        .await;
    assert_eq!(
        shown,
        was("-32016 Minimum context slot", "own@0 paid@150 own@300")
    );
}

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
async fn a_list_of_another_length_than_was_asked_for_is_asked_for_elsewhere() {
    let value = |items: &str| format!(r#"{{"context":{{"slot":$slot}},"value":{items}}}"#);
    let two = r#"[["a","b"]]"#;
    for (method, params, wrong, right) in [
        (
            "getMultipleAccounts",
            two,
            value("[null]"),
            value("[null,null]"),
        ),
        (
            "getMultipleAccounts",
            two,
            value("[null,null,null]"),
            value("[null,null]"),
        ),
        (
            "getSignatureStatuses",
            two,
            value("[]"),
            value("[null,null]"),
        ),
        (
            "getInflationReward",
            two,
            "[null]".to_owned(),
            "[null,null]".to_owned(),
        ),
        (
            "getBlocksWithLimit",
            "[5,1]",
            "[5,6]".to_owned(),
            "[5]".to_owned(),
        ),
        (
            "getSlotLeaders",
            "[5,2]",
            r#"["x"]"#.to_owned(),
            r#"["x","y"]"#.to_owned(),
        ),
    ] {
        let scene = Scene::broke(&["own", "paid"]);
        script::set("own", gives(0, &wrong));
        script::set("paid", gives(0, &right));
        let (answer, asked) = scene.shows(method, params).await;
        assert!(
            right.ends_with(&answer) || right.contains(&answer),
            "{method} {answer}"
        );
        assert_eq!(asked, "own@0 paid@0", "{method} {wrong}");
    }
}

/// A transaction whose signature is 64 sevens, in base58.
fn transaction() -> String {
    let wire = [&[1][..], &[7; 64], &[1, 2, 3]].concat();
    format!(r#"["{}"]"#, bs58::encode(wire).into_string())
}

/// What `sendTransaction` answers to it.
fn signature() -> String {
    format!("\"{}\"", bs58::encode([7; 64]).into_string())
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
async fn a_scan_goes_on_until_an_upstream_serves_it() {
    let limited = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"busy"},"id":1}"#;
    for failure in [
        Act::Say(0, 500, String::new()),
        says(limited),
        says("garbage"),
        says(r#"{"jsonrpc":"2.0","error":{"code":-32012,"message":"scan aborted"},"id":1}"#),
    ] {
        let scene = Scene::broke(&["own", "paid", "spare"]);
        script::set("own", failure.clone());
        script::set("paid", failure.clone());
        script::set("spare", gives(0, "[]"));
        let shown = scene.shows("getProgramAccounts", r#"["k"]"#).await;
        let expected = if matches!(&failure, Act::Say(_, _, body) if body.contains("-32012")) {
            // What two nodes find too large is.
            was("-32012 scan aborted", "own@0 paid@0")
        } else {
            was("[]", "own@0 paid@0 spare@0")
        };
        assert_eq!(shown, expected, "{failure:?}");
    }
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

#[tokio::test(start_paused = true)]
async fn a_read_that_all_have_failed_is_tried_once_more_where_an_upstream_is_fit() {
    let scene = Scene::broke(&["own", "paid"]);
    script::set("own", Act::Break(0));
    script::set("paid", Act::Break(0));
    let start = Instant::now();
    let delivered = scene.ask("getBalance", r#"["k"]"#).await;
    assert!(matches!(delivered, Delivered::Rejected(_)), "{delivered:?}");
    let asked = script::asked(start);
    let (who, when): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    assert_eq!(who, ["own", "paid", "own", "paid"]);
    assert_eq!(when, [0, 0, 150, 150]);
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

#[tokio::test(start_paused = true)]
async fn a_pause_is_short_where_another_upstream_failed_for_a_moment() {
    let limited = r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}"#;
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Say(0, 503, String::new()));
    script::set("paid", says(limited));
    scene.pool.upstreams()[1].rest_for(Duration::from_secs(30));
    assert_eq!(scene.balance(1).await.0, "limited for 1 s");
}

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
async fn a_slot_that_nothing_explains_is_delivered_only_where_nobody_knows_better() {
    for (other, value) in [(good(0), "5"), (Act::Break(0), "7")] {
        let scene = Scene::new(&["own", "paid"]);
        script::set(
            "own",
            gives(0, r#"{"context":{"slot":50001000},"value":7}"#),
        );
        script::set("paid", other);
        let (told, asked) = scene.balance(1).await;
        assert_eq!(told, value);
        assert!(asked.starts_with("own@0 paid@0"), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_answer_for_want_of_a_newer_one_still_tells_how_old_it_is() {
    let scene = Scene::new(&["own"]);
    for slot in [50_000_000, 49_999_997] {
        let result = format!(r#"{{"context":{{"slot":{slot}}},"value":5}}"#);
        script::set("own", gives(0, &result));
        let (delivered, summary) = scene.run("getBalance", r#"["k"]"#).await;
        assert_eq!(text(&delivered), "5");
        let (_, heads) = summary.told_heads.heads().unwrap();
        assert_eq!(heads.slot(), Some(Slot(slot)));
    }
}
