//! Both programs together: a stream is replayed into Redis by ingest, told by the gateway, and held by
//! ingest against what it knows.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Output;

use perijove_core::Pubkey;
use perijove_core::market::{USDC, WSOL};
use perijove_core::redis::{Dollars, PREFIX, open};
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

/// The prices of all tokens in Redis.
async fn prices(redis: &Redis) -> BTreeMap<Pubkey, Dollars> {
    let prefix = format!("{PREFIX}usd:");
    let mut prices = BTreeMap::new();
    for key in redis.keys().await {
        let Some(token) = key.strip_prefix(&prefix) else {
            continue;
        };
        let value = redis.value(&key).await;
        let (_, body) = open(&key, &value, value.len()).unwrap();
        prices.insert(token.parse().unwrap(), Dollars::decode(&body).unwrap());
    }
    prices
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
    // Small batches, so that the partitions stay close to each other on a busy machine too: money is
    // seen to be in a pool over a hundred slots and more.
    let config = json!({
        "database": { "url": "sqlite:trades.db" },
        "batch": { "rows": 300 },
        "redis": { "url": market.redis.url() },
    });
    std::fs::write(folder.join("ingest.yaml"), config.to_string()).unwrap();
    well(folder, &["generate", "trades.rec", "--messages", "800"]).await;
    well(folder, &["replay", "trades.rec", "-c", "ingest.yaml"]).await;

    let prices = prices(&market.redis).await;
    assert!(prices.len() > 100, "{}", prices.len());
    let certain = prices.iter().filter(|(_, price)| price.uncertain <= 0.25);
    let tokens: Vec<Pubkey> = certain.map(|(token, _)| *token).collect();
    assert!(
        tokens.len() > 90 && tokens.contains(&USDC),
        "{}",
        tokens.len()
    );
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
    assert_eq!(told.len(), tokens.len());
    // The generator's market has SOL at 150 dollars.
    assert!((prices[&WSOL].usd / 150.0 - 1.0).abs() < 0.01);
    assert!((prices[&USDC].usd - 1.0).abs() < 0.01);
    for token in &tokens {
        let (price, told) = (&prices[token], &told[&token.to_string()]);
        let dollars = told["usdPrice"].as_f64().unwrap();
        assert!((dollars / price.usd - 1.0).abs() < 1e-12, "{token}: {told}");
        assert_eq!(told["blockId"], price.slot.0, "{token}");
        assert_eq!(told["decimals"], price.decimals, "{token}");
    }

    // Ingest's own comparison with "Jupiter", which is us.
    let api = format!("{}price/v3", market.gateway.url());
    let mut arguments = vec![
        "reconcile",
        "-c",
        "ingest.yaml",
        "--tolerance",
        "0.001",
        "--max-age",
        "1h",
    ];
    std::fs::write(folder.join("key"), format!("{KEY}\n")).unwrap();
    arguments.extend(["--key-file", "key", "--api", &api]);
    let texts: Vec<String> = tokens.iter().map(Pubkey::to_string).collect();
    arguments.extend(texts.iter().map(String::as_str));
    let said = well(folder, &arguments).await;
    assert_eq!(said.lines().count(), tokens.len() + 1, "{said}");
    assert!(
        said.lines()
            .take(tokens.len())
            .all(|line| line.contains("+0.00 %") || line.contains("-0.00 %")),
        "{said}"
    );
    std::fs::write(folder.join("key"), "another-key").unwrap();
    assert!(!ingest(folder, &arguments).await.status.success());
    market.asked_nobody().await;
}
