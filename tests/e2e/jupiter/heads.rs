//! `HEAD` is answered as `GET` is, without a body.

use http::Method;
use perijove_tests::client::Reply;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, SOL};

/// Sends it over HTTP/1.1 or over HTTP/2.
async fn send(exchange: &Exchange, client: &reqwest::Client, verb: Method, path: &str) -> Reply {
    let url = format!("{}{path}", exchange.gateway.url());
    exchange.gateway.send(client.request(verb, url)).await
}

#[tokio::test]
async fn a_head_is_that_of_the_answer_without_its_body() {
    let exchange = Exchange::open().await;
    let large: Value = (0..20_000)
        .map(|id| json!({ "id": id, "x": "y".repeat(32) }))
        .collect();
    exchange.hosted.answers(move |asked| {
        let small = Answer::json(&json!({ SOL: { "usdPrice": 1.5 } }));
        match asked.path.as_str() {
            "/tokens/v2/tag" => Some(Answer::json(&large)),
            path if path.ends_with("/quote") => None,
            _ => Some(small),
        }
    });
    let http2 = reqwest::Client::builder().http2_prior_knowledge();
    let http2 = http2.build().unwrap();
    for client in [exchange.gateway.client(), &http2] {
        for path in [
            quote_target("swap/v1/quote", 7),
            quote_target("v6/quote", 7),
            format!("price/v3?ids={SOL}"),
            "tokens/v2/search?query=x".to_owned(),
            // Larger than what is buffered.
            "tokens/v2/tag?query=all".to_owned(),
            "swap/v1/quote?amount=nothing".to_owned(),
        ] {
            let whole = send(&exchange, client, Method::GET, &path).await;
            let head = send(&exchange, client, Method::HEAD, &path).await;
            assert_eq!(head.status, whole.status, "{path}");
            assert!(head.body.is_empty() && !whole.body.is_empty(), "{path}");
            for name in ["content-type", "content-length", "x-perijove-upstream"] {
                assert_eq!(head.header(name), whole.header(name), "{path} {name}");
            }
        }
    }
    for upstream in [&exchange.own, &exchange.hosted] {
        assert!(upstream.asked().iter().all(|asked| asked.method == "GET"));
    }
}

#[tokio::test]
async fn plain_prices_are_kept_for_a_moment() {
    let exchange = Exchange::with(|config| config.set("jupiter.lifetimes.prices", "1m")).await;
    let told = Answer::json(&json!({ SOL: { "usdPrice": 1.5 } }));
    exchange
        .hosted
        .answers(move |asked| (asked.path == "/price/v3").then(|| told.clone()));
    let target = format!("/price/v3?ids={SOL}");
    let (first, second) = (exchange.get(&target).await, exchange.get(&target).await);
    assert_eq!((first.cache(), second.cache()), ("miss", "hit"));
    assert_eq!(first.text(), second.text());
    assert_eq!(exchange.hosted.hits("/price/v3"), 1);
    // Another question is another answer.
    let other = format!("{target}&showExtraInfo=true");
    assert_eq!(exchange.get(&other).await.cache(), "miss");
    let hits = exchange
        .sum("jupiter_api_cache_hits_total", &[("product", "price")])
        .await;
    assert!(hits > 0.5, "{hits}");
}
