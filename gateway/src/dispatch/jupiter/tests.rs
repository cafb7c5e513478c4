//! Who is asked when, in virtual time: upstreams `own` (local) and `hosted` (paid) follow a script.

mod blame;
mod fees;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use perijove_core::UnixClock;
use prometheus::Registry;
use tokio::time::Instant;

use super::{JupiterCall, JupiterJudge};
use crate::cache::{PoolTrades, TradeMetrics};
use crate::config::{self, Tier};
use crate::context::RequestContext;
use crate::dispatch::attempt::script::{self, Act};
use crate::dispatch::{Delivered, Dispatch, DispatchMetrics, DispatchState, Settings};
use crate::jupiter::{ApiRoute, AskedSwap, RequestClass};
use crate::upstream::{ApiPool, Pool, ReplyBody, testing};

struct Scene {
    pool: ApiPool,
    /// At slot 1000.
    nodes: Arc<Pool>,
    settings: Settings,
    live: DispatchState,
    trades: Arc<PoolTrades>,
    asked: Option<AskedSwap>,
    token: bool,
}

impl Scene {
    fn new() -> Self {
        script::begin();
        let metrics = DispatchMetrics::register(&Registry::new()).unwrap();
        let trades = TradeMetrics::register(&Registry::new()).unwrap();
        Self {
            pool: testing::jupiter(&[("own", Tier::Local), ("hosted", Tier::Paid)]),
            nodes: testing::healthy(vec![testing::settings("node", "http://127.0.0.1:1/")]),
            settings: Settings {
                retry: config::RetrySettings::default(),
                hedge: config::HedgeSettings::default(),
                history: config::HistorySettings::default(),
                selection: config::Selection::default(),
                answer_buffer: 1024,
            },
            live: DispatchState::new(metrics, 16, UnixClock::new(|| 0)),
            trades: Arc::new(PoolTrades::new(trades)),
            asked: None,
            token: false,
        }
    }

    /// Who answered and what, or why nobody did, and who was asked at which millisecond.
    async fn ask(&self, method: &Method, path: &str) -> (String, String) {
        let started = Instant::now();
        let deadline = started + Duration::from_secs(30);
        let route = ApiRoute::of(path).unwrap();
        let choice = self.pool.choose(route.api, route.product, 7, None, started);
        let body = Bytes::new();
        let dispatch = Dispatch {
            operation: JupiterCall {
                choice: &choice,
                route: &route,
                method,
                query: "",
                fields: &[],
                body: &body,
                consumer: 7,
                unknown_latency: self.settings.hedge.metered_after,
                judge: JupiterJudge {
                    product: route.product,
                    class: RequestClass::of(method, &route),
                    token: self.token,
                    asked: self.asked,
                    built_for: None,
                    nodes: Arc::clone(&self.nodes),
                    trades: Arc::clone(&self.trades),
                    exclude_lag: 16,
                },
            },
            settings: &self.settings,
            state: &self.live,
            context: &RequestContext::internal(7, started, deadline),
            span: &tracing::Span::none(),
            started,
            deadline,
        };
        let (delivered, summary) = dispatch.run().await;
        let said = match delivered {
            Delivered::Payload(answer) => {
                let ReplyBody::Complete(body) = answer.reply.body else {
                    panic!("a short answer");
                };
                let (upstream, status) = (summary.upstream.unwrap(), answer.reply.status);
                let text = String::from_utf8(body.to_vec()).unwrap();
                format!("{} {status} {text}", upstream.id())
            }
            Delivered::Rejected(rejection) => rejection.label().to_owned(),
        };
        let asked: Vec<_> = script::asked(started)
            .into_iter()
            .map(|(who, at)| format!("{who}@{at}"))
            .collect();
        (said, asked.join(" "))
    }

    async fn quote(&self) -> (String, String) {
        self.ask(&Method::GET, "/swap/v1/quote").await
    }

    async fn execute(&self) -> (String, String) {
        self.ask(&Method::POST, "/ultra/v1/execute").await
    }
}

fn was(answer: &str, asked: &str) -> (String, String) {
    (answer.to_owned(), asked.to_owned())
}

fn says(status: u16, body: &str) -> Act {
    Act::Say(0, status, body.to_owned())
}

/// A quote from markets at this slot.
fn quote_at(slot: u64) -> String {
    format!(
        r#"{{"inputMint":"a","outputMint":"b","inAmount":"1","outAmount":"2","contextSlot":{slot}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn what_the_first_does_not_answer_the_next_does() {
    let (good, page) = (quote_at(1000), "<html>");
    let no_route = r#"{"error":"x","errorCode":"COULD_NOT_FIND_ANY_ROUTE"}"#;
    for (fault, asked) in [
        (says(502, ""), "own@0 hosted@0"),
        (says(200, page), "own@0 hosted@0"),
        (says(429, "{}"), "own@0 hosted@0"),
        (says(401, "{}"), "own@0 hosted@0"),
        (says(403, page), "own@0 hosted@0"),
        (says(302, ""), "own@0 hosted@0"),
        (says(304, ""), "own@0 hosted@0"),
        (says(206, "{"), "own@0 hosted@0"),
        (says(204, ""), "own@0 hosted@0"),
        (says(400, page), "own@0 hosted@0"),
        (says(400, ""), "own@0 hosted@0"),
        (says(400, no_route), "own@0 hosted@0"),
        (says(200, &quote_at(983)), "own@0 hosted@0"),
        (Act::Break(10), "own@0 hosted@10"),
        (Act::Vanish, "own@0 hosted@0"),
        // Unanswered for longer than usual.
        (Act::Hang, "own@0 hosted@500"),
        // All connections stay in use.
        (Act::Crowded(900, good.clone()), "own@0 hosted@100"),
    ] {
        let scene = Scene::new();
        script::set("own", fault);
        script::set("hosted", says(200, &good));
        let expected = was(&format!("hosted 200 {good}"), asked);
        assert_eq!(scene.quote().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_the_callers_is_asked_of_nobody_else() {
    for (status, body) in [(200, quote_at(984)), (400, "{}".to_owned())] {
        let scene = Scene::new();
        script::set("own", says(status, &body));
        let expected = was(&format!("own {status} {body}"), "own@0");
        assert_eq!(scene.quote().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn of_answers_that_nobody_wants_the_most_useful_is_delivered() {
    let no_route = r#"{"error":"x","errorCode":"NO_ROUTES_FOUND"}"#;
    let (old, older) = (quote_at(983), quote_at(900));
    for (own, hosted, expected) in [
        ((200, &*older), (200, &*old), format!("hosted 200 {old}")),
        ((200, &*old), (200, &*older), format!("own 200 {old}")),
        ((400, no_route), (200, &*old), format!("hosted 200 {old}")),
        ((400, no_route), (401, "{}"), format!("own 400 {no_route}")),
        (
            (429, "{}"),
            (400, no_route),
            format!("hosted 400 {no_route}"),
        ),
        ((401, "{}"), (403, "<html>"), "key_refused".to_owned()),
        ((429, "{}"), (401, "{}"), "rate_limited".to_owned()),
        // When to come again says more than the text of a server that failed.
        ((502, "down"), (429, "{}"), "rate_limited".to_owned()),
        ((200, "<html>"), (401, "{}"), "unavailable".to_owned()),
        // A page only where all say the same.
        ((404, "<a>"), (404, "<b>"), "refused_in_http".to_owned()),
        ((404, "<a>"), (200, "<b>"), "unavailable".to_owned()),
        ((404, "<a>"), (429, "{}"), "rate_limited".to_owned()),
    ] {
        let scene = Scene::new();
        script::set("own", says(own.0, own.1));
        script::set("hosted", says(hosted.0, hosted.1));
        let (said, _asked) = scene.quote().await;
        assert_eq!(said, expected, "{own:?} {hosted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_failed_everywhere_is_asked_once_more() {
    let scene = Scene::new();
    script::set("own", says(502, "down"));
    script::set("hosted", Act::Break(0));
    let expected = was("own 502 down", "own@0 hosted@0 own@150 hosted@150");
    assert_eq!(scene.quote().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_always_paid_for() {
    let mut scene = Scene::new();
    (
        scene.settings.retry.budget,
        scene.settings.retry.min_per_second,
    ) = (0.0, 0);
    let slow = quote_at(1000);
    script::set("own", Act::Say(2_000, 200, slow.clone()));
    script::set("hosted", says(200, &quote_at(999)));
    let expected = was(&format!("own 200 {slow}"), "own@0");
    assert_eq!(scene.quote().await, expected);
    // A healthy one takes over all the same.
    script::set("own", says(502, ""));
    let (said, asked) = scene.quote().await;
    assert!(said.starts_with("hosted 200"), "{said}");
    assert_eq!(asked, "own@0 hosted@0");
}

#[tokio::test(start_paused = true)]
async fn an_execution_is_sent_once_whatever_becomes_of_it() {
    for (act, said) in [
        (says(200, "{}"), "own 200 {}"),
        (says(400, "{}"), "own 400 {}"),
        (says(500, r#"{"error":"x"}"#), r#"own 500 {"error":"x"}"#),
        (says(500, "down"), "outcome_unknown"),
        (says(502, "<html>"), "outcome_unknown"),
        (says(429, "{}"), "rate_limited"),
        (says(401, "{}"), "key_refused"),
        (says(200, "<html>"), "outcome_unknown"),
        (says(200, ""), "outcome_unknown"),
        (says(204, ""), "outcome_unknown"),
        (says(307, ""), "outcome_unknown"),
        (says(404, "404 page not found"), "outcome_unknown"),
        (says(403, "<html>"), "key_refused"),
        (Act::Break(10), "outcome_unknown"),
        (Act::Vanish, "outcome_unknown"),
        (Act::Hang, "outcome_unknown"),
    ] {
        let scene = Scene::new();
        script::set("own", act.clone());
        script::set("hosted", says(200, "{}"));
        assert_eq!(scene.execute().await, was(said, "own@0"), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_does_not_know_is_sent_once_whatever_its_verb() {
    for (act, said) in [
        (says(500, "down"), "own 500 down"),
        (Act::Break(10), "outcome_unknown"),
        (Act::Vanish, "outcome_unknown"),
        (Act::Hang, "outcome_unknown"),
        // It was refused, so nothing was done.
        (says(401, "{}"), "hosted 200 {}"),
        (says(429, "{}"), "hosted 200 {}"),
    ] {
        let scene = Scene::new();
        script::set("own", act.clone());
        script::set("hosted", says(200, "{}"));
        let path = "/trigger/v2/vault/register";
        let (answer, asked) = scene.ask(&Method::GET, path).await;
        assert_eq!(answer, said, "{act:?}");
        let twice = said.starts_with("hosted");
        let expected = if twice { "own@0 hosted@0" } else { "own@0" };
        assert_eq!(asked, expected, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_what_its_own_token_or_the_lack_of_it_is_worth() {
    let refusals = [
        (401, r#"{"error":"Unauthorized"}"#),
        (401, ""),
        (403, r#"{"error":"Forbidden"}"#),
        (403, "<html>"),
    ];
    for (status, body) in refusals {
        for (method, path) in [
            (Method::GET, "/trigger/v2/orders/history"),
            (Method::POST, "/trigger/v2/orders"),
        ] {
            for (token, asked) in [(false, "own@0 hosted@0"), (true, "own@0")] {
                let mut scene = Scene::new();
                scene.token = token;
                for upstream in ["own", "hosted"] {
                    script::set(upstream, says(status, body));
                }
                let expected = was(&format!("own {status} {body}"), asked);
                assert_eq!(scene.ask(&method, path).await, expected);
                assert_eq!(scene.spoken_against(), NOTHING);
            }
        }
    }
}

/// What speaks against `own` and `hosted`: breakers and hold-offs.
const NOTHING: [(&str, Option<&str>); 2] = [("closed", None); 2];

impl Scene {
    fn spoken_against(&self) -> [(&'static str, Option<&'static str>); 2] {
        let all = self.pool.status();
        let said = all.iter().map(|one| (one.breaker, one.held_because));
        said.collect::<Vec<_>>().try_into().unwrap()
    }
}
