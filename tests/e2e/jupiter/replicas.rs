//! Several gateways before the same upstreams: what follows from a quote or an order may meet another one
//! than that which gave it.

use perijove_core::Pubkey;
use perijove_tests::client::Reply;
use perijove_tests::gateway::{Gateway, loopback};
use perijove_tests::redis::Redis;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, CANARY, USDC};

async fn post(gateway: &Gateway, path: &str, body: &Value) -> Reply {
    let url = format!("{}{path}", gateway.url());
    let post = gateway.client().post(url);
    let post = post.header("content-type", "application/json");
    gateway.send(post.body(body.to_string())).await
}

/// Both answer as hosted ones do, the first of them with failures where it is asked for quotes or orders.
async fn exchange(redis: &Redis, account: &str) -> Exchange {
    let fees = json!([{ "mint": USDC, "account": account }]);
    let exchange = Exchange::with(|config| {
        let upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        let mut own = upstreams[0].clone();
        own["kind"] = json!("hosted");
        config
            .set("jupiter.upstreams", json!([own, upstreams[1]]))
            .set(
                "jupiter.referral",
                json!({ "platform_fee_bps": 20, "fee_accounts": fees }),
            )
            .set("cache.redis.url", redis.url())
    })
    .await;
    for (upstream, gives) in [(&exchange.own, false), (&exchange.hosted, true)] {
        upstream.answers(move |asked| {
            if asked.query.contains(CANARY) {
                return None;
            }
            let order = json!({ "requestId": "of-hosted", "transaction": "" });
            let built = json!({ "swapTransaction": "AQ==", "lastValidBlockHeight": 1_u64 << 40 });
            match asked.path.as_str() {
                "/ultra/v1/order" if gives => Some(Answer::json(&order)),
                "/ultra/v1/order" | "/swap/v1/quote" if !gives => Some(Answer::text(502, "")),
                "/ultra/v1/execute" => Some(Answer::json(&json!({ "status": "Success" }))),
                "/swap/v1/swap" => Some(Answer::json(&built)),
                _ => None,
            }
        });
    }
    exchange
}

#[tokio::test]
async fn a_replica_knows_whose_a_quote_or_an_order_is_that_another_has_given() {
    let redis = Redis::start().await;
    let account = Pubkey([7; 32]).to_string();
    let exchange = exchange(&redis, &account).await;
    let other = exchange.another().await;
    let quoted = exchange.quote(7).await;
    assert_eq!((quoted.status, quoted.upstream()), (200, "hosted"));
    let order = exchange.get(&quote_target("/ultra/v1/order", 7)).await;
    assert_eq!((order.status, order.upstream()), (200, "hosted"));
    exchange.own.forget();
    exchange.hosted.forget();

    let body = json!({ "userPublicKey": "x", "quoteResponse": quoted.json() });
    let reply = post(&other, "swap/v1/swap", &body).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    let asked = exchange.hosted.asked().pop().unwrap();
    assert!(asked.body.contains(&account), "{}", asked.body);
    let body = json!({ "requestId": "of-hosted", "signedTransaction": "AQ" });
    let reply = post(&other, "ultra/v1/execute", &body).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    assert_eq!(exchange.hosted.hits("/ultra/v1/execute"), 1);
    assert_eq!(exchange.own.hits("/ultra/v1/execute"), 0);
}

#[tokio::test]
async fn without_redis_a_swap_is_built_all_the_same() {
    let mut redis = Redis::start().await;
    let exchange = exchange(&redis, &Pubkey([7; 32]).to_string()).await;
    let other = exchange.another().await;
    let quoted = exchange.quote(7).await.json();
    redis.kill().await;
    let body = json!({ "userPublicKey": "x", "quoteResponse": quoted });
    let reply = post(&other, "swap/v1/swap", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// One that gives orders and is connected to Redis, and the target of an order.
async fn ordering(redis: &Redis, deadline: &str) -> (Exchange, String) {
    let exchange = Exchange::with(|config| {
        config
            .set("cache.redis.url", redis.url())
            .set("cache.redis.deadline", deadline)
    })
    .await;
    let order = json!({ "requestId": "of-one", "transaction": "" });
    for upstream in [&exchange.own, &exchange.hosted] {
        let order = Answer::json(&order);
        upstream.answers(move |asked| (asked.path == "/ultra/v1/order").then(|| order.clone()));
    }
    until("the connections to Redis", || async {
        let connections = exchange.sum("perijove_redis_connections", &[]).await;
        (connections >= 3.0).then_some(())
    })
    .await;
    (exchange, quote_target("/ultra/v1/order", 7))
}

/// What `target` brings is told when it is written whose it is, and not before.
async fn is_told_when_written(exchange: &Exchange, redis: &Redis, target: &str) {
    let path = target.split('?').next().unwrap_or_default();
    redis.pause();
    let mut asked = std::pin::pin!(exchange.get(target));
    let given = async {
        until("an upstream to give it", || async {
            let hits = exchange.own.hits("/quote") + exchange.hosted.hits(path);
            (hits > 0).then_some(())
        })
        .await;
        // Time in which it would be told.
        for _ in 0..10 {
            assert_eq!(exchange.gateway.admin("/health").await.status, 200);
        }
    };
    tokio::select! {
        biased;
        _ = &mut asked => panic!("{target} told before another gateway can know whose it is"),
        () = given => {}
    }
    redis.resume();
    assert_eq!(asked.await.status, 200);
    exchange.own.forget();
    exchange.hosted.forget();
}

#[tokio::test]
async fn quotes_and_orders_are_told_when_others_can_know_whose_they_are() {
    let redis = Redis::start().await;
    let (exchange, order) = ordering(&redis, "10s").await;
    let quote = quote_target("/swap/v1/quote", 77);
    for target in [order, quote] {
        is_told_when_written(&exchange, &redis, &target).await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_keeps_nobody_from_an_order() {
    let redis = Redis::start().await;
    let (exchange, target) = ordering(&redis, "1s").await;
    redis.pause();
    // What hangs costs the deadline once, and nobody waits for it then.
    for _ in 0..50 {
        let reply = exchange.get(&target).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    redis.resume();
}

#[tokio::test]
async fn an_order_of_an_upstream_that_is_not_configured_is_refused_and_says_so() {
    let redis = Redis::start().await;
    let (exchange, target) = ordering(&redis, "1s").await;
    let order = exchange.get(&target).await;
    assert_eq!(order.status, 200);
    // The same upstreams under other names.
    let mut upstreams = exchange.config.get("jupiter.upstreams").cloned().unwrap();
    for upstream in upstreams.as_array_mut().unwrap() {
        upstream["id"] = json!(format!("new-{}", upstream["id"].as_str().unwrap()));
    }
    let config = exchange
        .config
        .clone()
        .set("jupiter.upstreams", upstreams)
        .set("listen.rpc", json!([loopback()]));
    let renamed = Gateway::start(config.set("admin.listen", loopback())).await;
    until("the connections to Redis", || async {
        let metrics = renamed.metrics().await;
        (metrics.sum("perijove_redis_connections", &[]) >= 3.0).then_some(())
    })
    .await;
    let body = json!({ "requestId": "of-one", "signedTransaction": "AQ" });
    let reply = post(&renamed, "ultra/v1/execute", &body).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let text = reply.text();
    assert!(
        text.contains("issued this order is not configured"),
        "{text}"
    );
    for upstream in [&exchange.own, &exchange.hosted] {
        assert_eq!(upstream.hits("/ultra/v1/execute"), 0);
    }
}
