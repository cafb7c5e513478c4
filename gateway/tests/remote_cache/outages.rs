//! Servers that are away, hang, are full or talk nonsense: nobody waits, nothing breaks, and when
//! they are well again they are used again.

use std::sync::Arc;
use std::time::Duration;

use perijove_gateway::cache::Lookup;
use perijove_gateway::config;
use perijove_tests::redis::{Impostor, Manner, Redis};
use perijove_tests::wait::{eventually, until};

use crate::scene::{LONG, Scene, at, balance, key, long};

/// Short enough to meet in tests, long enough for a busy machine.
const DEADLINE: Duration = Duration::from_millis(200);

fn impatient(url: &str) -> config::Redis {
    config::Redis {
        deadline: DEADLINE,
        connect: Duration::from_millis(500),
        breaker: config::RedisBreakerSettings {
            failures: 5,
            open: Duration::from_millis(300),
        },
        ..at(url)
    }
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_few_deadlines_and_is_then_left_alone() {
    let redis = Redis::start().await;
    let mut settings = impatient(&redis.url());
    settings.breaker.open = Duration::from_mins(10);
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    redis.pause();
    for _ in 0..100 {
        assert_eq!(scene.get(key(1)).await, None);
    }
    // Nobody else was waited for.
    assert_eq!(scene.failed("timeout"), 5);
    let left_alone = scene.failed("breaker_open") + scene.failed("down");
    assert_eq!(left_alone, 95);
    assert_eq!(scene.remote.status().breaker, "open");
    assert_eq!(scene.count("perijove_redis_breaker_state", &[]), 2);
    // The connections that are of no use are given up.
    eventually("the connections to be given up", || {
        scene.remote.status().connections == 0
    })
    .await;
    assert!(scene.remote.status().trouble.is_some());
    redis.resume();
}

#[tokio::test]
async fn a_server_that_comes_to_itself_is_used_again() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&impatient(&redis.url())).await;
    scene.store(key(1), &balance(1)).await;
    redis.pause();
    until("the breaker to open", || async {
        scene.get(key(1)).await;
        (scene.remote.status().breaker == "open").then_some(())
    })
    .await;
    redis.resume();
    until("the entry to be found again", || async {
        scene.get(key(1)).await
    })
    .await;
    assert_eq!(scene.remote.status().breaker, "closed");
    scene.wait_connected().await;
}

#[tokio::test]
async fn lookups_that_were_given_up_do_not_mix_up_those_that_follow() {
    let redis = Redis::start().await;
    let mut settings = impatient(&redis.url());
    // One connection, and no breaker or probe in the way.
    settings.connections = 1;
    settings.connect = Duration::from_mins(1);
    settings.breaker.failures = 1000;
    let scene = Scene::connected(&settings).await;
    for number in 1..=20 {
        scene.store(key(number), &balance(number)).await;
    }
    redis.pause();
    let keys: Vec<_> = (1..=10).map(key).collect();
    assert_eq!(
        scene.remote.get_many(&keys).await,
        vec![Err(Lookup::Slow); 10]
    );
    assert_eq!(scene.failed("timeout"), 10);
    // Some are not even waited for.
    let remote = Arc::clone(&scene.remote);
    let abandoned = tokio::spawn(async move { remote.get(key(5)).await });
    tokio::task::yield_now().await;
    abandoned.abort();
    redis.resume();
    for number in 1..=20 {
        until("the server to catch up", || async {
            let found = scene.get(key(number)).await?;
            assert_eq!(found, balance(number));
            Some(())
        })
        .await;
    }
    assert_eq!(scene.count("perijove_redis_connections", &[]), 2);
}

#[tokio::test]
async fn a_server_that_is_killed_is_not_waited_for_and_found_again() {
    let mut redis = Redis::start().await;
    let scene = Scene::connected(&impatient(&redis.url())).await;
    scene.store(key(1), &balance(1)).await;
    redis.kill().await;
    until("lookups to end without being sent", || async {
        let before = scene.failed("down");
        assert_eq!(scene.get(key(1)).await, None);
        (scene.failed("down") > before).then_some(())
    })
    .await;
    redis.restart().await;
    scene.until_kept(key(1), &balance(2)).await;
    scene.wait_connected().await;
}

#[tokio::test]
async fn a_server_may_appear_later() {
    let mut redis = Redis::start().await;
    redis.kill().await;
    let scene = Scene::start(&impatient(&redis.url()));
    assert_eq!(scene.get(key(1)).await, None);
    assert_eq!(scene.failed("down"), 1);
    eventually("the trouble to be told", || {
        scene.remote.status().trouble.is_some()
    })
    .await;
    redis.restart().await;
    scene.until_kept(key(1), &balance(1)).await;
    assert_eq!(scene.remote.status().trouble, None);
}

#[tokio::test]
async fn a_full_server_still_gives_what_it_has() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&impatient(&redis.url())).await;
    scene.store(key(1), &balance(1)).await;
    redis
        .ask::<()>(&[
            "CONFIG",
            "SET",
            "maxmemory",
            "1mb",
            "maxmemory-policy",
            "noeviction",
        ])
        .await;
    for number in 2..100 {
        scene
            .remote
            .put(key(number), &Arc::new(balance(number)), LONG);
    }
    eventually("the writes to fail", || scene.written("failed") == 98).await;
    let refused = [("operation", "write"), ("kind", "oom")];
    assert_eq!(scene.count("perijove_redis_errors_total", &refused), 98);
    assert_eq!(scene.get(key(1)).await, Some(balance(1)));
    assert_eq!(scene.get(key(2)).await, None);
    assert_eq!(scene.remote.status().breaker, "closed");
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    scene.store(key(2), &balance(2)).await;
    assert_eq!(scene.get(key(2)).await, Some(balance(2)));
}

#[tokio::test]
async fn more_lookups_than_may_be_under_way_are_not_made() {
    let redis = Redis::start().await;
    let mut settings = at(&redis.url());
    settings.concurrency = 3;
    let scene = Scene::connected(&settings).await;
    redis.pause();
    let keys: Vec<_> = (0..10).map(key).collect();
    scene.remote.get_many(&keys).await;
    assert_eq!(scene.failed("timeout"), 3);
    assert_eq!(scene.failed("busy"), 7);
    redis.resume();
}

#[tokio::test]
async fn what_cannot_be_written_makes_way_for_what_comes() {
    let redis = Redis::start().await;
    let mut settings = impatient(&redis.url());
    settings.queue = 100;
    settings.queue_bytes = 1024 * 1024;
    let scene = Scene::connected(&settings).await;
    redis.pause();
    for number in 0..1000 {
        scene
            .remote
            .put(key(number), &Arc::new(balance(number)), LONG);
        assert!(scene.remote.status().waiting_writes <= 100);
    }
    assert!(scene.written("crowded_out") >= 1000 - 100 - 64);
    for number in 0..50 {
        scene
            .remote
            .put(key(number), &Arc::new(long(100_000)), LONG);
    }
    let waiting = scene.count("perijove_redis_queue_bytes", &[]);
    assert!(waiting <= 1024 * 1024, "{waiting}");
    redis.resume();
    // The newest are there.
    until("the newest to be found", || scene.get(key(49))).await;
    eventually("the queue to be empty", || {
        scene.count("perijove_redis_queue_writes", &[]) == 0
    })
    .await;
}

#[tokio::test]
async fn restarts_under_load_harm_nobody() {
    let mut redis = Redis::start().await;
    let scene = Scene::connected(&impatient(&redis.url())).await;
    let load: Vec<_> = (0..8_u64)
        .map(|client| {
            let remote = Arc::clone(&scene.remote);
            tokio::spawn(async move {
                for round in 0..u64::MAX {
                    let number = client * 1000 + round % 50;
                    remote.put(key(number), &Arc::new(balance(number)), LONG);
                    if let Ok(found) = remote.get(key(number)).await {
                        assert_eq!(found, balance(number));
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let before = scene.written("written");
        until("writes to go through", || async {
            (scene.written("written") > before).then_some(())
        })
        .await;
        redis.restart().await;
    }
    scene.until_kept(key(99_999), &balance(1)).await;
    for client in load {
        assert!(!client.is_finished());
        client.abort();
    }
}

#[tokio::test]
async fn nonsense_is_counted_and_connections_that_bring_it_are_renewed() {
    for (manner, kind) in [
        (Manner::Foreign, "protocol"),
        (Manner::Number, "protocol"),
        (Manner::HangsUp, "io"),
        (Manner::Silent, "timeout"),
        (Manner::Countless, "timeout"),
        (Manner::Endless, "io"),
    ] {
        let server = Impostor::start(manner).await;
        let mut settings = impatient(&server.url());
        settings.breaker.open = Duration::from_millis(50);
        let scene = Scene::connected(&settings).await;
        let first = server.connections();
        until(
            &format!("{manner:?}: the connections to be renewed"),
            || async {
                assert_eq!(scene.get(key(1)).await, None);
                (server.connections() > first).then_some(())
            },
        )
        .await;
        // What takes long may be given up before it is known to be nonsense.
        let failed = scene.failed(kind) + scene.failed("timeout");
        assert!(failed > 0, "{manner:?}");
    }
}
