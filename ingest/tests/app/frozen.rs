//! A process that freezes with records in its hands, and wakes when somebody else has them.

use perijove_ingest::generator::Generator;
use perijove_tests::wait::until_within;

use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program};
use crate::world::{PARTITIONS, World};

/// Waits until each has so many partitions.
pub async fn share(programs: [(&Program, i32); 2]) {
    until_within(PATIENCE, "partitions to be shared", || async {
        for (program, count) in programs {
            if program.health().await["partitions"] != count {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_wakes_when_others_have_its_partitions_stores_nothing_twice() {
    let world = World::start().await;
    let (one, other) = (world.program(Some("one")), world.program(Some("other")));
    let producer = world.kafka.producer();
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    let mut stream = Generator::new(plan(11));
    let half = PARTITIONS / 2;
    share([(&one, half), (&other, half)]).await;
    for _ in 0..3 {
        let some = stream.by_ref().take(600).collect();
        ledger.send(&producer, some).await;
        one.freeze();
        until_within(PATIENCE, "the other to have all", || async {
            let health = other.health().await;
            (health["partitions"] == PARTITIONS).then_some(())
        })
        .await;
        world.all_stored(&pool, &ledger).await;
        let some = stream.by_ref().take(50).collect();
        ledger.send(&producer, some).await;
        one.thaw();
        world.all_stored(&pool, &ledger).await;
        share([(&one, half), (&other, half)]).await;
    }
    let some = stream.by_ref().take(50).collect();
    ledger.send(&producer, some).await;
    world.all_stored(&pool, &ledger).await;
    one.leave().await;
    other.leave().await;
    let trades = sqlx::query_scalar("SELECT count(*) FROM dex_trades");
    let trades: i64 = trades.fetch_one(&pool).await.unwrap();
    assert_eq!(trades, i64::try_from(ledger.trades().len()).unwrap());
    world.redis_equals_the_database().await;
}
