//! What was bought of a hosted API, and what an organisation's keys have in common.

use perijove_tests::gateway::{Gateway, GatewayConfig};
use perijove_tests::redis::Redis;
use perijove_tests::wait::until;
use serde_json::{Value, json};

use super::scene::{Exchange, quote_target};
use super::scripted::{Answer, CANARY};

/// Two hosted ones with keys of one organisation, and this budget. Their canaries take one request each.
fn of_one_organisation(config: GatewayConfig, budget: &Value) -> GatewayConfig {
    let mut upstreams = config.get("jupiter.upstreams").cloned().unwrap();
    for (number, upstream) in upstreams.as_array_mut().unwrap().iter_mut().enumerate() {
        upstream["kind"] = json!("hosted");
        upstream["key"] = json!(format!("key-{number}"));
        upstream["organisation"] = json!("acme");
        if number == 0 {
            upstream["budget"] = budget.clone();
        }
    }
    config
        .set("jupiter.upstreams", upstreams)
        .set("jupiter.quote.cache", false)
        .set("jupiter.health.metered_interval", "1h")
}

fn asked(exchange: &Exchange) -> usize {
    exchange.own.asked().len() + exchange.hosted.asked().len()
}

#[tokio::test]
async fn two_keys_of_an_organisation_have_one_budget() {
    let budget = json!({ "requests": 1, "per": "hour", "burst": 5 });
    let exchange = Exchange::with(|config| of_one_organisation(config, &budget)).await;
    for upstream in [&exchange.own, &exchange.hosted] {
        upstream.answers(|asked| {
            let done = json!({ "status": "Success" });
            asked
                .path
                .ends_with("/execute")
                .then(|| Answer::json(&done))
        });
    }
    for amount in 1..=3 {
        assert_eq!(exchange.quote(amount).await.status, 200, "{amount}");
    }
    for amount in 4..=9 {
        let reply = exchange.quote(amount).await;
        assert_eq!(reply.status, 429, "{}", reply.text());
        assert_eq!(reply.header("retry-after"), Some("119"));
        let body = json!({ "code": 429, "message": "Too many requests" });
        assert_eq!(reply.json(), body);
    }
    assert_eq!(asked(&exchange), 3, "nothing is sent that was not bought");
    let status = exchange.status("hosted").await;
    assert_eq!(status["budget_left"], 0);
    assert_eq!(status["organisation"], "acme");
    let left = exchange
        .sum("perijove_jupiter_budget_left_requests", &[])
        .await;
    assert!(left < 10.0, "{left}");
    // Executions are not of it.
    let order = json!({ "requestId": "r", "signedTransaction": "AQ" });
    let reply = exchange.post("/ultra/v1/execute", &order).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_budget_that_is_earned_within_a_moment_is_waited_for() {
    let budget = json!({ "requests": 600, "per": "minute", "burst": 2 });
    let exchange = Exchange::with(|config| of_one_organisation(config, &budget)).await;
    for amount in 1..=12 {
        let reply = exchange.quote(amount).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[tokio::test]
async fn a_pause_that_one_key_is_asked_for_holds_for_the_other() {
    let budget = json!({ "requests": 1000, "per": "second", "burst": 1000 });
    let exchange = Exchange::with(|config| of_one_organisation(config, &budget)).await;
    let limited = Answer::refused(429, &json!({ "code": 429 })).with("retry-after", "30");
    for upstream in [&exchange.own, &exchange.hosted] {
        let limited = limited.clone();
        upstream.answers(move |asked| (!asked.query.contains(CANARY)).then(|| limited.clone()));
    }
    for amount in 1..=5 {
        let reply = exchange.quote(amount).await;
        assert_eq!(reply.status, 429, "{}", reply.text());
    }
    assert_eq!(asked(&exchange), 1, "one of them was asked, once");
    for id in ["own", "hosted"] {
        let status = exchange.status(id).await;
        assert_eq!(status["held_because"], "rate_limited", "{status}");
    }
}

#[tokio::test]
async fn what_repeats_costs_of_the_retry_budget_and_what_is_fit_is_asked_all_the_same() {
    let exchange = Exchange::with(|config| {
        config
            .set("jupiter.quote.cache", false)
            .set("jupiter.health.interval", "1h")
            .set("retry", json!({ "budget": 0.0, "min_per_second": 0 }))
            .set(
                "hedge",
                json!({ "enabled": true, "metered_after": "50ms", "floor": "20ms" }),
            )
    })
    .await;
    // The first has failed, the second is fit.
    exchange
        .own
        .answers(|asked| (!asked.query.contains(CANARY)).then(|| Answer::text(502, "")));
    let reply = exchange.quote(1).await;
    assert_eq!((reply.status, reply.upstream()), (200, "hosted"));
    // Nothing pays for a second request while the first is under way.
    let slot = exchange.cluster.cluster().clock.tip();
    exchange.own.answers(move |asked| {
        let late = Answer::json(&super::scripted::quote(slot, 2, 150));
        let late = late.after(std::time::Duration::from_millis(500));
        (!asked.query.contains(CANARY)).then_some(late)
    });
    exchange.hosted.forget();
    let target = quote_target("/swap/v1/quote", 2);
    let reply = exchange.get(&target).await;
    assert_eq!((reply.status, reply.upstream()), (200, "own"));
    assert_eq!(exchange.hosted.asked().len(), 0);
}

#[tokio::test]
async fn what_is_used_up_survives_a_restart() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("budgets.json");
    let budget = json!({ "requests": 1, "per": "hour", "burst": 5 });
    let exchange = Exchange::with(|config| {
        of_one_organisation(config, &budget).set("budgets.file", file.display().to_string())
    })
    .await;
    for amount in 1..=3 {
        assert_eq!(exchange.quote(amount).await.status, 200, "{amount}");
    }
    exchange.gateway.sigterm();
    until("the file to be written", || async {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("jupiter/organisation/acme").then_some(())
    })
    .await;
    let again = Gateway::start(exchange.config.clone()).await;
    let before = asked(&exchange);
    let target = quote_target("swap/v1/quote", 77);
    let get = again.client().get(format!("{}{target}", again.url()));
    let reply = again.send(get).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(asked(&exchange), before, "a restart buys nothing");
    let status = again.status().await;
    assert_eq!(status["jupiter"]["upstreams"][0]["budget_left"], 0);
}

#[tokio::test]
async fn gateways_share_the_budget_of_an_organisation_through_redis() {
    let redis = Redis::start().await;
    let budget = json!({ "requests": 1, "per": "hour", "burst": 60 });
    let exchange = Exchange::with(|config| {
        of_one_organisation(config, &budget)
            .set("cache.redis.url", redis.url())
            .set("budgets.shared", true)
    })
    .await;
    let other = exchange.another().await;
    for gateway in [&exchange.gateway, &other] {
        until("both gateways to be counted", || async {
            let metrics = gateway.metrics().await;
            (metrics.sum("perijove_budget_replicas", &[]) > 1.5).then_some(())
        })
        .await;
    }
    // Each asks until it is told again and again that nothing is left.
    let ask = async |gateway: &Gateway, first: u64| {
        let (mut refused, mut amount) = (0, first);
        while refused < 30 {
            amount += 1;
            let target = quote_target("swap/v1/quote", amount);
            let get = gateway.client().get(format!("{}{target}", gateway.url()));
            match gateway.send(get).await.status {
                200 => refused = 0,
                429 => refused += 1,
                status => panic!("{status}"),
            }
        }
    };
    tokio::join!(ask(&exchange.gateway, 1_000), ask(&other, 2_000));
    // Canaries count, and what is leased last may lie with one while the other asks.
    let sent = asked(&exchange);
    assert!((30..=60).contains(&sent), "{sent} of sixty");
}
