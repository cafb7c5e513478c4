//! Partitions that nobody reads are told by those who read the others, and by their owner when it is the
//! broker that is silent.

use perijove_ingest::generator::Generator;
use perijove_tests::wait::until_within;
use serde_json::json;
use tokio::time::timeout;

use crate::frozen::share;
use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program};
use crate::world::{PARTITIONS, World};

/// The group waits for somebody who is gone for longer than it takes to tell it.
fn patient(settings: &str) -> String {
    settings
        .replace("session_timeout: 3s", "session_timeout: 45s")
        .replace("max_poll_interval: 10s", "max_poll_interval: 60s")
}

async fn told_unread(program: &Program) -> usize {
    let health = program.health().await;
    let unread = health["unread_partitions"].as_array().unwrap().len();
    assert!(health["status"] == "degraded" || unread == 0, "{health}");
    unread
}

async fn counted_unread(program: &Program) -> i32 {
    let metrics = program.metrics().await;
    assert!(metrics.has("kafka_unread_partitions"));
    metrics.sum("kafka_unread_partitions", &[]) as i32
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_process_that_was_killed_are_told_until_another_has_them() {
    let world = World::start().await;
    let one = world.program_as("one", |settings| patient(&settings));
    let mut other = world.program_as("other", |settings| patient(&settings));
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    let producer = world.kafka.producer();
    let half = PARTITIONS / 2;
    share([(&one, half), (&other, half)]).await;
    let mut stream = Generator::new(plan(51));
    ledger
        .send(&producer, stream.by_ref().take(100).collect())
        .await;
    world.all_stored(&pool, &ledger).await;
    assert_eq!(told_unread(&one).await, 0);

    other.kill().await;
    timeout(PATIENCE, async {
        while counted_unread(&one).await != half {
            let some = stream.by_ref().take(8).collect();
            ledger.send(&producer, some).await;
        }
    })
    .await
    .expect("it tells that nobody reads the partitions of the other");
    let health = one.health().await;
    assert_eq!(health["partitions"], json!(half), "{health}");
    assert_eq!(told_unread(&one).await, usize::try_from(half).unwrap());

    one.healthy_when("all partitions", |health| {
        health["partitions"] == json!(PARTITIONS) && health["status"] == "healthy"
    })
    .await;
    world.all_stored(&pool, &ledger).await;
    assert_eq!(counted_unread(&one).await, 0);
    one.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_broker_that_hangs_are_told_by_their_owner() {
    let mut world = World::start().await;
    let program = world.program_as("one", |settings| patient(&settings));
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    let producer = world.kafka.producer();
    let mut stream = Generator::new(plan(52));
    ledger
        .send(&producer, stream.by_ref().take(60).collect())
        .await;
    world.all_stored(&pool, &ledger).await;

    world.kafka.freeze(0);
    until_within(PATIENCE, "all of its partitions to be told", || async {
        (counted_unread(&program).await == PARTITIONS).then_some(())
    })
    .await;
    assert_eq!(
        told_unread(&program).await,
        usize::try_from(PARTITIONS).unwrap()
    );
    world.kafka.wake(0);
    program
        .healthy_when("health", |health| health["status"] == "healthy")
        .await;
    ledger
        .send(&producer, stream.by_ref().take(60).collect())
        .await;
    world.all_stored(&pool, &ledger).await;
    assert_eq!(counted_unread(&program).await, 0);
    program.leave().await;
}
