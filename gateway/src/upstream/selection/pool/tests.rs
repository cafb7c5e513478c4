//! What a reload keeps and what it replaces.

use std::time::Duration;

use prometheus::{Registry, TextEncoder};

use super::*;
use crate::config::Config;
use crate::upstream::health::slot_look::{PeerSlots, SightingSource, SlotLook};
use crate::upstream::health::slot_position::SlotPace;
use crate::upstream::health::tracker::Health;
use crate::upstream::testing::{config, parts, settings};

/// Something an operator may edit.
type Change = fn(&mut Config);

fn compile(config: &Config, previous: Option<&Pool>, parts: &SharedParts) -> Pool {
    Pool::compile(config, previous, parts).unwrap()
}

#[test]
fn upstreams_are_ordered_by_tier_and_then_as_configured() {
    let mut paid = settings("p", "http://p/");
    paid.tier = config::Tier::Paid;
    let all = vec![paid, settings("b", "http://b/"), settings("a", "http://a/")];
    let pool = compile(&config(all), None, &parts());
    let ids: Vec<_> = pool.upstreams().iter().map(|up| up.id()).collect();
    assert_eq!(ids, ["b", "a", "p"]);
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let parts = parts();
    let before = compile(&config(vec![settings("a", "http://a/")]), None, &parts);
    let [old] = before.upstreams() else { panic!() };

    let same = compile(
        &config(vec![settings("a", "http://a/")]),
        Some(&before),
        &parts,
    );
    assert!(Arc::ptr_eq(old, &same.upstreams()[0]));

    let cases: [(&str, Change, bool); 7] = [
        ("weight", |config| config.upstreams[0].weight = 5, true),
        (
            "timeouts",
            |config| config.upstreams[0].timeouts.connect = Duration::ZERO,
            true,
        ),
        ("breaker", |config| config.breaker.failures = 9, true),
        (
            "slot time",
            |config| config.cluster.slot_time = Duration::from_secs(1),
            true,
        ),
        (
            "url",
            |config| config.upstreams[0] = settings("a", "http://b/"),
            false,
        ),
        (
            "connections",
            |config| config.upstreams[0].connections = 3,
            false,
        ),
        (
            "id",
            |config| config.upstreams[0] = settings("z", "http://a/"),
            false,
        ),
    ];
    for (what, change, keeps_live) in cases {
        let mut config = config(vec![settings("a", "http://a/")]);
        change(&mut config);
        let after = compile(&config, Some(&before), &parts);
        let new = &after.upstreams()[0];
        assert!(!Arc::ptr_eq(old, new), "{what}");
        assert_eq!(Arc::ptr_eq(old.state(), new.state()), keeps_live, "{what}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used_names_the_upstream() {
    let mut broken = settings("a", "https://a/");
    broken.tls.ca = Some("/nonexistent.pem".into());
    let error = Pool::compile(&config(vec![broken]), None, &parts())
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("upstream a: cannot read /nonexistent.pem")
    );
}

#[test]
fn a_configuration_that_cannot_be_used_leaves_no_trace_in_the_metrics() {
    let registry = Registry::new();
    let parts = SharedParts {
        metrics: UpstreamMetrics::register(&registry).unwrap(),
        ..parts()
    };
    let before = compile(&config(vec![settings("a", "http://a/")]), None, &parts);
    before.upstreams()[0]
        .state()
        .metrics
        .health(Health::Healthy);
    let shown = || TextEncoder::new().encode_to_string(&registry.gather());
    let in_force = shown().unwrap();

    let mut broken = settings("c", "https://c/");
    broken.tls.ca = Some("/nonexistent.pem".into());
    let moved = settings("a", "http://elsewhere/");
    let new = settings("b", "http://b/");
    let refused = config(vec![moved, new, broken]);
    assert!(Pool::compile(&refused, Some(&before), &parts).is_err());
    assert_eq!(shown().unwrap(), in_force);
}

#[tokio::test]
async fn a_displaced_upstream_stops_when_the_last_user_is_gone() {
    let parts = parts();
    let handle = Handle::current();
    let before = compile(
        &config(vec![settings("a", "http://127.0.0.1:1/")]),
        None,
        &parts,
    );
    before.start(&handle, None);
    let live = Arc::downgrade(before.upstreams()[0].state());
    let after = compile(
        &config(vec![settings("b", "http://127.0.0.1:1/")]),
        Some(&before),
        &parts,
    );
    after.start(&handle, Some(&before));
    assert!(live.upgrade().is_some());
    drop(before);
    while live.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_only_lags_still_says_how_far_the_best_is_behind() {
    let pool = compile(&config(vec![settings("a", "http://a/")]), None, &parts());
    assert_eq!(pool.health(), HealthReport::Unknown);
    let now = Instant::now();
    pool.upstreams()[0]
        .state()
        .track(&config::HealthSettings::default(), now, |tracker| {
            tracker.succeeded(&config::HealthSettings::default());
            let usual = SlotPace::of(Duration::from_millis(400));
            let peers = PeerSlots {
                heads: [Some(Slot(1300)); 3],
                highest: [Some(Slot(1300)); 3],
                settled: [Some(Slot(1300)); 3],
                agreed: false,
                stopped: [None; 3],
                moves: usual,
                usual,
            };
            let level = Commitment::Processed;
            let look = SlotLook::one(SightingSource::Probe, level, Slot(1000), now, now);
            tracker.look(&look, &peers);
        });
    assert_eq!(pool.upstreams()[0].health(), Health::Lagging);
    assert_eq!(pool.health(), HealthReport::Behind(300));
}

#[test]
fn the_status_shows_no_secret() {
    let pool = compile(
        &config(vec![settings(
            "a",
            "https://rpc.example/key-in-path?api-key=secret",
        )]),
        None,
        &parts(),
    );
    let json = serde_json::to_string(&pool.status()).unwrap();
    assert!(json.contains("https://rpc.example"), "{json}");
    assert!(
        !json.contains("key-in-path") && !json.contains("secret"),
        "{json}"
    );
    assert!(json.contains(r#""health":"unprobed""#), "{json}");
}
