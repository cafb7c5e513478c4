//! The best of several quotes, the operator's fee, and what is kept besides quotes and prices.

use perijove_core::Pubkey;
use serde_json::json;

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, Asked, CANARY, USDC, quote};
use crate::logs::{line_of, tried};

/// A quote at this price where the query says so, and one at 150 elsewhere.
fn pays(
    slot: u64,
    part: &'static str,
    price: u64,
) -> impl Fn(&Asked) -> Option<Answer> + Send + Sync {
    move |asked| {
        let amount = 1_000_000;
        let better = !asked.query.contains(CANARY) && asked.query.contains(part);
        better.then(|| Answer::json(&quote(slot, amount, price)))
    }
}

async fn best(exchange: &Exchange, rest: &str) -> perijove_tests::client::Reply {
    let target = quote_target("swap/v1/quote", 1_000_000);
    let url = format!("{}{target}{rest}", exchange.gateway.url());
    let get = exchange.gateway.client().get(url);
    exchange
        .gateway
        .send(get.header("x-perijove-optimize", "best"))
        .await
}

async fn patient() -> Exchange {
    Exchange::with(|config| config.set("jupiter.optimizer.deadline", "10s")).await
}

#[tokio::test]
async fn the_best_of_all_variants_and_upstreams_is_delivered_to_the_byte() {
    let exchange = patient().await;
    let slot = exchange.cluster.cluster().clock.tip();
    // Direct routes pay more.
    exchange
        .own
        .answers(pays(slot, "onlyDirectRoutes=true", 160));
    let reply = best(&exchange, "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.text(), quote(slot, 1_000_000, 160).to_string());
    assert_eq!(reply.header("x-perijove-variant"), Some("direct"));
    assert_eq!(reply.upstream(), "own");
    let gain: f64 = reply
        .header("x-perijove-gain-bps")
        .unwrap()
        .parse()
        .unwrap();
    assert!((gain - 666.67).abs() < 0.01, "{gain}");
    let compared: u32 = reply
        .header("x-perijove-compared")
        .unwrap()
        .parse()
        .unwrap();
    assert!(compared >= 3, "{compared}");
    let line = line_of(&exchange.gateway, &reply).await;
    let asked = tried(&line);
    assert_eq!(line["attempts"], asked.len(), "{line}");
    assert_eq!(asked.len(), compared as usize, "{line}");
    for upstream in ["own", "hosted"] {
        assert!(asked.contains(&(upstream, "good")), "{line}");
    }
    // So does the hosted one.
    exchange.hosted.answers(pays(slot, "amount=1000000", 170));
    let reply = best(&exchange, "").await;
    assert_eq!(
        (reply.upstream(), reply.header("x-perijove-variant")),
        ("hosted", Some("as-asked"))
    );
    // What the caller has said is not asked otherwise.
    exchange.own.forget();
    best(
        &exchange,
        "&onlyDirectRoutes=false&restrictIntermediateTokens=true",
    )
    .await;
    assert_eq!(exchange.own.hits("/quote"), 1);
}

#[tokio::test]
async fn the_best_is_never_worse_than_what_was_asked_for() {
    let exchange = patient().await;
    let slot = exchange.cluster.cluster().clock.tip();
    exchange
        .own
        .answers(pays(slot, "onlyDirectRoutes=true", 10));
    exchange.hosted.answers(pays(slot, "amount=1000000", 10));
    let reply = best(&exchange, "").await;
    assert_eq!(reply.text(), exchange_quote(&exchange).await);
    assert_eq!(reply.header("x-perijove-gain-bps"), Some("0.00"));
}

#[tokio::test]
async fn slots_that_run_ahead_or_are_missing_make_no_quote_better() {
    let exchange = patient().await;
    let tip = exchange.cluster.cluster().clock.tip();
    let usual = move |asked: &Asked| {
        let plain = !asked.query.contains(CANARY);
        plain.then(|| Answer::json(&quote(tip, 1_000_000, 100)))
    };
    exchange.own.answers(usual);
    let hosted = |slot: serde_json::Value, price: u64| {
        let mut answer = quote(tip, 1_000_000, price);
        answer["contextSlot"] = slot;
        exchange.hosted.answers(move |asked| {
            let plain = !asked.query.contains(CANARY);
            plain.then(|| Answer::json(&answer))
        });
    };
    for slot in [
        json!(tip + 3),
        json!(tip + 30),
        json!(tip + 1_000_000),
        json!(u64::MAX),
    ] {
        hosted(slot.clone(), 10);
        let reply = best(&exchange, "").await;
        assert_eq!(reply.json()["outAmount"], "100000", "{slot}");
        let gain = reply.header("x-perijove-gain-bps");
        assert_eq!((reply.upstream(), gain), ("own", Some("0.00")), "{slot}");
    }
    // How old these prices are is not known.
    for slot in [json!(null), json!(-1), json!(1.5), json!(u64::MAX)] {
        hosted(slot.clone(), 900);
        let reply = best(&exchange, "").await;
        assert_eq!(reply.json()["outAmount"], "100000", "{slot}");
    }
    hosted(json!(tip), 900);
    assert_eq!(best(&exchange, "").await.json()["outAmount"], "900000");
    // The plain quote counts however old it is: it is what the caller would have got.
    exchange.own.answers(move |asked| {
        let plain = !asked.query.contains(CANARY) && !asked.query.contains("restrict");
        plain.then(|| Answer::json(&quote(tip - 10, 1_000_000, 1_000)))
    });
    assert_eq!(best(&exchange, "").await.json()["outAmount"], "1000000");
}

#[tokio::test]
async fn an_upstream_with_another_fee_is_no_competitor() {
    let exchange = Exchange::with(|config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        upstreams[1]["platform_fee_bps"] = json!(20);
        config
            .set("jupiter.optimizer.deadline", "10s")
            .set("jupiter.upstreams", upstreams)
            .set("jupiter.fee_fallback", true)
    })
    .await;
    let slot = exchange.cluster.cluster().clock.tip();
    exchange.hosted.answers(pays(slot, "amount=1000000", 900));
    let reply = best(&exchange, "").await;
    assert_eq!((reply.status, reply.upstream()), (200, "own"));
    assert!(exchange.hosted.asked().is_empty());
    // It is asked where no other can answer.
    let down = |asked: &Asked| (!asked.query.contains(CANARY)).then(|| Answer::text(503, ""));
    exchange.own.answers(down);
    let reply = best(&exchange, "").await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    assert_eq!(reply.header("x-perijove-fee-bps"), Some("20"));
}

async fn exchange_quote(exchange: &Exchange) -> String {
    exchange.quote(1_000_000).await.text()
}

#[tokio::test]
async fn a_variant_that_does_not_come_is_not_waited_for() {
    let exchange = Exchange::open().await;
    exchange.own.answers(|asked| {
        let never = Answer::text(200, "").after(std::time::Duration::from_mins(10));
        asked.query.contains("onlyDirectRoutes").then_some(never)
    });
    let reply = best(&exchange, "").await;
    assert_eq!(reply.status, 200);
    let ordinary = exchange
        .get(&quote_target("/swap/v1/quote", 1_000_000))
        .await;
    assert_eq!(
        ordinary.header("x-perijove-variant"),
        None,
        "only who asks for it"
    );
}

/// How a variant that was the best fails.
async fn after_a_variant_failed(failure: Answer) {
    let exchange = Exchange::with(|config| config.set("jupiter.optimizer.deadline", "2s")).await;
    let slot = exchange.cluster.cluster().clock.tip();
    let direct = |answer: Answer| {
        move |asked: &Asked| {
            let direct = asked.query.contains("onlyDirectRoutes=true");
            direct.then(|| answer.clone())
        }
    };
    let good = Answer::json(&quote(slot, 1_000_000, 160));
    // It fails once, of a pair that nothing is known of.
    exchange.own.answers(direct(failure.clone()));
    let reply = best(&exchange, "").await;
    // Others are as good as the one requested.
    assert_ne!(reply.header("x-perijove-variant"), Some("direct"));
    exchange.own.answers(direct(good.clone()));
    let reply = best(&exchange, "").await;
    assert_eq!(reply.header("x-perijove-variant"), Some("direct"));
    // It fails once, having been the best: then all are compared again.
    exchange.own.answers(direct(failure));
    let reply = best(&exchange, "").await;
    // Others are as good as the one requested.
    assert_ne!(reply.header("x-perijove-variant"), Some("direct"));
    exchange.own.answers(direct(good));
    exchange.own.forget();
    best(&exchange, "").await;
    assert!(exchange.own.hits("/quote") > 2, "all variants");
}

#[tokio::test]
async fn a_variant_that_failed_was_not_compared_and_is_the_best_no_more() {
    after_a_variant_failed(Answer::text(503, "")).await;
    let late = Answer::text(200, "").after(std::time::Duration::from_secs(4));
    after_a_variant_failed(late).await;
}

#[tokio::test]
async fn the_operators_fee_is_added_shown_and_never_over_the_callers() {
    let account = Pubkey([7; 32]).to_string();
    let fees = json!([{ "mint": USDC, "account": account }]);
    let exchange = Exchange::with(|config| {
        config.set(
            "jupiter.referral",
            json!({ "platform_fee_bps": 20, "fee_accounts": fees }),
        )
    })
    .await;
    exchange.own.answers(|asked| {
        let built = json!({ "swapTransaction": "AQ==" });
        (asked.path == "/swap").then(|| Answer::json(&built))
    });
    let reply = exchange.quote(7).await;
    assert_eq!(reply.header("x-perijove-referral-bps"), Some("20"));
    let asked = exchange.own.asked().pop().unwrap();
    assert!(
        asked.query.ends_with("&platformFeeBps=20"),
        "{}",
        asked.query
    );
    let swap = json!({ "userPublicKey": "x", "quoteResponse": reply.json() });
    exchange.post("/swap/v1/swap", &swap).await;
    let asked = exchange.own.asked().pop().unwrap();
    assert!(
        asked.body.contains(&format!(r#""feeAccount":"{account}""#)),
        "{}",
        asked.body
    );
    // The caller's own fee, and its own account.
    let own = exchange
        .get(&format!(
            "{}&platformFeeBps=5",
            quote_target("/swap/v1/quote", 8)
        ))
        .await;
    assert_eq!(own.header("x-perijove-referral-bps"), None);
    let swap = json!({ "userPublicKey": "x", "quoteResponse": own.json() });
    exchange.post("/swap/v1/swap", &swap).await;
    let asked = exchange.own.asked().pop().unwrap();
    assert_eq!(asked.body, swap.to_string());
    // Quotes that are equal but for whose the fee is are not mixed up.
    for (amount, callers_first) in [(9, true), (10, false)] {
        let plain = quote_target("/swap/v1/quote", amount);
        let callers = format!("{plain}&platformFeeBps=20");
        let [first, second] = if callers_first {
            [&callers, &plain]
        } else {
            [&plain, &callers]
        };
        for target in [first, second] {
            let reply = exchange.get(target).await;
            assert_eq!((reply.status, reply.cache()), (200, "miss"), "{target}");
            let ours = (*target == plain).then_some("20");
            assert_eq!(reply.header("x-perijove-referral-bps"), ours);
        }
        let quoted = exchange.get(&plain).await.json();
        let swap = json!({ "userPublicKey": "x", "quoteResponse": quoted });
        exchange.post("/swap/v1/swap", &swap).await;
        let asked = exchange.own.asked().pop().unwrap();
        assert!(asked.body.contains(&account), "{}", asked.body);
    }
}

#[tokio::test]
async fn what_is_known_of_tokens_is_asked_for_once_in_a_while() {
    let exchange = Exchange::open().await;
    exchange.hosted.answers(|asked| {
        let tokens = Answer::json(&json!([{ "id": asked.query }]));
        asked.path.starts_with("/tokens/v2").then_some(tokens)
    });
    let first = exchange.get("/tokens/v2/search?query=jup").await;
    let second = exchange.get("/tokens/v2/search?query=jup").await;
    assert_eq!((first.cache(), second.cache()), ("miss", "hit"));
    assert_eq!(first.text(), second.text());
    assert_eq!(
        exchange.get("/tokens/v2/search?query=other").await.cache(),
        "miss"
    );
    assert_eq!(exchange.hosted.hits("/tokens/v2/search"), 2);
}

#[tokio::test]
async fn what_must_not_be_kept_of_tokens_is_asked_for_again() {
    let exchange = Exchange::open().await;
    let error = Answer::json(&json!({ "error": "try again" }));
    let private = Answer::json(&json!([])).with("cache-control", "private, max-age=9");
    let secret = Answer::json(&json!([])).with("cache-control", "no-store");
    for (index, answer) in [error, private, secret].into_iter().enumerate() {
        exchange
            .hosted
            .answers(move |asked| asked.path.starts_with("/tokens").then(|| answer.clone()));
        let target = format!("/tokens/v2/search?query={index}");
        for _ in 0..2 {
            let reply = exchange.get(&target).await;
            assert_eq!((reply.status, reply.cache()), (200, "miss"), "{index}");
        }
    }
    assert_eq!(exchange.hosted.hits("/tokens/v2/search"), 6);
}
