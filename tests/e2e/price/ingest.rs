//! Both programs together: a stream is replayed into Redis by ingest, told by the gateway, and held by
//! ingest against what it knows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Output;

use perijove_core::Pubkey;
use perijove_core::market::{MONEY, USDC, WSOL};
use perijove_core::redis::{Latest, PREFIX, open};
use perijove_tests::gateway::process::binary;
use perijove_tests::redis::Redis;
use serde_json::{Value, json};
use tokio::process::Command;

use super::scene::Market;

const KEY: &str = "a-key-of-the-scheduled-job";

/// Runs a command of ingest in this folder.
async fn ingest(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("perijove-ingest"));
    command.args(arguments).current_dir(folder);
    command.kill_on_drop(true).output().await.unwrap()
}

/// The same; it must go well. What it said.
async fn well(folder: &Path, arguments: &[&str]) -> String {
    let output = ingest(folder, arguments).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The last trades of all tokens in Redis.
async fn trades(redis: &Redis) -> BTreeMap<Pubkey, Latest> {
    let prefix = format!("{PREFIX}price:");
    let mut trades = BTreeMap::new();
    for key in redis.keys().await {
        let Some(token) = key.strip_prefix(&prefix) else {
            continue;
        };
        let value = redis.value(&key).await;
        let (_, body) = open(&key, &value, value.len()).unwrap();
        trades.insert(token.parse().unwrap(), Latest::decode(&body).unwrap());
    }
    trades
}

#[tokio::test]
async fn what_ingest_has_read_off_a_stream_the_gateway_tells() {
    let consumers = json!([{ "id": "reconcile", "keys": [KEY] }]);
    let market = Market::with(|config| {
        config
            .set("consumers", consumers)
            .set("price.max_age", "1h")
    });
    let market = market.await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = json!({
        "database": { "url": "sqlite:trades.db" },
        "redis": { "url": market.redis.url() },
    });
    std::fs::write(folder.join("ingest.yaml"), config.to_string()).unwrap();
    well(folder, &["generate", "trades.rec", "--messages", "400"]).await;
    well(folder, &["replay", "trades.rec", "-c", "ingest.yaml"]).await;

    let trades = trades(&market.redis).await;
    assert!(trades.len() > 100, "{}", trades.len());
    let tokens: Vec<Pubkey> = trades.keys().copied().collect();
    let mut told = HashMap::new();
    for tokens in tokens.chunks(50) {
        let get = market.gateway.client().get(market.url(tokens));
        let reply = market.gateway.send(get.header("x-api-key", KEY)).await;
        assert_eq!(
            (reply.status, reply.cache()),
            (200, "hit"),
            "{}",
            reply.text()
        );
        let prices: HashMap<String, Value> = serde_json::from_value(reply.json()).unwrap();
        told.extend(prices);
    }
    assert_eq!(told.len(), trades.len());
    let paid = |token: &Pubkey| trades[token].price.to_string().parse::<f64>().unwrap();
    let unit = |money: Pubkey| if money == USDC { 1.0 } else { paid(&money) };
    assert_eq!(trades[&WSOL].quote, USDC);
    for (token, trade) in &trades {
        let price = &told[&token.to_string()];
        let dollars = price["usdPrice"].as_f64().unwrap();
        let expected = paid(token) * unit(trade.quote);
        assert!((dollars / expected - 1.0).abs() < 1e-12, "{token}: {price}");
        assert_eq!(price["blockId"], trade.position.slot.0, "{token}");
        assert_eq!(price["decimals"], trade.decimals, "{token}");
        assert!(MONEY.contains(&trade.quote) && *token != USDC);
    }

    // Ingest's own comparison with "Jupiter", which is us.
    let api = format!("{}price/v3", market.gateway.url());
    let mut arguments = vec!["reconcile", "-c", "ingest.yaml", "--tolerance", "0.001"];
    std::fs::write(folder.join("key"), format!("{KEY}\n")).unwrap();
    arguments.extend(["--key-file", "key", "--api", &api]);
    let texts: Vec<String> = tokens.iter().map(Pubkey::to_string).collect();
    arguments.extend(texts.iter().map(String::as_str));
    let said = well(folder, &arguments).await;
    assert_eq!(said.lines().count(), tokens.len(), "{said}");
    assert!(
        said.lines()
            .all(|line| line.contains("+0.00 %") || line.contains("-0.00 %")),
        "{said}"
    );
    std::fs::write(folder.join("key"), "another-key").unwrap();
    assert!(!ingest(folder, &arguments).await.status.success());
    market.asked_nobody().await;
}
