//! What is promised of Redis: it holds what the database's trades come to, whatever happened on the
//! way.

use std::collections::BTreeMap;

use futures::StreamExt;
use perijove_core::Slot;
use perijove_core::market::Pair;
use perijove_core::redis::{POOLS, PairKeys, Progress, announced, lane as lane_key};
use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::generator::Plan;
use perijove_ingest::record::{Record, UnixMillis};
use perijove_ingest::sink::database::{Database, Lane};
use perijove_ingest::sink::market::{Applied, LaneMirror, RedisConnection, audit};
use perijove_tests::redis::Redis;
use perijove_tests::wait::PATIENCE;

use crate::scene::{batch, on_postgres, on_sqlite, open, records};

fn connection(redis: &Redis) -> RedisConnection {
    let url = StoreUrl::parse(&redis.url(), &["redis"]).unwrap();
    let patient = config::Redis {
        connect: PATIENCE,
        timeout: PATIENCE,
        ..config::Redis::at(url)
    };
    RedisConnection::new(&patient).unwrap()
}

fn mirror(redis: &Redis, lane: &Lane) -> LaneMirror {
    LaneMirror::new(connection(redis), lane, || UnixMillis(1_760_000_000_000))
}

/// Redis is what the trades in the database come to, all of them.
async fn holds(database: &Database, redis: &Redis) {
    let found = audit(database, &mut connection(redis), 0).await.unwrap();
    assert_eq!(found.differences, Vec::<String>::new());
    assert!(found.compared > 20, "{}", found.compared);
}

async fn flush(redis: &Redis) {
    let client = ::redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = ::redis::cmd("FLUSHALL")
        .query_async(&mut connection)
        .await
        .unwrap();
}

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        pairs: 12,
        transactions: 6,
        duplicates: 0.2,
        ballast: 0,
        ..Plan::default()
    }
}

#[tokio::test]
async fn redis_holds_what_a_stream_comes_to() {
    let redis = Redis::start().await;
    on_postgres(async |settings| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let mut mirror = mirror(&redis, &lane);
        let records = records(plan(1), 200);
        let mut live = 0;
        for records in records.chunks(7) {
            let committed = database.commit(&mut lane, &batch(records)).await.unwrap();
            let applied = mirror.apply(&database, &committed).await.unwrap();
            live += usize::from(applied == Applied::Live);
        }
        assert_eq!(live, records.len().div_ceil(7) - 1);
        holds(&database, &redis).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_comes_again_changes_nothing() {
    let redis = Redis::start().await;
    on_sqlite(async |settings| {
        let database = open(&settings).await;
        let records = records(plan(2), 100);
        for _ in 0..2 {
            let mut lane = database.claim("group", "topic", 0).await.unwrap();
            let mut mirror = mirror(&redis, &lane);
            for records in records.chunks(9) {
                let committed = database.commit(&mut lane, &batch(records)).await.unwrap();
                mirror.apply(&database, &committed).await.unwrap();
                mirror.apply(&database, &committed).await.unwrap();
            }
            holds(&database, &redis).await;
        }
    })
    .await;
}

/// What may happen to a lane between two batches.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    /// The batch is committed, and the process dies before Redis has it.
    Crash,
    /// The process is replaced by another, and goes on for one batch.
    Zombie,
    /// The batch is left out, as when Redis is away.
    Missed,
    /// The batch is delivered a second time.
    Again,
}

/// Some lanes, each with its mirror, and one random sequence of what happens.
async fn through_thick_and_thin(database: &Database, redis: &Redis, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut partitions: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    for record in records(plan(seed), 160) {
        partitions
            .entry(record.place.partition)
            .or_default()
            .push(record);
    }
    let mut batches: Vec<(i32, Vec<Record>)> = Vec::new();
    for (partition, records) in partitions {
        let mut chunks: Vec<_> = records.chunks(random.usize(1..12)).collect();
        if seed.is_multiple_of(2) {
            random.shuffle(&mut chunks);
        }
        batches.extend(chunks.into_iter().map(|chunk| (partition, chunk.to_vec())));
    }
    // Two lanes may get the same trades: the first has them.
    let doubled = random.choice(batches.clone()).unwrap();
    batches.push((doubled.0 + 1, doubled.1));
    random.shuffle(&mut batches);

    let mut lanes: BTreeMap<i32, (Lane, LaneMirror)> = BTreeMap::new();
    for (partition, records) in batches {
        if !lanes.contains_key(&partition) {
            let lane = database.claim("group", "topic", partition).await.unwrap();
            let mirror = mirror(redis, &lane);
            lanes.insert(partition, (lane, mirror));
        }
        let (lane, keep) = lanes.get_mut(&partition).unwrap();
        let committed = database.commit(lane, &batch(&records)).await.unwrap();
        let fate = match random.u32(0..10) {
            0 => Fate::Crash,
            1 => Fate::Zombie,
            2 => Fate::Missed,
            3 => Fate::Again,
            _ => Fate::Nothing,
        };
        match fate {
            Fate::Nothing => {
                keep.apply(database, &committed).await.unwrap();
            }
            Fate::Crash => {
                *lane = database.claim("group", "topic", partition).await.unwrap();
                *keep = mirror(redis, lane);
                keep.rebuild(database, lane.batch).await.unwrap();
            }
            Fate::Zombie => {
                let mut successor = database.claim("group", "topic", partition).await.unwrap();
                let mut next = mirror(redis, &successor);
                let later = database
                    .commit(&mut successor, &batch(&records))
                    .await
                    .unwrap();
                next.apply(database, &later).await.unwrap();
                // What the one before has committed comes late.
                keep.apply(database, &committed).await.unwrap();
                (*lane, *keep) = (successor, next);
            }
            Fate::Missed => {}
            Fate::Again => {
                keep.apply(database, &committed).await.unwrap();
                let again = database.commit(lane, &batch(&records)).await.unwrap();
                keep.apply(database, &again).await.unwrap();
            }
        }
    }
    for (lane, keep) in lanes.values_mut() {
        keep.rebuild(database, lane.batch).await.unwrap();
    }
}

#[tokio::test]
async fn redis_equals_recomputation_whatever_happened_on_the_way() {
    let redis = Redis::start().await;
    for seed in 0..6 {
        flush(&redis).await;
        on_sqlite(async |settings| {
            let database = open(&settings).await;
            through_thick_and_thin(&database, &redis, seed).await;
            holds(&database, &redis).await;
        })
        .await;
    }
    for seed in 20..22 {
        flush(&redis).await;
        on_postgres(async |settings| {
            let database = open(&settings).await;
            through_thick_and_thin(&database, &redis, seed).await;
            holds(&database, &redis).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_filled_again() {
    let redis = Redis::start().await;
    on_sqlite(async |settings| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let mut mirror = mirror(&redis, &lane);
        let records = records(plan(3), 90);
        for (number, records) in records.chunks(10).enumerate() {
            let committed = database.commit(&mut lane, &batch(records)).await.unwrap();
            let applied = mirror.apply(&database, &committed).await.unwrap();
            let expected = if number % 3 == 0 {
                Applied::Rebuilt
            } else {
                Applied::Live
            };
            assert_eq!(applied, expected, "{number}");
            holds(&database, &redis).await;
            if number % 3 == 2 {
                // Under a connection that stays: nothing tells but that it is gone.
                flush(&redis).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_comes_back_is_brought_up_to_date() {
    let mut redis = Redis::start().await;
    on_sqlite(async |settings| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let mut mirror = mirror(&redis, &lane);
        let records = records(plan(4), 40);
        let committed = database
            .commit(&mut lane, &batch(&records[..20]))
            .await
            .unwrap();
        mirror.apply(&database, &committed).await.unwrap();
        redis.kill().await;
        let committed = database
            .commit(&mut lane, &batch(&records[20..]))
            .await
            .unwrap();
        mirror.apply(&database, &committed).await.unwrap_err();
        assert!(!mirror.is_in_step());
        redis.restart().await;
        mirror.rebuild(&database, lane.batch).await.unwrap();
        assert!(mirror.is_in_step());
        holds(&database, &redis).await;
    })
    .await;
}

#[tokio::test]
async fn old_trades_that_come_late_do_not_stand_there_as_the_last_ones() {
    const DAY: i64 = 86_400_000;
    let redis = Redis::start().await;
    on_sqlite(async |settings| {
        let database = open(&settings).await;
        let recent = plan(6);
        let mut lane = database.claim("group", "topic", 0).await.unwrap();
        let trades = batch(&records(recent.clone(), 40));
        let committed = database.commit(&mut lane, &trades).await.unwrap();
        let mut keep = mirror(&redis, &lane);
        keep.apply(&database, &committed).await.unwrap();
        holds(&database, &redis).await;

        // Redis has forgotten all of it, as after a day without trades.
        flush(&redis).await;
        let old = Plan {
            start: UnixMillis(recent.start.0 - 2 * DAY),
            first_slot: Slot(recent.first_slot.0 - 432_000),
            ..recent
        };
        let old = records(old, 40);
        let mut late = database.claim("replay", "topic", 0).await.unwrap();
        let mut replay = mirror(&redis, &late);
        for (records, expected) in [(&old[..20], Applied::Rebuilt), (&old[20..], Applied::Live)] {
            let trades = batch(records);
            let committed = database.commit(&mut late, &trades).await.unwrap();
            assert!(committed.ticks.len() > 10);
            let applied = replay.apply(&database, &committed).await.unwrap();
            assert_eq!(applied, expected);
        }
        let kept = redis.keys().await;
        for last in [":latest", ":trades", "pool:"] {
            let found: Vec<_> = kept.iter().filter(|key| key.contains(last)).collect();
            assert!(found.is_empty(), "{found:?}");
        }
        // Candles of hours are kept for a week.
        let hours = kept.iter().filter(|key| key.contains(":candles:1h:"));
        assert!(hours.count() > 5, "{kept:?}");
        let minutes = kept.iter().find(|key| key.contains(":candles:1m:"));
        assert_eq!(minutes, None);
    })
    .await;
}

#[tokio::test]
async fn pools_that_have_traded_are_announced_and_progress_is_noted() {
    let redis = Redis::start().await;
    on_sqlite(async |settings| {
        let database = open(&settings).await;
        let mut lane = database.claim("group", "topic", 5).await.unwrap();
        let mut mirror = mirror(&redis, &lane);
        mirror.rebuild(&database, lane.batch).await.unwrap();
        let client = ::redis::Client::open(redis.url()).unwrap();
        let mut channel = client.get_async_pubsub().await.unwrap();
        channel.subscribe(POOLS).await.unwrap();
        let committed = database
            .commit(&mut lane, &batch(&records(plan(5), 4)))
            .await
            .unwrap();
        assert_eq!(
            mirror.apply(&database, &committed).await.unwrap(),
            Applied::Live
        );
        let message = channel.on_message().next().await.unwrap();
        let told: BTreeMap<_, _> = announced(message.get_payload_bytes()).collect();
        let mut expected = BTreeMap::new();
        for tick in &committed.ticks {
            let slot = expected.entry(tick.pool).or_insert(tick.position.slot);
            *slot = tick.position.slot.max(*slot);
        }
        assert!(!expected.is_empty());
        assert_eq!(told, expected);

        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut get = ::redis::cmd("GET");
        get.arg(lane_key("group", "topic", 5));
        let text: Vec<u8> = get.query_async(&mut connection).await.unwrap();
        let progress = Progress::decode(&text).unwrap();
        assert_eq!(progress.batch, committed.batch);
        let pair: Pair = committed.ticks[0].pair;
        let mut lifetime = ::redis::cmd("PTTL");
        lifetime.arg(PairKeys::of(pair).trades());
        let lifetime: i64 = lifetime.query_async(&mut connection).await.unwrap();
        assert!(lifetime > 0, "{lifetime}");
    })
    .await;
}
