//! Who is asked when, in virtual time: upstreams `own` (local), `paid` and `spare` (metered) follow
//! a script.

mod blockhashes;
mod busy;
mod hedges;
mod old_answers;
mod passed_on;
mod refusals;
mod retry_budget;
mod second_round;
mod transactions;
mod words;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use perijove_core::{Slot, UnixClock};
use prometheus::Registry;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config;
use crate::context::RequestContext;
use crate::dispatch::attempt::script::{self, Act};
use crate::dispatch::{
    AnswerPayload, CallSummary, Delivered, Dispatch, DispatchMetrics, DispatchState, ReadSession,
    RpcCall, Settings,
};
use crate::error::Rejection;
use crate::jsonrpc::{self, Call, RequestEntry};
use crate::limit::PermitRequest;
use crate::solana::{self, Priority, classify};
use crate::upstream::{Pool, testing};

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
                retry: config::RetrySettings::default(),
                hedge: config::HedgeSettings::default(),
                history: config::HistorySettings::default(),
                selection: config::Selection::default(),
                answer_buffer: 1024,
            },
            live: DispatchState::new(metrics, 16, UnixClock::new(|| 0)),
        }
    }

    /// Without a budget for repetitions.
    fn broke(ids: &[&str]) -> Self {
        let mut scene = Self::new(ids);
        scene.settings.retry.budget = 0.0;
        scene.settings.retry.min_per_second = 0;
        scene
    }

    async fn ask(&self, method: &str, params: &str) -> Delivered<AnswerPayload> {
        self.run(method, params).await.0
    }

    async fn run(&self, method: &str, params: &str) -> (Delivered<AnswerPayload>, CallSummary) {
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
                urgency: None,
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

fn text(delivered: &Delivered<AnswerPayload>) -> String {
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
async fn a_pause_is_short_where_another_upstream_failed_for_a_moment() {
    let limited = r#"{"jsonrpc":"2.0","error":{"code":429,"message":"Too many requests"},"id":1}"#;
    let scene = Scene::new(&["own", "paid"]);
    script::set("own", Act::Say(0, 503, String::new()));
    script::set("paid", says(limited));
    scene.pool.upstreams()[1].rest_for(Duration::from_secs(30));
    assert_eq!(scene.balance(1).await.0, "limited for 1 s");
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
        let (_, heads) = summary.notes.told_heads.heads().unwrap();
        assert_eq!(heads.slot(), Some(Slot(slot)));
    }
}
