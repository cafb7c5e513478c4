//! The price API: what ingest has written into Redis is told in Jupiter's shape, what is old, unknown
//! or damaged is left out, whatever happens to Redis is no error, and no upstream is ever asked.

mod attacks;
mod ingest;
mod outages;
mod scene;

use perijove_core::Pubkey;
use perijove_core::market::{USDC, USDT, WSOL};
use perijove_core::redis::Dollars;
use perijove_tests::redis::prices::dollars;
use serde_json::json;

use scene::{Market, TOKEN, ago};

#[tokio::test]
async fn prices_are_told_in_jupiters_shape() {
    let market = Market::open().await;
    market.redis.priced(WSOL, dollars(147.25), ago(1)).await;
    market.redis.priced(TOKEN, dollars(0.2945), ago(5)).await;
    let reply = market.prices(&[TOKEN, WSOL]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json(),
        json!({
            TOKEN.to_string(): { "usdPrice": 0.2945, "blockId": 373_000_000, "decimals": 6 },
            WSOL.to_string(): { "usdPrice": 147.25, "blockId": 373_000_000, "decimals": 6 },
        })
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-perijove-source"), Some("ingest"));
    assert_eq!((reply.cache(), reply.upstream()), ("hit", "nobody"));
    let age: u64 = reply.header("age").unwrap().parse().unwrap();
    assert!((5..60).contains(&age), "{age}");
    assert!(reply.header("x-request-id").is_some());
    market.asked_nobody().await;
}

#[tokio::test]
async fn what_is_unknown_or_stale_or_uncertain_is_left_out() {
    let market = Market::open().await;
    let [stale, doubtful, unknown] = [1, 2, 3].map(|byte| Pubkey([byte; 32]));
    market.redis.priced(TOKEN, dollars(2.5), ago(30)).await;
    market.redis.priced(stale, dollars(2.5), ago(61)).await;
    let doubt = Dollars {
        uncertain: 0.3,
        ..dollars(1.0)
    };
    market.redis.priced(doubtful, doubt, ago(1)).await;
    market.redis.priced(USDC, dollars(0.9999), ago(1)).await;
    market.redis.priced(USDT, dollars(1.001), ago(3_600)).await;
    let all = [stale, TOKEN, doubtful, unknown, USDT, USDC];
    let reply = market.prices(&all).await;
    assert_eq!(reply.status, 200);
    let json = reply.json();
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    assert_eq!(json[TOKEN.to_string()]["usdPrice"], 2.5);
    assert_eq!(json[USDC.to_string()]["usdPrice"], 0.9999);
    assert_eq!(
        (reply.cache(), reply.header("x-perijove-source")),
        ("none", Some("ingest"))
    );
    let reply = market.prices(&[stale, unknown]).await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(reply.header("x-perijove-source"), Some("ingest"));
    assert_eq!(reply.header("age"), None);
    for (result, count) in [("fresh", 2), ("stale", 3), ("uncertain", 1), ("unknown", 2)] {
        assert_eq!(market.told(result).await, count, "{result}");
    }
    // Whoever lends against it asks for more, and it follows a reload.
    market
        .reload(|config| config.set("price.max_uncertainty", 0.000_5))
        .await;
    assert_eq!(market.prices(&[TOKEN, USDC]).await.json(), json!({}));
    market
        .reload(|config| config.set("price.max_uncertainty", 0.5))
        .await;
    assert_eq!(market.prices(&[TOKEN, doubtful]).await.cache(), "hit");
    market.asked_nobody().await;
}

#[tokio::test]
async fn what_a_price_rests_on_is_told_to_those_alone_who_ask() {
    let market = Market::open().await;
    let price = Dollars {
        uncertain: 0.25,
        ..dollars(4.0)
    };
    market.redis.priced(TOKEN, price, ago(2)).await;
    for (query, shown) in [
        (format!("ids={TOKEN}"), false),
        (format!("ids={TOKEN}&showExtra=false"), false),
        (format!("ids={TOKEN}&showExtra"), true),
        (format!("showExtra=true&ids={TOKEN}"), true),
    ] {
        let reply = market.query(&query).await;
        let member = &reply.json()[TOKEN.to_string()];
        assert_eq!(member["usdPrice"], 4.0, "{query}");
        let extra = &member["extra"];
        assert_eq!(extra.is_object(), shown, "{query}: {}", reply.text());
        if shown {
            let confidence = json!({ "low": 3.2, "high": 5.0, "uncertainty": 0.25 });
            assert_eq!(extra["confidence"], confidence);
            assert_eq!((&extra["trades"], &extra["pools"]), (&json!(12), &json!(3)));
            assert_eq!(extra["turnoverUsd"], 125_000.0);
            assert!(extra["ageMs"].as_u64().unwrap() >= 2_000, "{extra}");
        }
    }
}

#[tokio::test]
async fn a_later_price_is_told_at_once() {
    let market = Market::open().await;
    let mut told = Vec::new();
    for slot in 373_000_001..373_000_010_u32 {
        let mut next = dollars(f64::from(slot));
        next.slot = u64::from(slot).into();
        market.redis.priced(TOKEN, next, ago(0)).await;
        let json = market.prices(&[TOKEN]).await.json();
        let price = &json[TOKEN.to_string()];
        assert_eq!(price["blockId"], slot);
        told.push(price["usdPrice"].as_f64().unwrap());
    }
    assert!(told.is_sorted() && told.len() == 9, "{told:?}");
}

#[tokio::test]
async fn the_limits_of_freshness_are_those_of_the_configuration_and_follow_a_reload() {
    let market = Market::open().await;
    let tip = market.cluster.cluster().clock.tip();
    let mut near = dollars(2.5);
    near.slot = tip.into();
    market.redis.priced(TOKEN, near, ago(100)).await;
    let is_told = async || market.prices(&[TOKEN]).await.cache() == "hit";
    assert!(!is_told().await);
    market
        .reload(|config| config.set("price.max_age", "1h"))
        .await;
    assert!(is_told().await);
    // In time, but far behind in slots.
    let mut far = dollars(2.5);
    far.slot = (tip - 10_000).into();
    market.redis.priced(WSOL, far, ago(1)).await;
    let slots = |slots| {
        move |config: scene::GatewayConfig| {
            let config = config.set("price.max_age", "1h");
            config.set("price.max_slots", slots)
        }
    };
    market.reload(slots(5_000)).await;
    let json = market.prices(&[WSOL, TOKEN]).await.json();
    assert!(json.get(WSOL.to_string()).is_none() && json.get(TOKEN.to_string()).is_some());
    market.reload(slots(200_000)).await;
    let reply = market.prices(&[WSOL, TOKEN]).await;
    assert_eq!(reply.cache(), "hit", "{}", reply.text());
}

#[tokio::test]
async fn prices_that_are_not_enabled_are_not_served() {
    let market = Market::with(|config| config.set("price.enabled", false)).await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let looks = market.redis.calls("getrange").await;
    let reply = market.prices(&[TOKEN]).await;
    assert_eq!(reply.status, 404);
    let told = json!({ "code": 404, "message": "/price/v3 is not served here" });
    assert_eq!(reply.json(), told);
    assert_eq!(market.redis.calls("getrange").await, looks);
    // A reload brings them, connection and all.
    market.reload(|config| config).await;
    market.until_connected().await;
    assert_eq!(market.prices(&[TOKEN]).await.cache(), "hit");
    market.asked_nobody().await;
}

#[tokio::test]
async fn keys_of_consumers_hold_for_prices_as_for_calls() {
    let consumers = json!([{ "id": "bots", "keys": ["sesame-open"] }]);
    let market = Market::with(|config| config.set("consumers", consumers).set("anonymous", false));
    let market = market.await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let url = |path: &str| format!("{}{path}", market.gateway.url());
    let ids = format!("ids={TOKEN}");
    for (path, key, status) in [
        (format!("price/v3?{ids}"), None, 401),
        (format!("price/v3?{ids}&api-key=wrong"), None, 401),
        (format!("price/v3?{ids}"), Some("wrong"), 401),
        ("price/v3?ids=nonsense".to_owned(), None, 401),
        (format!("price/v3?{ids}"), Some("sesame-open"), 200),
        (format!("price/v3?{ids}&api-key=sesame-open"), None, 200),
        (format!("sesame-open/price/v3?{ids}"), None, 200),
        (format!("rpc/sesame-open/price/v3?{ids}"), None, 200),
    ] {
        let mut request = market.gateway.client().get(url(&path));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let reply = market.gateway.send(request).await;
        assert_eq!(reply.status, status, "{path} {key:?}: {}", reply.text());
        if status == 401 {
            let told = json!({ "code": 401, "message": "a valid API key is required" });
            assert_eq!(reply.json(), told);
            assert_eq!(reply.header("content-type"), Some("application/json"));
        }
    }
    let log = market.gateway.process.log().join("\n");
    assert!(
        log.contains(r#""consumer":"bots""#) && !log.contains("sesame"),
        "{log}"
    );
    market.asked_nobody().await;
}

#[tokio::test]
async fn a_browser_may_ask_and_read_where_it_comes_from() {
    let market = Market::open().await;
    let get = market.gateway.client().get(market.url(&[TOKEN]));
    let reply = market
        .gateway
        .send(get.header("origin", "https://wallet.example"))
        .await;
    let allowed = reply.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://wallet.example"));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    for name in ["x-perijove-source", "age", "x-request-id"] {
        assert!(exposed.split(", ").any(|one| one == name), "{exposed}");
    }
}

#[tokio::test]
async fn a_price_is_one_line_in_the_access_log_and_counted_by_product() {
    let market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let get = market.gateway.client().get(market.url(&[TOKEN]));
    market
        .gateway
        .send(get.header("x-request-id", "order-7"))
        .await;
    let get = market
        .gateway
        .client()
        .get(format!("{}price/v3", market.gateway.url()));
    market
        .gateway
        .send(get.header("x-request-id", "order-8"))
        .await;
    let line = async |id: &str| market.access_log(id).await;
    let told = line("order-7").await;
    assert_eq!(
        (&told["method"], &told["outcome"]),
        (&json!("price"), &json!("ok"))
    );
    assert_eq!(
        (&told["status"], &told["cache"]),
        (&json!(200), &json!("hit"))
    );
    let refused = line("order-8").await;
    assert_eq!(
        (&refused["status"], &refused["outcome"]),
        (&json!(400), &json!("bad_ids"))
    );
    let metrics = market.gateway.metrics().await;
    let product = ("product", "price");
    for (name, labels) in [
        (
            "jupiter_api_requests_total",
            vec![product, ("outcome", "ok")],
        ),
        (
            "jupiter_api_requests_total",
            vec![product, ("outcome", "bad_ids")],
        ),
        (
            "jupiter_api_errors_total",
            vec![product, ("reason", "bad_ids")],
        ),
        ("jupiter_api_cache_hits_total", vec![product]),
        ("jupiter_api_latency_seconds_count", vec![product]),
        ("perijove_http_refused_total", vec![("reason", "bad_ids")]),
    ] {
        assert!(
            (metrics.sum(name, &labels) - 1.0).abs() < 0.1,
            "{name} {labels:?}"
        );
    }
}

#[tokio::test]
async fn prices_are_told_over_http2_and_kept_connections_too() {
    let market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    let h2 = perijove_tests::client::h2c();
    for client in [market.gateway.client(), &h2] {
        for _ in 0..3 {
            let reply = market.gateway.send(client.get(market.url(&[TOKEN]))).await;
            assert_eq!((reply.status, reply.cache()), (200, "hit"));
        }
    }
}
