//! Block times in another unit: such a message is a dead letter, and its partition goes on.

use perijove_ingest::decode::wire;
use perijove_ingest::generator::Generator;
use perijove_ingest::record::Record;
use prost::Message as _;

use crate::messages::{Ledger, plan};
use crate::world::World;

/// The message says its block's time, which becomes a thousand times as much.
fn in_milliseconds(record: &mut Record) -> bool {
    let payload = record.payload.clone().unwrap();
    let Ok(mut message) = wire::DexParsedBlockMessage::decode(payload) else {
        return false;
    };
    let Some(header) = message.header.as_mut() else {
        return false;
    };
    if header.timestamp == 0 {
        return false;
    }
    header.timestamp *= 1_000;
    record.payload = Some(message.encode_to_vec().into());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_time_in_milliseconds_is_a_dead_letter_and_its_partition_goes_on() {
    let world = World::start().await;
    let program = world.program(None);
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    let mut records: Vec<Record> = Generator::new(plan(43)).take(120).collect();
    let odd = (40..80)
        .find(|at| in_milliseconds(&mut records[*at]))
        .unwrap();
    let partition = records[odd].place.partition;
    let after = records[odd + 1..].iter();
    assert!(
        after
            .filter(|record| record.place.partition == partition)
            .count()
            > 3
    );
    let mut honest = records.clone();
    honest.remove(odd);
    ledger.send(&world.kafka.producer(), records.clone()).await;
    world.all_stored(&pool, &ledger).await;

    let letters: Vec<(String, i32, String)> =
        sqlx::query_as("SELECT class, partition, error FROM dead_letters")
            .fetch_all(&pool)
            .await
            .unwrap();
    let [(class, place, error)] = &*letters else {
        panic!("{letters:?}");
    };
    assert_eq!((&**class, *place), ("time", partition), "{error}");
    let expected = i64::try_from(Ledger::of(honest).trades().len()).unwrap();
    let (trades, late): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE time > now() + interval '15 minutes') FROM dex_trades",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((trades, late), (expected, 0));
    let metrics = program.metrics().await;
    let counted = metrics.sum("dead_letters_total", &[("class", "time")]);
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    program.leave().await;
    world.redis_equals_the_database().await;
}
