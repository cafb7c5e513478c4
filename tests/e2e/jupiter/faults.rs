//! What goes wrong with a Jupiter, and what clients see of it: the sandbox's servers, with the faults that
//! real ones have.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use perijove_tests::jupiter::tokens::{SOL, USDC};
use perijove_tests::jupiter::{Fault, Kind, Settings};
use perijove_tests::sandbox::accounts::made_up;
use perijove_tests::wait::{eventually, until};
use serde_json::{Value, json};

use super::trading::{Trading, context, swap};

#[tokio::test]
async fn while_the_own_api_is_cold_the_hosted_one_answers() {
    let trading = Trading::usual().await;
    let own = trading.server(0);
    own.fault(Kind::Cold).await;
    for amount in 1..=20 {
        let reply = trading.quote(amount * 1_000_003).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.upstream(), "hosted");
    }
    trading.until_fitness("own", "failing").await;
    own.reset_counts();
    for amount in 1..=5 {
        assert_eq!(trading.quote(amount * 1_000_033).await.upstream(), "hosted");
    }
    assert_eq!(trading.asked(0, "/quote"), 0, "a cold one is left alone");
    own.heal().unwrap();
    trading.until_fitness("own", "fit").await;
    until("the own API to be asked again", || async {
        (trading.quote(1_000_037).await.upstream() == "own").then_some(())
    })
    .await;
}

#[tokio::test]
async fn markets_that_stand_still_are_left_before_they_are_old() {
    let trading = Trading::usual().await;
    trading.server(0).fault(Kind::Stale).await;
    let target = |amount: u64| swap(SOL, USDC, amount * 1_000_003);
    for step in 0..24 {
        trading.advance(1).await;
        for amount in [1, 2, step] {
            let reply = trading.get(&target(amount + 1)).await;
            let slot = context(&reply);
            assert_eq!(reply.text(), trading.said(0, slot, &target(amount + 1)));
            let behind = trading.tip() - slot;
            let most = if reply.cache() == "hit" { 2 } else { 16 };
            assert!(behind <= most, "{} by {behind}", reply.cache());
        }
    }
    trading.until_fitness("own", "lagging").await;
    let reply = trading.quote(7_700_000).await;
    assert_eq!(
        (reply.upstream(), context(&reply)),
        ("hosted", trading.tip())
    );
    trading.server(0).heal().unwrap();
    trading.until_fitness("own", "fit").await;
    until("the own API to be asked again", || async {
        let reply = trading.quote(1_000_039).await;
        assert_eq!(context(&reply), trading.tip());
        (reply.upstream() == "own").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_quote_from_markets_that_trail_a_little_is_told_once() {
    let trading = Trading::usual().await;
    trading.advance(6).await;
    trading.server(0).fault(Kind::Lag { slots: 5 }).await;
    let asked = trading.asked(0, "/quote");
    for _ in 0..3 {
        let reply = trading.quote(1_000_003).await;
        assert_eq!((reply.upstream(), reply.cache()), ("own", "miss"));
        assert_eq!(context(&reply), trading.tip() - 5);
        assert_eq!(reply.header("x-perijove-slots-behind"), Some("5"));
    }
    assert_eq!(trading.asked(0, "/quote") - asked, 3);
}

#[tokio::test]
async fn a_window_that_is_used_up_is_told_in_seconds_and_not_asked_against() {
    let hosted = Settings {
        limit: Some(4),
        keys: vec!["key-of-the-operator".to_owned()],
        ..Settings::hosted()
    };
    let trading = Trading::open(vec![Settings::default(), hosted], |config| {
        // Canaries count as well.
        config.set("jupiter.health.metered_interval", "1h")
    })
    .await;
    trading.server(0).fault(Kind::Down).await;
    let mut limited = 0;
    for amount in 1..=20 {
        let reply = trading.quote(amount * 1_000_003).await;
        match reply.status {
            200 => assert_eq!(reply.upstream(), "hosted"),
            429 => {
                limited += 1;
                let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=119).contains(&after), "{after}");
                let body = json!({ "code": 429, "message": "Too many requests" });
                assert_eq!(reply.json(), body);
            }
            other => panic!("{other}: {}", reply.text()),
        }
    }
    assert!(limited >= 16, "{limited}");
    // The first refusal was enough.
    assert_eq!(trading.server(1).tally().limited, 1);
    trading.server(0).heal().unwrap();
    trading.until_fitness("own", "fit").await;
    until("quotes to be answered again", || async {
        (trading.quote(1_000_003).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn refusals_of_a_route_are_asked_about_elsewhere_and_others_are_the_answer() {
    let trading = Trading::open(vec![Settings::default(), Settings::hosted()], |config| {
        // Canaries would meet it too.
        config.set("jupiter.health.interval", "1h")
    })
    .await;
    for (number, (code, elsewhere)) in (1..).zip([
        ("COULD_NOT_FIND_ANY_ROUTE", true),
        ("NO_ROUTES_FOUND", true),
        ("MARKET_NOT_FOUND", true),
        ("TOKEN_NOT_TRADABLE", true),
        ("ROUTE_PLAN_DOES_NOT_CONSUME_ALL_THE_AMOUNT", false),
        ("NOT_SUPPORTED", false),
        ("CIRCULAR_ARBITRAGE_IS_DISABLED", false),
        ("CANNOT_COMPUTE_OTHER_AMOUNT_THRESHOLD", false),
        ("MAX_ACCOUNT_GREATER_THAN_MAX", false),
        ("INVALID_COMPUTE_UNIT_PRICE_AND_PRIORITIZATION_FEE", false),
        ("FAILED_TO_GET_SWAP_AND_ACCOUNT_METAS", false),
    ]) {
        let kind = Kind::Error {
            error: "no".to_owned(),
            code: code.to_owned(),
        };
        let own = trading.server(0);
        own.fault(Fault::from(kind).on("/quote")).await;
        let hosted = trading.asked(1, "/swap/v1/quote");
        let reply = trading.quote(number * 1_000_003).await;
        let asked = trading.asked(1, "/swap/v1/quote") - hosted;
        if elsewhere {
            assert_eq!((reply.status, reply.upstream()), (200, "hosted"), "{code}");
            assert_eq!(asked, 1, "{code}");
        } else {
            assert_eq!((reply.status, reply.upstream()), (400, "own"), "{code}");
            assert_eq!(reply.json(), json!({ "error": "no", "errorCode": code }));
            assert_eq!(asked, 0, "{code}");
        }
        own.heal().unwrap();
    }
    // And those that come of the question itself.
    let unknown = made_up(1);
    for (input, output, amount, code) in [
        (SOL, unknown.as_str(), 7, "TOKEN_NOT_TRADABLE"),
        (SOL, SOL, 7, "CIRCULAR_ARBITRAGE_IS_DISABLED"),
    ] {
        let reply = trading.get(&swap(input, output, amount)).await;
        assert_eq!(
            (reply.status, &reply.json()["errorCode"]),
            (400, &json!(code))
        );
    }
}

#[tokio::test]
async fn whatever_happens_to_an_execution_it_happens_once() {
    let settings = vec![Settings::hosted(), Settings::hosted()];
    let trading = Trading::open(settings, |config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        for upstream in upstreams.as_array_mut().unwrap() {
            upstream["timeouts"] = json!({ "first_byte_heavy": "2s" });
        }
        config
            .set("jupiter.upstreams", upstreams)
            .set("jupiter.health.metered_interval", "1h")
    })
    .await;
    let target = format!(
        "/ultra/v1/order?inputMint={SOL}&outputMint={USDC}&amount=7000000&taker={}",
        made_up(5)
    );
    // What is done, and what the client is told.
    for (kind, done, statuses) in [
        (None, 1, vec![200]),
        (Some(Kind::Swallow), 1, vec![504]),
        (Some(Kind::Close), 0, vec![504]),
        (Some(Kind::Cut), 1, vec![504]),
        (Some(Kind::Hang), 0, vec![504]),
        // Whoever answers so may have handed it on.
        (Some(Kind::Garbage), 0, vec![504]),
        (Some(status(500)), 0, vec![504]),
        (Some(status(503)), 0, vec![504]),
        (Some(Kind::RateLimit { firewall: false }), 0, vec![429]),
    ] {
        let order = trading.get(&target).await;
        assert_eq!(order.status, 200, "{}", order.text());
        let issuer = usize::from(order.upstream() == "hosted");
        let order = order.json();
        for server in trading.jupiter.servers() {
            server.reset_counts();
        }
        if let Some(kind) = kind.clone() {
            let fault = Fault::from(kind).on("/execute");
            trading.server(issuer).fault(fault).await;
        }
        let body = json!({
            "requestId": order["requestId"], "signedTransaction": order["transaction"],
        });
        let reply = trading.post("/ultra/v1/execute", &body).await;
        assert!(
            statuses.contains(&reply.status),
            "{kind:?}: {}",
            reply.status
        );
        let asked = [0, 1].map(|index| trading.asked(index, "/ultra/v1/execute"));
        let mut once = [0, 0];
        once[issuer] = 1;
        assert_eq!(asked, once, "{kind:?}: nobody but who issued it, and once");
        let tally = trading.server(issuer).tally();
        assert_eq!(
            (tally.executed, tally.executed_again),
            (done, 0),
            "{kind:?}"
        );
        trading.server(issuer).heal().unwrap();
    }
}

fn status(status: u16) -> Kind {
    Kind::HttpStatus { status, body: None }
}

/// A trade as a client makes it: quote, transaction, signature, sent through the same URL.
async fn trade(trading: &Trading, number: u64) {
    let quote = trading.quote(number * 1_000 + 7).await;
    assert_eq!(quote.status, 200, "quote {number}: {}", quote.text());
    let body = json!({ "userPublicKey": made_up(5), "quoteResponse": quote.json() });
    let built = trading.post("/swap/v1/swap", &body).await;
    assert_eq!(built.status, 200, "swap {number}: {}", built.text());
    let built = built.json();
    let mut bytes = STANDARD
        .decode(built["swapTransaction"].as_str().unwrap())
        .unwrap();
    // A signature of its own; nobody checks it here.
    bytes[1..9].copy_from_slice(&number.to_be_bytes());
    bytes[64] = 7;
    let params = json!([STANDARD.encode(&bytes), { "encoding": "base64" }]);
    let sent = trading.gateway.rpc("sendTransaction", params).await;
    let signature = sent.result();
    let landed = trading
        .cluster
        .cluster()
        .ledger
        .find(signature.as_str().unwrap());
    assert!(landed.is_some(), "trade {number}: {signature}");
}

#[tokio::test]
async fn no_trade_is_lost_while_the_own_api_dies_freezes_and_trails() {
    let trading = Trading::open(vec![Settings::default(), Settings::hosted()], |config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        upstreams[0]["timeouts"] = json!({ "first_byte": "300ms" });
        config.set("jupiter.upstreams", upstreams)
    })
    .await;
    let trading = Arc::new(trading);
    trading.cluster.cluster().clock.resume();
    let (made, over) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let workers: Vec<_> = (0..4)
        .map(|worker: u64| {
            let (trading, made, over) =
                (Arc::clone(&trading), Arc::clone(&made), Arc::clone(&over));
            tokio::spawn(async move {
                let mut number = 1 + worker * 1_000_000;
                while !over.load(Ordering::Relaxed) {
                    trade(&trading, number).await;
                    made.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            })
        })
        .collect();
    let progress = async |what: &str| {
        let before = made.load(Ordering::Relaxed);
        let more = || {
            // A trade that failed has ended its worker.
            let failed = workers.iter().any(tokio::task::JoinHandle::is_finished);
            failed || made.load(Ordering::Relaxed) > before + 12
        };
        eventually(what, more).await;
    };
    let own = trading.server(0);
    for kind in [
        Kind::Down,
        Kind::Hang,
        Kind::Lag { slots: 60 },
        Kind::Close,
        Kind::Cut,
        Kind::Cold,
    ] {
        let what = format!("trades with {kind:?}");
        progress("trades while all is well").await;
        own.fault(kind).await;
        progress(&what).await;
        own.heal().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let failovers = trading.gateway.metrics().await;
    let failovers = failovers.sum("jupiter_api_rpc_failover_total", &[("from", "own")]);
    assert!(failovers > 0.5, "{failovers}");
}

#[tokio::test]
async fn a_consumer_that_was_moved_goes_back_once() {
    let trading = Trading::open(vec![Settings::default(), Settings::hosted()], |config| {
        config
            .set("jupiter.quote.cache", false)
            .set("jupiter.health.slow_start", "1s")
    })
    .await;
    let own = trading.server(0);
    let amount = Cell::new(1_000_000);
    for kind in [Kind::Down, status(502)] {
        own.fault(kind).await;
        trading.until_fitness("own", "failing").await;
        assert_eq!(trading.quote(amount.get()).await.upstream(), "hosted");
        own.heal().unwrap();
        let answered = RefCell::new(Vec::new());
        until("the consumer to be back", || async {
            amount.set(amount.get() + 1);
            let reply = trading.quote(amount.get()).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let mut answered = answered.borrow_mut();
            answered.push(reply.upstream().to_owned());
            let back = answered.iter().rev().take_while(|one| *one == "own");
            (back.count() >= 20).then_some(())
        })
        .await;
        let answered = answered.into_inner();
        let moves = answered.windows(2).filter(|pair| pair[0] != pair[1]);
        assert!(moves.count() <= 1, "{answered:?}");
    }
}

#[tokio::test]
async fn the_keys_of_the_operator_are_asked_for_and_never_shown() {
    let hosted = Settings {
        keys: vec!["key-of-the-operator".to_owned()],
        ..Settings::hosted()
    };
    let trading = Trading::open(vec![Settings::default(), hosted], |config| config).await;
    trading.server(0).fault(Kind::Down).await;
    let reply = trading.quote(7_000_000).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    let seen = trading.server(1).seen("/swap/v1/quote");
    assert!(
        seen.iter()
            .all(|seen| seen.headers["x-api-key"] == "key-of-the-operator")
    );
    // Of a wrong key the client learns nothing but that there is no answer.
    trading.server(1).fault(status(401)).await;
    let reply = trading.quote(7_000_001).await;
    assert!(matches!(reply.status, 502 | 503), "{}", reply.text());
    let shown = [
        reply.text(),
        trading.gateway.status().await.to_string(),
        trading.gateway.process.log().join("\n"),
    ];
    assert!(
        shown
            .iter()
            .all(|text| !text.contains("key-of-the-operator"))
    );
    let body: Value = reply.json();
    assert_ne!(body["code"], 401);
}
