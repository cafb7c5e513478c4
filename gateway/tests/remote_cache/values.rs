//! What is kept: that it comes back as it was, the newer wins, lives as long as it is true, and that
//! what is not ours is passed over.

use std::sync::Arc;
use std::time::Duration;

use perijove_gateway::cache::{CacheEntry, Lifetime, Lookup};
use perijove_tests::redis::Redis;
use perijove_tests::wait::eventually;

use crate::scene::{LONG, LONGEST, Scene, at, balance, key, long, name};

#[tokio::test]
async fn what_one_gateway_puts_another_gets() {
    let redis = Redis::start().await;
    let one = Scene::connected(&at(&redis.url())).await;
    let other = Scene::connected(&at(&redis.url())).await;
    for (number, entry) in (0..).zip([balance(7), balance(8).made_permanent(), long(200_000)]) {
        one.store(key(number), &entry).await;
        assert_eq!(other.get(key(number)).await, Some(entry));
    }
    assert_eq!(other.get(key(99)).await, None);
    assert_eq!(other.failed("decode") + other.failed("timeout"), 0);
    assert_eq!(
        other.count("perijove_redis_lookup_duration_seconds_count", &[]),
        4
    );
}

#[tokio::test]
async fn several_are_got_at_once_in_their_order() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    scene.store(key(1), &balance(1)).await;
    scene.store(key(3), &balance(3)).await;
    let found = scene.remote.get_many(&[key(3), key(2), key(1)]).await;
    assert_eq!(found, [Ok(balance(3)), Err(Lookup::Miss), Ok(balance(1))]);
}

#[tokio::test]
async fn long_answers_take_little_room() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    scene.store(key(1), &long(100_000)).await;
    let length: usize = redis.ask(&["STRLEN", &name(key(1))]).await;
    assert!(length < 5_000, "{length}");
}

#[tokio::test]
async fn the_newer_slot_wins_whoever_comes_last() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    let put = |slot| scene.remote.put(key(1), &Arc::new(balance(slot)), LONG);
    // The second byte from the end decides here, then the last.
    put(0x0200);
    put(0x01ff);
    eventually("the older to be turned away", || {
        scene.written("older") == 1
    })
    .await;
    assert_eq!(scene.get(key(1)).await, Some(balance(0x0200)));
    put(0x0201);
    eventually("the newer to be written", || scene.written("written") == 2).await;
    assert_eq!(scene.get(key(1)).await, Some(balance(0x0201)));
    // Of one slot, the later word counts: it may have become settled.
    scene.store(key(1), &balance(0x0201).made_permanent()).await;
    assert_eq!(
        scene.get(key(1)).await,
        Some(balance(0x0201).made_permanent())
    );
}

#[tokio::test]
async fn slots_compare_by_their_bytes_whatever_the_locale() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    // Bytes that stand in another order in most alphabets, and zeros between them.
    let slots = [0x00, 0x41, 0x61, 0x7f, 0x80, 0xe4, 0xff];
    let mut newest = 0;
    let mut older = 0;
    for (high, low) in slots.iter().flat_map(|high| slots.map(|low| (*high, low))) {
        let slot = (high << 24) | low;
        scene.remote.put(key(1), &Arc::new(balance(slot)), LONG);
        let behind = slot < newest;
        older += u64::from(behind);
        newest = newest.max(slot);
    }
    for slot in slots {
        scene.remote.put(key(1), &Arc::new(balance(slot)), LONG);
        older += 1;
    }
    eventually("all to be written or turned away", || {
        scene.written("older") + scene.written("written") == 56
    })
    .await;
    assert_eq!(scene.written("older"), older);
    assert_eq!(scene.get(key(1)).await, Some(balance(newest)));
}

#[tokio::test]
async fn answers_are_forgotten_when_they_are_no_longer_true() {
    let redis = Redis::start().await;
    let mut settings = at(&redis.url());
    settings.settled_ttl = Duration::from_secs(5_000);
    let scene = Scene::connected(&settings).await;
    let lives = Duration::from_secs(100);
    for (number, entry) in [(1, balance(1)), (2, balance(1).made_permanent())] {
        scene.remote.put(key(number), &Arc::new(entry), lives);
    }
    eventually("both to be written", || scene.written("written") == 2).await;
    for (number, bounds) in [(1, 50_000..=100_000), (2, 4_900_000..=5_000_000)] {
        let left: i64 = redis.ask(&["PTTL", &name(key(number))]).await;
        assert!(bounds.contains(&left), "{number}: {left}");
    }
}

#[tokio::test]
async fn nothing_is_kept_longer_than_what_is_settled() {
    let redis = Redis::start().await;
    let mut settings = at(&redis.url());
    settings.settled_ttl = Duration::from_secs(10);
    let scene = Scene::connected(&settings).await;
    scene.store(key(1), &balance(1)).await;
    let left: i64 = redis.ask(&["PTTL", &name(key(1))]).await;
    assert!((1..=10_000).contains(&left), "{left}");
}

#[tokio::test]
async fn what_is_over_before_its_turn_is_not_written() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    scene
        .remote
        .put(key(1), &Arc::new(balance(1)), Duration::ZERO);
    eventually("the write to be dropped", || scene.written("expired") == 1).await;
    assert!(redis.keys().await.is_empty());
}

#[tokio::test]
async fn what_is_not_ours_is_passed_over_and_written_over() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    scene.store(key(1), &balance(1)).await;
    scene.store(key(2), &balance(2)).await;
    let of_another = redis.value(&name(key(2))).await;
    let mut of_another_version = redis.value(&name(key(1))).await;
    of_another_version[2] = 9;
    let mut damaged = redis.value(&name(key(1))).await;
    *damaged.last_mut().unwrap() ^= 1;
    let foreign = [
        of_another,
        of_another_version,
        damaged,
        b"PJ".to_vec(),
        b"zzzzzzzzzzzzzzzz, a word of somebody else's that would be a very late slot".to_vec(),
        br#"{"jsonrpc":"2.0","result":1,"id":1}"#.to_vec(),
    ];
    for (number, value) in (1..).zip(&foreign) {
        redis.spoil(&name(key(1)), value).await;
        assert_eq!(scene.get(key(1)).await, None, "{value:?}");
        assert_eq!(scene.failed("decode"), number);
    }
    // That is nothing the server could be blamed for.
    assert_eq!(scene.count("perijove_redis_breaker_state", &[]), 0);
    scene.store(key(1), &balance(3)).await;
    assert_eq!(scene.get(key(1)).await, Some(balance(3)));
}

#[tokio::test]
async fn another_type_under_the_key_is_passed_over_and_written_over() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    redis
        .ask::<u64>(&["RPUSH", &name(key(1)), "a", "list"])
        .await;
    assert_eq!(scene.get(key(1)).await, None);
    assert_eq!(scene.failed("decode"), 1);
    scene.store(key(1), &balance(3)).await;
    assert_eq!(scene.get(key(1)).await, Some(balance(3)));
}

#[tokio::test]
async fn of_a_giant_value_no_more_is_read_than_an_answer_may_have() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    let giant = 64 * LONGEST;
    redis
        .ask::<u64>(&["SETRANGE", &name(key(1)), &giant.to_string(), "x"])
        .await;
    let before = sent(&redis).await;
    assert_eq!(scene.get(key(1)).await, None);
    assert_eq!(scene.failed("decode"), 1);
    let read = sent(&redis).await - before;
    assert!(read < 2 * LONGEST, "{read}");
}

/// Bytes the server has sent to clients.
async fn sent(redis: &Redis) -> usize {
    let told: String = redis.ask(&["INFO", "stats"]).await;
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("total_net_output_bytes:"));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn answers_as_long_as_may_be_are_kept_and_longer_ones_are_not_read() {
    let redis = Redis::start().await;
    let mut settings = at(&redis.url());
    settings.compress_from = usize::MAX;
    let scene = Scene::connected(&settings).await;
    for (number, length, kept) in [(1, LONGEST - 40, true), (2, LONGEST + 10_000, false)] {
        scene.store(key(number), &long(length)).await;
        let found = scene.get(key(number)).await;
        assert_eq!(found.is_some(), kept, "{length}");
    }
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_taught_again() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    for number in 1..=3 {
        redis.ask::<()>(&["SCRIPT", "FLUSH"]).await;
        scene.store(key(number), &balance(number)).await;
    }
    scene.store(key(4), &balance(4)).await;
    assert_eq!(redis.calls("eval").await, 3);
    assert_eq!(scene.written("failed"), 0);
}

#[tokio::test]
async fn until_it_is_started_nothing_is_found_and_what_is_put_waits() {
    let redis = Redis::start().await;
    let scene = Scene::idle(&at(&redis.url()));
    let entry: CacheEntry = balance(1);
    assert!(matches!(entry.lifetime, Lifetime::Until(_)));
    scene.remote.put(key(1), &Arc::new(entry.clone()), LONG);
    assert_eq!(scene.get(key(1)).await, None);
    assert_eq!(scene.failed("down"), 1);
    assert_eq!(scene.remote.status().waiting_writes, 1);
    scene.remote.start(&tokio::runtime::Handle::current());
    eventually("the entry to be written", || scene.written("written") == 1).await;
    assert_eq!(scene.get(key(1)).await, Some(entry));
}

#[tokio::test]
async fn its_connections_end_with_it() {
    let redis = Redis::start().await;
    let scene = Scene::connected(&at(&redis.url())).await;
    let named = async || {
        let told: String = redis.ask(&["CLIENT", "LIST"]).await;
        told.lines().count() - 1
    };
    assert_eq!(named().await, 3);
    drop(scene);
    perijove_tests::wait::until("the connections to close", || async {
        (named().await == 0).then_some(())
    })
    .await;
}
