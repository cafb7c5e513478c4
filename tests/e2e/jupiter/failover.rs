//! When an upstream fails, refuses, or does not say anything.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_tests::wait::until;
use serde_json::json;

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, CANARY, quote};
use crate::logs::{line_of, tried};

const NO_ROUTE: &str =
    r#"{"error":"Could not find any route","errorCode":"COULD_NOT_FIND_ANY_ROUTE"}"#;

fn failing() -> Answer {
    Answer::text(502, "bad gateway")
}

#[tokio::test]
async fn what_the_own_api_cannot_answer_the_hosted_one_does() {
    for answer in [
        failing(),
        Answer::text(200, "<html>starting</html>").with("content-type", "text/html"),
        Answer::text(404, "404 page not found"),
        Answer::text(302, "").with("location", "http://elsewhere.example/quote"),
        Answer::text(304, ""),
        Answer::text(204, ""),
        Answer::text(206, "{\"inputMint\":").with("content-type", "application/json"),
        Answer::text(400, "<html>400 Bad Request</html>").with("content-type", "text/html"),
        Answer::text(400, ""),
        Answer::refused(429, &json!({ "code": 429 })),
        Answer::refused(401, &json!({ "code": 401 })),
        Answer::refused(400, &serde_json::from_str(NO_ROUTE).unwrap()),
    ] {
        // Whatever it has learned before.
        let exchange = Exchange::open().await;
        exchange
            .own
            .answers(move |asked| (!asked.query.contains(CANARY)).then(|| answer.clone()));
        let reply = exchange.get(&quote_target("/v6/quote", 7)).await;
        assert_eq!(
            (reply.status, reply.upstream()),
            (200, "hosted"),
            "{}",
            reply.text()
        );
        assert_eq!(exchange.own.hits("/quote"), 1);
        assert_eq!(exchange.hosted.hits("/swap/v1/quote"), 1);
        let failovers = exchange
            .sum(
                "jupiter_api_rpc_failover_total",
                &[("from", "own"), ("to", "hosted")],
            )
            .await;
        assert!(failovers > 0.5, "{failovers}");
    }
}

#[tokio::test]
async fn an_access_line_names_every_upstream_that_was_tried() {
    let exchange = Exchange::open().await;
    let but_canaries = |answer: Answer| {
        move |asked: &super::scripted::Asked| {
            (!asked.query.contains(CANARY)).then(|| answer.clone())
        }
    };
    exchange.own.answers(but_canaries(failing()));
    let reply = exchange.quote(7).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    let line = line_of(&exchange.gateway, &reply).await;
    let expected = [("own", "server-error"), ("hosted", "good")];
    assert_eq!(tried(&line), expected, "{line}");
    assert_eq!(
        (&line["attempts"], &line["fault"]),
        (&json!(2), &json!("server-error"))
    );
    // And so does that of a request that nobody answers.
    let page = Answer::text(200, "<html>starting</html>").with("content-type", "text/html");
    exchange.own.answers(but_canaries(page));
    let refused = Answer::refused(401, &json!({ "code": 401 }));
    exchange.hosted.answers(but_canaries(refused));
    let reply = exchange.quote(8).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let line = line_of(&exchange.gateway, &reply).await;
    let expected = [("own", "unexpected-answer"), ("hosted", "unauthorized")];
    assert_eq!(tried(&line), expected, "{line}");
    assert_eq!(line["outcome"], "unavailable", "{line}");
}

#[tokio::test]
async fn a_read_that_failed_everywhere_is_asked_once_more() {
    let exchange = Exchange::open().await;
    let asked_before = AtomicBool::new(false);
    exchange.own.answers(move |asked| {
        let quoted = !asked.query.contains(CANARY);
        (quoted && !asked_before.swap(true, Ordering::Relaxed)).then(failing)
    });
    exchange
        .hosted
        .answers(|asked| (!asked.query.contains(CANARY)).then(failing));
    let reply = exchange.quote(7).await;
    assert_eq!((reply.status, reply.upstream()), (200, "own"));
    assert_eq!(exchange.own.hits("/quote"), 2);
    assert_eq!(exchange.hosted.hits("/swap/v1/quote"), 1);
}

#[tokio::test]
async fn an_api_that_keeps_failing_is_avoided_and_used_again_when_it_is_back() {
    let exchange = Exchange::with(|config| config.set("jupiter.health.slow_start", "0s")).await;
    exchange.own.always(failing());
    exchange.until_fitness("own", "failing").await;
    exchange.own.forget();
    for amount in 1..6 {
        assert_eq!(exchange.quote(amount).await.upstream(), "hosted");
    }
    assert_eq!(exchange.own.hits("/quote"), 0);
    assert!(
        exchange
            .sum("perijove_jupiter_upstream_fit", &[("upstream", "own")])
            .await
            < 0.5
    );
    exchange.own.answers(|_| None);
    exchange.until_fitness("own", "fit").await;
    until("the own API to be asked again", || async {
        (exchange.quote(9).await.upstream() == "own").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_api_costs_a_quote_no_more_than_the_hedge() {
    let exchange = Exchange::with(|config| {
        config.set(
            "hedge",
            json!({ "enabled": true, "metered_after": "100ms" }),
        )
    })
    .await;
    exchange.own.answers(|asked| {
        let frozen = Answer::text(200, "").after(Duration::from_mins(10));
        (!asked.query.contains(CANARY)).then_some(frozen)
    });
    let reply = exchange.quote(7).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
}

#[tokio::test]
async fn an_api_that_loses_every_race_because_it_hangs_is_left() {
    let exchange = Exchange::with(|config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        upstreams[0]["timeouts"] = json!({ "first_byte": "200ms" });
        config
            .set("jupiter.upstreams", upstreams)
            .set("jupiter.quote.cache", false)
            .set("hedge", json!({ "enabled": true, "metered_after": "50ms" }))
    })
    .await;
    exchange.own.answers(|asked| {
        let frozen = Answer::text(200, "").after(Duration::from_mins(10));
        (!asked.query.contains(CANARY)).then_some(frozen)
    });
    // Its canaries are answered: only what nobody waits for any more shows that it hangs.
    until("its breaker to open", || async {
        assert_eq!(exchange.quote(7).await.upstream(), "hosted");
        (exchange.status("own").await["breaker"] == "open").then_some(())
    })
    .await;
}

#[tokio::test]
async fn old_markets_are_avoided() {
    let exchange = Exchange::with(|config| {
        config
            .set("jupiter.health.exclude_lag", 500)
            .set("jupiter.health.readmit_lag", 400)
    })
    .await;
    let tip = exchange.cluster.cluster().clock.tip();
    exchange.own.at(tip - 5_000);
    exchange.until_fitness("own", "lagging").await;
    let reply = exchange.quote(7).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    let own = [("upstream", "own")];
    let age = exchange
        .sum("perijove_jupiter_market_cache_age_slots", &own)
        .await;
    assert!(age > 4_000.0, "{age}");
    // Where there is no better one, it is the best there is.
    exchange.hosted.always(failing());
    let reply = exchange.quote(8).await;
    assert_eq!((reply.status, reply.upstream()), (200, "own"));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a reset names an absolute time")]
async fn a_rate_limit_of_all_becomes_a_retry_after_in_seconds() {
    let exchange = Exchange::open().await;
    let soon = || {
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        (now + 40).to_string()
    };
    let limited = Answer::refused(429, &json!({ "code": 429, "message": "Too many requests" }))
        .with("x-ratelimit-reset", &soon());
    exchange.own.always(limited.clone());
    exchange.hosted.always(limited);
    until("both to be left alone", || async {
        let held = async |id| exchange.status(id).await["held_for_seconds"].is_u64();
        let reply = exchange.quote(7).await;
        assert_eq!(reply.status, 429, "{}", reply.text());
        (held("own").await && held("hosted").await).then_some(())
    })
    .await;
    exchange.own.forget();
    exchange.hosted.forget();
    let reply = exchange.quote(8).await;
    assert_eq!(reply.status, 429);
    assert_eq!(
        reply.json(),
        json!({ "code": 429, "message": "Too many requests" })
    );
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=119).contains(&after), "{after}");
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn what_every_upstream_refuses_the_gateway_is_not_the_callers_fault() {
    let exchange = Exchange::open().await;
    exchange
        .own
        .always(Answer::text(403, "<html>Attention Required!</html>"));
    exchange
        .hosted
        .always(Answer::refused(401, &json!({ "code": 401 })));
    let reply = exchange.quote(7).await;
    assert!(matches!(reply.status, 502 | 503 | 429), "{}", reply.text());
    assert_ne!(reply.json()["code"], 401);
}

#[tokio::test]
async fn a_route_that_nobody_knows_is_jupiters_own_answer() {
    let exchange = Exchange::open().await;
    for upstream in [&exchange.own, &exchange.hosted] {
        upstream.answers(|asked| {
            let none = Answer::text(400, NO_ROUTE).with("content-type", "application/json");
            (!asked.query.contains(CANARY)).then_some(none)
        });
    }
    let reply = exchange.quote(7).await;
    assert_eq!((reply.status, reply.text().as_str()), (400, NO_ROUTE));
}

#[tokio::test]
async fn a_swap_stays_with_the_upstream_of_its_quote() {
    let exchange = Exchange::open().await;
    for upstream in [&exchange.own, &exchange.hosted] {
        upstream.answers(|asked| {
            let built = json!({ "swapTransaction": "AQ==", "lastValidBlockHeight": 1_u64 << 40 });
            asked.path.ends_with("/swap").then(|| Answer::json(&built))
        });
    }
    let of_own = exchange.quote(7).await.json();
    exchange
        .own
        .answers(|asked| (!asked.query.contains(CANARY) && asked.path == "/quote").then(failing));
    let reply = exchange.quote(8).await;
    assert_eq!(reply.upstream(), "hosted");
    let of_hosted = reply.json();
    exchange.own.answers(|asked| {
        let built = json!({ "swapTransaction": "AQ==", "lastValidBlockHeight": 1_u64 << 40 });
        asked.path.ends_with("/swap").then(|| Answer::json(&built))
    });
    for (quote, expected) in [(of_own, "own"), (of_hosted, "hosted")] {
        let body = json!({ "userPublicKey": "x", "quoteResponse": quote });
        let reply = exchange.post("/swap/v1/swap", &body).await;
        assert_eq!(
            (reply.status, reply.upstream()),
            (200, expected),
            "{}",
            reply.text()
        );
    }
    // One that nobody remembers goes where all go.
    let foreign = json!({ "userPublicKey": "x", "quoteResponse": quote(1, 99, 150) });
    assert_eq!(exchange.post("/v6/swap", &foreign).await.upstream(), "own");
}

#[tokio::test]
async fn an_order_is_executed_once_by_whoever_issued_it() {
    let exchange = Exchange::with(|config| {
        let upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        let mut own = upstreams[0].clone();
        own["kind"] = json!("hosted");
        config.set("jupiter.upstreams", json!([own, upstreams[1]]))
    })
    .await;
    let issue = |id: &'static str| {
        move |asked: &super::scripted::Asked| match asked.path.as_str() {
            "/ultra/v1/order" => Some(Answer::json(&json!({ "requestId": id, "transaction": "" }))),
            "/ultra/v1/execute" => Some(failing()),
            _ => None,
        }
    };
    exchange.hosted.answers(issue("of-hosted"));
    exchange
        .own
        .answers(|asked| (asked.path == "/ultra/v1/order").then(failing));
    let reply = exchange.get(&quote_target("/ultra/v1/order", 7)).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    exchange.own.answers(issue("of-own"));
    exchange.own.forget();
    let body = json!({ "signedTransaction": "AQ", "requestId": "of-hosted" });
    let reply = exchange.post("/ultra/v1/execute", &body).await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert_eq!(
        exchange.hosted.hits("/ultra/v1/execute"),
        1,
        "once, although it failed"
    );
    assert_eq!(exchange.own.hits("/ultra/v1/execute"), 0);
}

#[tokio::test]
async fn an_execution_with_an_unreadable_answer_may_have_been_carried_out() {
    let exchange = Exchange::open().await;
    let body = json!({ "signedTransaction": "AQ", "requestId": "7" });
    let page = "<html>502 Bad Gateway</html>";
    for path in ["/ultra/v1/execute", "/swap/v2/execute"] {
        for answer in [
            Answer::text(200, page).with("content-type", "text/html"),
            Answer::text(200, ""),
            Answer::text(200, "{\"status\":").with("content-type", "application/json"),
            Answer::text(204, ""),
            Answer::text(302, "").with("location", "http://elsewhere.example/"),
            Answer::text(502, page).with("content-type", "text/html"),
        ] {
            let told = answer.clone();
            exchange
                .hosted
                .answers(move |asked| asked.path.ends_with("/execute").then(|| told.clone()));
            exchange.hosted.forget();
            let reply = exchange.post(path, &body).await;
            assert_eq!(reply.status, 504, "{path} {answer:?}: {}", reply.text());
            assert!(reply.text().contains("may or may not"), "{}", reply.text());
            assert_eq!(reply.header("location"), None);
            assert_eq!(exchange.hosted.hits(path), 1, "{path} {answer:?}");
        }
        // What can be read is the answer, good or bad.
        for (status, told) in [
            (200, json!({ "status": "Failed", "code": -1 })),
            (400, json!({ "error": "expired" })),
            (500, json!({ "error": "x" })),
        ] {
            let answer = Answer::refused(status, &told);
            exchange
                .hosted
                .answers(move |asked| asked.path.ends_with("/execute").then(|| answer.clone()));
            let reply = exchange.post(path, &body).await;
            assert_eq!((reply.status, reply.json()), (status, told), "{path}");
        }
    }
}

#[tokio::test]
async fn a_get_that_may_change_something_is_sent_once() {
    let exchange = Exchange::with(|config| {
        let upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        let mut own = upstreams[0].clone();
        own["kind"] = json!("hosted");
        own["timeouts"] = json!({ "first_byte": "200ms" });
        config
            .set("jupiter.upstreams", json!([own, upstreams[1]]))
            .set("hedge", json!({ "enabled": true, "metered_after": "50ms" }))
    })
    .await;
    let path = "/trigger/v2/vault/register";
    exchange
        .hosted
        .answers(move |asked| (asked.path == path).then(|| Answer::json(&json!({}))));
    for answer in [
        Answer::text(200, "").after(Duration::from_mins(10)),
        Answer::text(503, "down"),
    ] {
        exchange
            .own
            .answers(move |asked| (asked.path == path).then(|| answer.clone()));
        exchange.own.forget();
        let reply = exchange.get(path).await;
        assert!(matches!(reply.status, 503 | 504), "{}", reply.text());
        assert_eq!(exchange.own.hits(path), 1);
    }
    assert_eq!(exchange.hosted.hits(path), 0);
}

#[tokio::test]
async fn canaries_that_say_nothing_of_the_markets_are_failures() {
    let exchange = Exchange::open().await;
    let tip = exchange.cluster.cluster().clock.tip();
    let good = quote(tip, 10_000_000, 150);
    let with = |member: &str, value: serde_json::Value| {
        let mut other = good.clone();
        other[member] = value;
        Answer::json(&other)
    };
    let part = Answer {
        status: 206,
        ..Answer::json(&good)
    };
    for answer in [
        with("outAmount", json!("0")),
        with("contextSlot", json!(null)),
        with("inAmount", json!("1")),
        part,
    ] {
        exchange.own.always(answer.clone());
        exchange.until_fitness("own", "failing").await;
        exchange.own.answers(|_| None);
        exchange.until_fitness("own", "fit").await;
    }
}
