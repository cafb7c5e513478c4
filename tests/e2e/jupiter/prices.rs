//! Prices that ingest does not have, from Jupiter: kept for a moment, and never "no price" because
//! Jupiter failed.

use perijove_core::Pubkey;
use perijove_core::market::USDC as USDC_MINT;
use perijove_tests::redis::Redis;
use perijove_tests::redis::prices::dollars;
use perijove_tests::wait::until;
use serde_json::json;

use super::scene::Exchange;
use super::scripted::{Answer, SOL, USDC};

/// Prices are enabled, with this Redis.
async fn priced(redis: String) -> Exchange {
    Exchange::with(|config| {
        config
            .set("cache.redis.url", redis)
            .set("price.enabled", true)
            .set("jupiter.lifetimes.prices", "1m")
    })
    .await
}

#[tokio::test]
async fn prices_that_ingest_does_not_know_come_from_jupiter() {
    let redis = Redis::start().await;
    let url = redis.url();
    let exchange = Exchange::with(|config| {
        config
            .set("cache.redis.url", url)
            .set("price.enabled", true)
            .set("jupiter.lifetimes.prices", "1m")
    })
    .await;
    let unknown = Pubkey([5; 32]).to_string();
    let told = r#"{"usdPrice": 2.50, "blockId": 1, "decimals": 6, "priceChange24h": 1.0}"#;
    let body = format!(r#"{{"{unknown}":{told}}}"#);
    exchange.hosted.answers(move |asked| {
        let prices = Answer::text(200, &body).with("content-type", "application/json");
        (asked.path == "/price/v3").then_some(prices)
    });
    redis
        .priced(USDC_MINT, dollars(1.0), std::time::Duration::from_secs(1))
        .await;
    let ids = format!("{USDC},{unknown},{SOL}");
    let reply = until("ingest's price to be there", || async {
        let reply = exchange.get(&format!("/price/v3?ids={ids}")).await;
        (reply.header("x-perijove-source") == Some("ingest, jupiter")).then_some(reply)
    })
    .await;
    assert_eq!(reply.json()[USDC]["usdPrice"], 1.0);
    assert!(reply.text().contains(told), "{}", reply.text());
    assert!(reply.json().get(SOL).is_none());
    let asked = exchange.hosted.asked().pop().unwrap();
    assert!(!asked.query.contains(USDC), "{}", asked.query);
    // What Jupiter has said is known for a while.
    let hits = exchange.hosted.hits("/price/v3");
    let reply = exchange.get(&format!("/price/v3?ids={unknown}")).await;
    assert_eq!(reply.json()[&unknown]["priceChange24h"], 1.0);
    assert_eq!(exchange.hosted.hits("/price/v3"), hits);
}

#[tokio::test]
async fn a_price_is_asked_for_once_however_many_want_it_and_if_there_is_none() {
    let exchange = Exchange::with(|config| {
        config
            .set("price.enabled", true)
            .set("cache.redis.url", "redis://127.0.0.1:1")
            .set("jupiter.lifetimes.prices", "1m")
    })
    .await;
    let [known, unknown] = [5, 6].map(|byte| Pubkey([byte; 32]).to_string());
    let body = json!({ &known: { "usdPrice": 2.5 } });
    exchange
        .hosted
        .answers(move |asked| (asked.path == "/price/v3").then(|| Answer::json(&body)));
    exchange.hosted.hold();
    let target = format!("/price/v3?ids={known},{unknown}");
    let (first, second, third, _released) = tokio::join!(
        exchange.get(&target),
        exchange.get(&target),
        exchange.get(&target),
        async {
            until("one to be asked for", || async {
                (exchange.hosted.hits("/price/v3") > 0).then_some(())
            })
            .await;
            exchange.hosted.release();
        },
    );
    for reply in [first, second, third] {
        assert_eq!(reply.json()[&known]["usdPrice"], 2.5, "{}", reply.text());
    }
    for _ in 0..3 {
        let reply = exchange.get(&format!("/price/v3?ids={unknown}")).await;
        assert_eq!(reply.text().trim(), "{}");
    }
    // Once for both, by whoever came first or together, and once for what has none.
    assert_eq!(exchange.hosted.hits("/price/v3"), 2);
}

#[tokio::test]
async fn a_failing_jupiter_is_an_error_and_not_a_token_without_a_price() {
    let redis = Redis::start().await;
    let exchange = priced(redis.url()).await;
    redis
        .priced(USDC_MINT, dollars(1.0), std::time::Duration::from_secs(1))
        .await;
    until("ingest's price to be there", || async {
        let reply = exchange.get(&format!("/price/v3?ids={USDC}")).await;
        (reply.cache() == "hit").then_some(())
    })
    .await;
    let unavailable = async || {
        let labels = [("result", "unavailable")];
        exchange.sum("perijove_price_tokens_total", &labels).await
    };
    let before = unavailable().await;
    for (number, answer, status) in [
        (1, Answer::text(200, "<html>oops</html>"), 503),
        (2, Answer::refused(500, &json!({ "error": "broken" })), 500),
        (3, Answer::json(&json!({ "error": "broken" })), 503),
        (
            4,
            Answer::refused(429, &json!({})).with("retry-after", "7"),
            429,
        ),
    ] {
        let failing = answer.clone();
        exchange
            .hosted
            .answers(move |asked| (asked.path == "/price/v3").then(|| failing.clone()));
        let unknown = Pubkey([number; 32]).to_string();
        // With a slash at the end too.
        let alone = exchange.get(&format!("/price/v3/?ids={unknown}")).await;
        assert_eq!(alone.status, status, "{number}: {}", alone.text());
        assert_eq!(alone.header("x-perijove-source"), None);
        assert_eq!(alone.header("retry-after").is_some(), status == 429);
        let part = exchange
            .get(&format!("/price/v3?ids={USDC},{unknown}"))
            .await;
        assert_eq!(part.status, 200, "{number}: {}", part.text());
        assert_eq!(part.json()[USDC]["usdPrice"], 1.0);
        assert_eq!(part.json().as_object().unwrap().len(), 1);
        assert_eq!(
            (part.cache(), part.header("x-perijove-unavailable")),
            ("none", Some(&*unknown))
        );
        let told = unavailable().await - before;
        assert!((told - 2.0 * f64::from(number)).abs() < 0.1, "{told}");
    }
    let price = ("product", "price");
    for (labels, count) in [
        (vec![price, ("reason", "unavailable")], 6.0),
        (vec![price, ("reason", "rate_limited")], 1.0),
        (vec![price, ("reason", "refused_in_http")], 1.0),
    ] {
        let errors = exchange.sum("jupiter_api_errors_total", &labels).await;
        assert!((errors - count).abs() < 0.1, "{labels:?}: {errors}");
    }
}

#[tokio::test]
async fn kept_prices_are_hits_and_counted_by_the_upstream_that_gave_them() {
    let exchange = priced("redis://127.0.0.1:1".to_owned()).await;
    let known = Pubkey([5; 32]).to_string();
    let body = json!({ &known: { "usdPrice": 2.5 } });
    exchange
        .hosted
        .answers(move |asked| (asked.path == "/price/v3").then(|| Answer::json(&body)));
    let target = format!("/price/v3?ids={known}");
    for cache in ["none", "hit", "hit"] {
        let reply = exchange.get(&target).await;
        assert_eq!((reply.status, reply.cache()), (200, cache));
        assert_eq!(reply.header("x-perijove-source"), Some("jupiter"));
        assert!(reply.header("age").is_some());
        assert_eq!(reply.header("x-perijove-unavailable"), None);
    }
    assert_eq!(exchange.hosted.hits("/price/v3"), 1);
    let price = ("product", "price");
    for (name, labels, count) in [
        ("jupiter_api_cache_hits_total", vec![price], 2.0),
        (
            "jupiter_api_requests_total",
            vec![price, ("upstream", "hosted"), ("outcome", "ok")],
            3.0,
        ),
        (
            "jupiter_api_requests_total",
            vec![price, ("upstream", "ingest")],
            0.0,
        ),
    ] {
        let sum = exchange.sum(name, &labels).await;
        assert!((sum - count).abs() < 0.1, "{name} {labels:?}: {sum}");
    }
}
