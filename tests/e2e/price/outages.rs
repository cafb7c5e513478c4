//! What may happen to Redis while prices are asked for: it costs prices, never an error, and no call
//! of another kind notices.

use perijove_tests::redis::prices::dollars;
use perijove_tests::wait::until;
use serde_json::json;

use super::scene::{Market, TOKEN, ago};

impl Market {
    async fn until_told(&self) {
        until("the price to be told again", || async {
            (self.prices(&[TOKEN]).await.cache() == "hit").then_some(())
        })
        .await;
    }

    /// Asks so often; the answer must have nothing.
    async fn tells_nothing(&self, times: u64) {
        for _ in 0..times {
            let reply = self.prices(&[TOKEN]).await;
            assert_eq!((reply.status, reply.json()), (200, json!({})));
            assert_eq!(reply.header("x-perijove-source"), Some("none"));
            assert_eq!((reply.header("age"), reply.cache()), (None, "none"));
        }
    }
}

#[tokio::test]
async fn redis_that_is_killed_costs_prices_until_it_is_back() {
    let mut market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    assert_eq!(market.prices(&[TOKEN]).await.cache(), "hit");
    market.redis.kill().await;
    until("the connections to be given up", || async {
        market.prices(&[TOKEN]).await;
        (market.failed("down").await > 0).then_some(())
    })
    .await;
    market.tells_nothing(50).await;
    assert!(market.told("unavailable").await >= 50);
    // Calls go on, and an upstream is asked for them alone.
    let balance = market.gateway.rpc("getSlot", json!([])).await;
    assert!(balance.result().is_u64());
    let hits: u64 = market
        .cluster
        .validators()
        .iter()
        .map(|one| one.hits_total())
        .sum();
    assert_eq!(hits, 1);
    market.redis.restart().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    market.until_told().await;
}

#[tokio::test]
async fn redis_that_hangs_costs_a_few_deadlines_and_then_no_time() {
    let market = Market::open().await;
    market.redis.priced(TOKEN, dollars(2.5), ago(0)).await;
    assert_eq!(market.prices(&[TOKEN]).await.cache(), "hit");
    market.redis.pause();
    // Some are waited for, then one trial in each pause. The others are not looked up.
    let mut asked = 0;
    while market.failed("breaker_open").await + market.failed("down").await < 50 {
        assert!(asked < 1_000, "most are waited for");
        market.tells_nothing(10).await;
        asked += 10;
    }
    assert!(market.failed("timeout").await > 0);
    let errors = market
        .sum("jupiter_api_errors_total", &[("reason", "unavailable")])
        .await;
    assert_eq!(errors, asked);
    market.redis.resume();
    market.until_told().await;
    market.asked_nobody().await;
}

#[tokio::test]
async fn a_gateway_that_never_finds_its_redis_tells_nothing_and_serves_on() {
    let nowhere = json!({ "url": "redis://127.0.0.1:1", "deadline": "100ms" });
    let cluster = perijove_tests::sandbox::Sandbox::start(1).await.unwrap();
    let config = crate::scene::equals(&cluster)
        .set("cache.redis", nowhere)
        .set("price.enabled", true);
    let gateway = perijove_tests::gateway::Gateway::start(config).await;
    let url = format!("{}price/v3?ids={TOKEN}", gateway.url());
    let reply = gateway.send(gateway.client().get(url)).await;
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    assert_eq!(reply.header("x-perijove-source"), Some("none"));
    assert!(gateway.rpc("getSlot", json!([])).await.result().is_u64());
}
