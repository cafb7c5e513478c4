//! Quotes against a market that moves, held against what the market was: nothing is delivered as fresh
//! that is not.

use std::sync::Arc;

use futures::future::join_all;
use perijove_core::redis::POOLS;
use perijove_tests::client::Reply;
use perijove_tests::jupiter::feed::Feed;
use perijove_tests::jupiter::tokens::USDC;
use perijove_tests::jupiter::{Kind, Settings};
use perijove_tests::redis::Redis;
use perijove_tests::wait::until;
use serde_json::Value;

use super::trading::{Trading, context, swap};

/// Slots that the market moves on.
const SLOTS: u64 = 30;

/// Every token into dollars and back, and some the other way round.
fn targets(trading: &Trading) -> Vec<String> {
    let tokens = trading.jupiter.market().tokens();
    let others = tokens.iter().filter(|token| token.mint != USDC);
    let both = others.enumerate().flat_map(|(number, token)| {
        let units = u64::try_from(token.units(50)).expect("a small amount");
        let sold = swap(&token.mint, USDC, units);
        let mut bought = swap(USDC, &token.mint, 50_000_000);
        if number % 5 == 0 {
            bought = format!("{}&swapMode=ExactOut", swap(USDC, &token.mint, units));
        }
        [sold, bought]
    });
    both.collect()
}

/// The pools of a quote's route.
fn pools(quote: &Value) -> Vec<String> {
    let legs = quote["routePlan"].as_array().expect("a route");
    let keys = legs.iter().map(|leg| &leg["swapInfo"]["ammKey"]);
    keys.map(|key| key.as_str().expect("a pool").to_owned())
        .collect()
}

/// What was delivered over all slots.
#[derive(Debug, Default)]
struct Delivered {
    all: usize,
    known: usize,
    /// Known ones that were older than two slots.
    old: usize,
}

/// Asks for everything at every slot and holds it against the market. `check` judges each answer, with the
/// slot of its markets. Where trades are `heard`, whoever trails is known to.
async fn run(trading: &Trading, heard: bool, check: impl Fn(&Trading, &Reply, u64)) -> Delivered {
    let targets = targets(trading);
    let mut delivered = Delivered::default();
    let mut trades = 0;
    for step in 0..SLOTS {
        trading.advance(1).await;
        trades += trading.jupiter.market().traded_in(trading.tip()).len();
        match step {
            // One that trails must not make anything staler.
            10 => trading.server(0).fault(Kind::Lag { slots: 4 }).await,
            20 => trading.server(0).heal().unwrap(),
            _ => {}
        }
        if heard && step >= 10 {
            until_heard(trading, trades).await;
        }
        for some in targets.chunks(16) {
            let replies = join_all(some.iter().map(|target| trading.get(target))).await;
            for (target, reply) in some.iter().zip(replies) {
                let slot = context(&reply);
                assert!(slot <= trading.tip());
                assert_eq!(reply.text(), trading.said(0, slot, target), "{target}");
                check(trading, &reply, slot);
                delivered.all += 1;
                if reply.cache() == "hit" {
                    delivered.known += 1;
                    delivered.old += usize::from(trading.tip() - slot > 2);
                }
            }
        }
    }
    delivered
}

/// Waits until the gateway has heard of so many trades.
async fn until_heard(trading: &Trading, trades: usize) {
    until("the trades to be heard", || async {
        let metrics = trading.gateway.metrics().await;
        let told = metrics.sum("perijove_jupiter_feed_trades_total", &[]);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let all = told > trades as f64 - 0.5;
        all.then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_trades_no_known_quote_is_older_than_two_slots() {
    let trading = Trading::usual().await;
    let delivered = run(&trading, false, |trading, reply, slot| {
        if reply.cache() == "hit" {
            assert!(trading.tip() - slot <= 2, "{}", reply.text());
        }
    })
    .await;
    assert!(
        delivered.all > 1_000 && delivered.known > 0,
        "{delivered:?}"
    );
    assert_eq!(delivered.old, 0);
}

#[tokio::test]
async fn with_trades_no_quote_outlives_a_trade_in_its_pools_by_more_than_a_slot() {
    let redis = Redis::start().await;
    let url = redis.url();
    let trading = Trading::open(vec![Settings::default(), Settings::hosted()], |config| {
        config.set("cache.redis.url", url.as_str())
    })
    .await;
    let (cluster, market) = (trading.cluster.cluster(), trading.jupiter.market());
    let feed = Feed::start(&url, Arc::clone(cluster), Arc::clone(market));
    let feed = feed.await.unwrap();
    until("the gateway to listen", || async {
        let listeners: (String, i64) = redis.ask(&["PUBSUB", "NUMSUB", POOLS]).await;
        (listeners.1 > 0).then_some(())
    })
    .await;
    let delivered = run(&trading, true, |trading, reply, slot| {
        let tip = trading.tip();
        for pool in pools(&reply.json()) {
            let traded = trading.jupiter.market().last_trade(&pool, tip - 2);
            assert!(
                traded.is_none_or(|traded| traded <= slot),
                "{} of {slot} at {tip}, and {pool} traded at {traded:?}",
                reply.cache()
            );
        }
        if reply.cache() == "hit" {
            assert!(tip - slot <= 20, "{}", reply.text());
        }
    })
    .await;
    assert!(feed.running());
    assert!(
        delivered.all > 1_000 && delivered.known > 0,
        "{delivered:?}"
    );
    assert!(
        delivered.old > 0,
        "quotes over quiet pools live longer: {delivered:?}"
    );
    let metrics = trading.gateway.metrics().await;
    let traded = metrics.sum("perijove_jupiter_quotes_total", &[("result", "traded")]);
    assert!(traded > 0.5, "a trade has ended some");
    assert!(metrics.sum("perijove_jupiter_feed_live", &[]) > 0.5);
}
