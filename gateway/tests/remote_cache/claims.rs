//! Gateways that say what they are fetching, and those that wait for it.

use std::time::Duration;

use perijove_core::Slot;
use perijove_gateway::cache::{CacheKey, Claimed};
use perijove_gateway::config::Redis as Settings;
use perijove_tests::redis::Redis;
use perijove_tests::wait::until;

use crate::scene::{Scene, at, balance, key};

const NOW: Slot = Slot(7);

/// Answers hold for the slot they were read at.
const ONE: Option<u64> = Some(1);

fn waiting(redis: &Redis, time: Duration) -> Settings {
    Settings {
        wait_for_others: time,
        // What is sent first is done first.
        connections: 1,
        ..at(&redis.url())
    }
}

/// Two gateways that wait for each other.
async fn two(redis: &Redis, time: Duration) -> (Scene, Scene) {
    let settings = waiting(redis, time);
    (
        Scene::connected(&settings).await,
        Scene::connected(&settings).await,
    )
}

async fn is_taken(scene: &Scene, key: CacheKey, slot: Slot) -> bool {
    matches!(scene.remote.claim(key, slot, ONE).await, Claimed::Taken(_))
}

/// Claims until it succeeds.
async fn until_free(scene: &Scene, key: CacheKey) {
    until("the claim to be free", || async {
        (!is_taken(scene, key, NOW).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_one_fetches_the_other_waits_for() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_mins(1)).await;
    let Claimed::Mine(claim) = one.remote.claim(key(1), NOW, ONE).await else {
        panic!("nobody else wants it");
    };
    let Claimed::Taken(mut awaited) = other.remote.claim(key(1), NOW, ONE).await else {
        panic!("it is taken");
    };
    assert!(awaited.next().await, "it may still come");
    one.store(key(1), &balance(7)).await;
    claim.kept();
    assert!(awaited.next().await, "the claim stands");
    assert_eq!(other.get(key(1)).await, Some(balance(7)));
    awaited.found();
    let counted = |scene: &Scene, outcome| {
        scene.count("perijove_redis_claims_total", &[("outcome", outcome)])
    };
    assert_eq!((counted(&one, "mine"), counted(&other, "found")), (1, 1));
}

#[tokio::test]
async fn other_calls_are_not_waited_for() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_mins(1)).await;
    let claim = one.remote.claim(key(1), NOW, ONE).await;
    assert!(!is_taken(&other, key(2), NOW).await);
    assert!(is_taken(&other, key(1), NOW).await);
    drop(claim);
}

#[tokio::test]
async fn an_answer_that_will_not_hold_is_not_waited_for() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_mins(1)).await;
    let table = [
        (ONE, Slot(6), true),
        (ONE, Slot(7), true),
        (ONE, Slot(8), false),
        (Some(4), Slot(10), true),
        (Some(4), Slot(11), false),
        (None, Slot(1_000_000), true),
    ];
    for (number, (slots, later, waits)) in (0..).zip(table) {
        let claim = one.remote.claim(key(number), NOW, slots).await;
        let second = other.remote.claim(key(number), later, slots).await;
        assert_eq!(
            matches!(second, Claimed::Taken(_)),
            waits,
            "{slots:?} {later:?}"
        );
        drop(claim);
    }
}

#[tokio::test]
async fn who_gives_up_is_not_waited_for_any_longer() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_mins(1)).await;
    let claim = one.remote.claim(key(1), NOW, ONE).await;
    let Claimed::Taken(mut awaited) = other.remote.claim(key(1), NOW, ONE).await else {
        panic!("it is taken");
    };
    drop(claim);
    while awaited.next().await {}
    let in_vain = other.count("perijove_redis_claims_total", &[("outcome", "in_vain")]);
    assert_eq!(in_vain, 1);
    until_free(&other, key(1)).await;
}

#[tokio::test]
async fn who_has_died_is_waited_for_no_longer_than_configured() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_secs(3)).await;
    let Claimed::Mine(claim) = one.remote.claim(key(1), NOW, ONE).await else {
        panic!("nobody else wants it");
    };
    // As if it had been killed: it never says that it gives up.
    claim.kept();
    let Claimed::Taken(mut awaited) = other.remote.claim(key(1), NOW, ONE).await else {
        panic!("it is taken");
    };
    while awaited.next().await {}
    until_free(&other, key(1)).await;
}

#[tokio::test]
async fn nobody_takes_back_what_another_has_claimed_since() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis, Duration::from_mins(1)).await;
    let first = one.remote.claim(key(1), NOW, ONE).await;
    let name = redis.keys().await.remove(0);
    // Its time is over, and the other is faster.
    redis.ask::<i64>(&["DEL", &name]).await;
    let second = other.remote.claim(key(1), NOW, ONE).await;
    assert!(matches!(second, Claimed::Mine(_)));
    drop(first);
    // Released after the first.
    drop(one.remote.claim(key(2), NOW, ONE).await);
    until_free(&one, key(2)).await;
    assert!(is_taken(&one, key(1), NOW).await);
}

#[tokio::test]
async fn without_redis_or_without_the_wish_nobody_waits() {
    let redis = Redis::start().await;
    let unwilling = Scene::connected(&at(&redis.url())).await;
    let claimed = unwilling.remote.claim(key(1), NOW, ONE).await;
    assert!(matches!(claimed, Claimed::Unknown));
    assert!(redis.keys().await.is_empty());
    let nowhere = Scene::start(&Settings {
        wait_for_others: Duration::from_mins(1),
        ..at("redis://127.0.0.1:1")
    });
    let claimed = nowhere.remote.claim(key(1), NOW, ONE).await;
    assert!(matches!(claimed, Claimed::Unknown));
}
