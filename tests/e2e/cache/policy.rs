//! What the operator says about it, also while it runs, and how much memory it takes.

use perijove_tests::sandbox::accounts::made_up;
use perijove_tests::sandbox::sight::Level;
use perijove_tests::sandbox::{Fault, Kind};
use serde_json::json;

use super::stage::{Stage, at, moving};
use crate::scene::KEY;

#[tokio::test]
async fn a_method_may_be_kept_for_less_or_not_at_all() {
    let stage = Stage::single_with(|config| {
        config
            .set("cache.methods.getBalance.slots", 0)
            .set("cache.methods.getSlot.slots", 1)
    })
    .await;
    for level in Level::ALL {
        stage.always_asks("getBalance", &at(KEY, level)).await;
    }
    stage.asks("getSlot", &json!([])).await;
    stage.knows("getSlot", &json!([])).await;
    stage.advance(1).await;
    stage.asks("getSlot", &json!([])).await;
}

#[tokio::test]
async fn a_method_may_be_kept_for_more_where_that_is_said_twice() {
    let stage = Stage::single_with(|config| {
        config
            .set("cache.allow_looser", true)
            .set("cache.methods.getSupply.slots", 10)
    })
    .await;
    let params = json!([{"commitment": "confirmed"}]);
    let first = stage.asks("getSupply", &params).await;
    stage.advance(9).await;
    assert_eq!(stage.knows("getSupply", &params).await, first);
    stage.advance(1).await;
    stage.asks("getSupply", &params).await;
}

#[tokio::test]
async fn what_is_settled_is_kept_no_longer_than_the_operator_says() {
    let stage =
        Stage::single_with(|config| config.set("cache.methods.getBlockTime.slots", 0)).await;
    let params = json!([stage.sight().finalized - 50]);
    stage.always_asks("getBlockTime", &params).await;
}

#[tokio::test]
async fn a_reload_changes_what_is_kept_at_once() {
    let stage = Stage::ranked().await;
    let params = at(&moving(), Level::Finalized);
    stage.asks("getBalance", &params).await;
    stage.knows("getBalance", &params).await;
    let reload = async |config: perijove_tests::gateway::GatewayConfig| {
        stage.gateway().write_config(config);
        let reply = stage.gateway().reload().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    // What is known stays known over a reload that does not concern it.
    reload(stage.config().set("limits.max_batch", 7)).await;
    stage.knows("getBalance", &params).await;
    reload(stage.config().set("cache.methods.getBalance.slots", 0)).await;
    stage.always_asks("getBalance", &params).await;
    reload(stage.config().set("cache.enabled", false)).await;
    for _ in 0..2 {
        let before = stage.cluster().hits("getBalance");
        assert_eq!(stage.ask("getBalance", &params).await.cache(), "none");
        assert_eq!(stage.cluster().hits("getBalance"), before + 1);
    }
    reload(stage.config()).await;
    stage.advance(2).await;
    stage.asks("getBalance", &params).await;
    stage.knows("getBalance", &params).await;
}

#[tokio::test]
async fn a_reload_to_shorter_lifetimes_shortens_them() {
    let looser = |slots: u32| {
        move |config: perijove_tests::gateway::GatewayConfig| {
            config
                .set("cache.allow_looser", true)
                .set("cache.methods.getSupply.slots", slots)
        }
    };
    let stage = Stage::ranked_with(looser(100)).await;
    let params = json!([{"commitment": "confirmed"}]);
    stage.asks("getSupply", &params).await;
    stage.advance(5).await;
    stage.knows("getSupply", &params).await;
    stage.gateway().write_config(stage.config());
    assert_eq!(stage.gateway().reload().await.status, 200);
    stage.asks("getSupply", &params).await;
}

const MEGABYTE: f64 = 1024.0 * 1024.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_over_everything_takes_no_more_memory_than_allowed() {
    let stage = Stage::single_with(|config| config.set("cache.memory", "1MiB")).await;
    stage
        .v(0)
        .fault(Fault::from(Kind::Big { bytes: 6_000 }).on("getAccountInfo"));
    let mut most: f64 = 0.0;
    for round in 0..20_u64 {
        let batch: Vec<_> = (0..30)
            .map(|place| {
                let key = made_up(round * 30 + place);
                json!({"jsonrpc": "2.0", "id": place, "method": "getAccountInfo", "params": [key]})
            })
            .collect();
        let reply = stage.gateway().post(json!(batch).to_string()).await;
        assert_eq!(reply.json().as_array().unwrap().len(), 30);
        let metrics = stage.gateway().metrics().await;
        most = most.max(metrics.sum("perijove_cache_bytes", &[]));
        assert!(most <= MEGABYTE, "{most}");
    }
    // Six hundred answers of six thousand bytes went by.
    assert!(most > MEGABYTE / 2.0, "{most}");
    let metrics = stage.gateway().metrics().await;
    assert!(metrics.sum("perijove_cache_evictions_total", &[]) > 300.0);
    assert!(metrics.sum("perijove_cache_entries", &[]) < 200.0);
}

#[tokio::test]
async fn what_is_saved_is_counted() {
    let stage = Stage::single().await;
    let params = json!([KEY]);
    stage.asks("getBalance", &params).await;
    for _ in 0..4 {
        stage.knows("getBalance", &params).await;
    }
    let metrics = stage.gateway().metrics().await;
    let about = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let value = metrics.sum(name, labels);
        assert!((value - expected).abs() < 0.5, "{name} {labels:?}: {value}");
    };
    about(
        "perijove_cache_lookups_total",
        &[("tier", "memory"), ("result", "hit")],
        4.0,
    );
    about("jupiter_api_cache_hits_total", &[], 4.0);
    about("perijove_cache_credits_saved_total", &[], 4.0);
    about("perijove_cache_entries", &[], 1.0);
    assert!(metrics.sum("perijove_cache_bytes", &[]) > 100.0);
}
