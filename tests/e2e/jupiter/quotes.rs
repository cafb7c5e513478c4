//! Quotes that are kept, joined, refused, and ended by trades.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::redis::cmd;
use perijove_core::redis::{POOLS, announce};
use perijove_core::{Pubkey, Slot};
use perijove_tests::gateway::GatewayConfig;
use perijove_tests::redis::Redis;
use perijove_tests::wait::{eventually, until};
use serde_json::json;

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, CANARY, POOL, SOL, USDC};

/// Quotes at the cluster's own slots.
async fn current(change: impl FnOnce(GatewayConfig) -> GatewayConfig) -> Exchange {
    let exchange = Exchange::with(change).await;
    for upstream in [&exchange.own, &exchange.hosted] {
        let cluster = Arc::clone(exchange.cluster.cluster());
        upstream.follows(move || cluster.clock.tip());
    }
    exchange
}

#[tokio::test]
async fn a_quote_is_told_again_while_it_is_true_however_it_is_spelt() {
    let exchange = current(|config| config.set("jupiter.quote.valid_slots", 5)).await;
    let spellings = [
        format!("/swap/v1/quote?inputMint={SOL}&outputMint={USDC}&amount=7&dexes=A,B"),
        format!("/v6/quote?dexes=B&amount=7&outputMint={USDC}&inputMint={SOL}&dexes=A"),
    ];
    let mut last = String::new();
    until("the other spelling to be a hit", || async {
        let first = exchange.get(&spellings[0]).await;
        let second = exchange.get(&spellings[1]).await;
        assert_eq!((first.status, second.status), (200, 200));
        (second.cache() == "hit" && second.text() == first.text()).then_some(())
    })
    .await;
    last.clear();
    assert!(
        exchange
            .sum("jupiter_api_cache_hits_total", &[("product", "quote")])
            .await
            > 0.5
    );
    // Another amount is another quote.
    assert_eq!(exchange.quote(8).await.cache(), "miss");
    // Slots go on, and so it ends.
    until("a quote to be asked for again", || async {
        let reply = exchange.get(&spellings[0]).await;
        let behind: u64 = reply.header("x-perijove-slots-behind")?.parse().ok()?;
        if reply.cache() == "hit" {
            assert!(behind <= 5, "{behind}");
        }
        (exchange
            .sum("perijove_jupiter_quotes_total", &[("result", "expired")])
            .await
            > 0.5)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_quote_that_no_jupiter_can_give_costs_nobody_anything() {
    let exchange = Exchange::open().await;
    for (query, code) in [
        (
            format!("inputMint=nonsense&outputMint={USDC}&amount=1"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}&amount=1.5"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}&amount=1&swapMode=Exact"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}&amount=1&slippageBps=20000"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}&amount=1&dexes=A&excludeDexes=B"),
            "NOT_SUPPORTED",
        ),
        (
            format!("inputMint={SOL}&outputMint={USDC}&amount=1&maxAccounts=65"),
            "MAX_ACCOUNT_GREATER_THAN_MAX",
        ),
    ] {
        let reply = exchange.get(&format!("/swap/v1/quote?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.json()["errorCode"], code);
        assert!(
            reply.json()["error"]
                .as_str()
                .unwrap()
                .contains("parameter")
        );
    }
    assert!(exchange.own.asked().is_empty() && exchange.hosted.asked().is_empty());
}

#[tokio::test]
async fn identical_quotes_under_way_are_asked_for_once() {
    let exchange = Arc::new(current(|config| config.set("jupiter.quote.cache", false)).await);
    exchange.own.hold();
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let exchange = Arc::clone(&exchange);
            tokio::spawn(async move { exchange.quote(7).await })
        })
        .collect();
    exchange.gateway.until_in_flight(20).await;
    exchange.own.release();
    let mut joined = 0;
    for asked in asking {
        let reply = asked.await.unwrap();
        assert_eq!(reply.status, 200);
        joined += usize::from(reply.cache() == "coalesced");
    }
    // Some may have come a few slots later than the first, and are led by one of their own.
    let asked = exchange.own.hits("/quote");
    assert_eq!(joined, 20 - asked);
    assert!(asked < 20, "{asked}");
}

#[tokio::test]
async fn no_cache_asks_and_no_store_leaves_nothing_behind() {
    let exchange = current(|config| config.set("jupiter.quote.valid_slots", 5)).await;
    let ask = async |word: &str| {
        let target = quote_target("swap/v1/quote", 7);
        let get = exchange
            .gateway
            .client()
            .get(format!("{}{target}", exchange.gateway.url()));
        exchange
            .gateway
            .send(get.header("cache-control", word))
            .await
    };
    for (word, status) in [("no-store", "bypass"), ("no-cache", "miss")] {
        for _ in 0..3 {
            assert_eq!(ask(word).await.cache(), status, "{word}");
        }
    }
    assert_eq!(exchange.own.hits("/quote"), 6);
}

#[tokio::test]
async fn that_there_is_no_route_is_known_for_a_moment() {
    let exchange = current(|config| config.set("jupiter.quote.negative_ttl", "10s")).await;
    let no_route = json!({ "error": "x", "errorCode": "COULD_NOT_FIND_ANY_ROUTE" });
    for upstream in [&exchange.own, &exchange.hosted] {
        let answer = Answer::refused(400, &no_route);
        upstream.answers(move |asked| (!asked.query.contains(CANARY)).then(|| answer.clone()));
    }
    assert_eq!(exchange.quote(7).await.cache(), "miss");
    let again = exchange.quote(7).await;
    assert_eq!((again.status, again.cache()), (400, "hit"));
    assert_eq!(again.json(), no_route);
}

/// Its own API fails, and the hosted one has another fee.
async fn other_fee(fallback: bool) -> Exchange {
    let exchange = current(|config| {
        let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
        upstreams[1]["platform_fee_bps"] = json!(20);
        let config = config.set("jupiter.quote.valid_slots", 5);
        config
            .set("jupiter.upstreams", upstreams)
            .set("jupiter.fee_fallback", fallback)
    })
    .await;
    let failing = Answer::text(502, "");
    exchange
        .own
        .answers(move |asked| (!asked.query.contains(CANARY)).then(|| failing.clone()));
    exchange
}

#[tokio::test]
async fn a_quote_that_is_not_for_others_is_asked_for_by_all_at_the_same_time() {
    let exchange = Arc::new(other_fee(true).await);
    exchange.hosted.hold();
    let quotes = AtomicUsize::new(0);
    exchange.hosted.answers(move |asked| {
        let is_first = asked.query.contains(CANARY) || quotes.fetch_add(1, Ordering::SeqCst) == 0;
        (!is_first).then(|| Answer::text(200, "").after(Duration::from_mins(10)))
    });
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let exchange = Arc::clone(&exchange);
            tokio::spawn(async move { exchange.quote(7).await })
        })
        .collect();
    exchange.gateway.until_in_flight(10).await;
    exchange.hosted.release();
    eventually("those that waited to ask, none behind another", || {
        exchange.hosted.hits("/swap/v1/quote") == 10
    })
    .await;
    for asking in asking {
        asking.abort();
    }
}

#[tokio::test]
async fn upstreams_of_another_fee_do_not_answer_unless_they_may() {
    for fallback in [false, true] {
        let exchange = other_fee(fallback).await;
        let reply = exchange.quote(7).await;
        if fallback {
            assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
            assert_eq!(reply.header("x-perijove-fee-bps"), Some("20"));
            assert_eq!(exchange.quote(7).await.cache(), "miss", "never kept");
        } else {
            assert_eq!(reply.status, 502, "{}", reply.text());
            assert!(exchange.hosted.asked().is_empty());
        }
    }
}

/// Tells of trades as ingest does.
async fn publish(redis: &Redis, trades: &[(Pubkey, u64)]) {
    let trades = trades.iter().map(|(pool, slot)| (*pool, Slot(*slot)));
    let mut command = cmd("PUBLISH");
    command.arg(POOLS).arg(announce(trades));
    // On a busy machine it may take its time.
    until("Redis to publish", || async {
        redis.try_ask::<i64>(command.clone()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_quote_over_quiet_pools_lives_longer_and_dies_by_a_trade() {
    let redis = Redis::start().await;
    let url = redis.url();
    let exchange = current(|config| {
        config
            .set("cache.redis.url", url)
            .set("jupiter.quote.valid_slots", 0)
            .set("jupiter.quote.quiet_slots", 150)
            .set("jupiter.quote.feed_silence", "60s")
            .set("jupiter.quote.feed_lag_slots", 150)
    })
    .await;
    let other = Pubkey([9; 32]);
    let pool: Pubkey = POOL.parse().unwrap();
    let tip = || exchange.cluster.cluster().clock.tip();
    let live = [("result", "hit")];
    // Whoever listens hears of other pools, and then an old quote is still told.
    until("a quote of an earlier slot to be told", || async {
        publish(&redis, &[(other, tip())]).await;
        let reply = exchange.quote(7).await;
        let behind: u64 = reply.header("x-perijove-slots-behind")?.parse().ok()?;
        (reply.cache() == "hit" && behind > 1).then_some(())
    })
    .await;
    assert!(exchange.sum("perijove_jupiter_feed_live", &[]).await > 0.5);
    assert!(exchange.sum("perijove_jupiter_quotes_total", &live).await > 0.5);
    // A trade in its pool ends it.
    publish(&redis, &[(pool, tip())]).await;
    until("the quote to be asked for again", || async {
        exchange.quote(7).await;
        let traded = [("result", "traded")];
        (exchange.sum("perijove_jupiter_quotes_total", &traded).await > 0.5).then_some(())
    })
    .await;
    // One that was before the quote does not.
    let slot = exchange.quote(7).await.json()["contextSlot"]
        .as_u64()
        .unwrap();
    publish(&redis, &[(pool, slot.saturating_sub(50))]).await;
    until("a hit", || async {
        (exchange.quote(7).await.cache() == "hit").then_some(())
    })
    .await;
    // Without Redis nothing is heard any more, and that is told.
    drop(redis);
    until("the feed to be lost", || async {
        exchange.quote(7).await;
        (exchange.sum("perijove_jupiter_feed_lost_total", &[]).await > 0.5).then_some(())
    })
    .await;
    assert!(exchange.sum("perijove_jupiter_feed_live", &[]).await < 0.5);
    let status = exchange.gateway.status().await;
    assert_eq!(status["jupiter"]["trades_heard"], false);
}
