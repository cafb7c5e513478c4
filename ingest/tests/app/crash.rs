//! Everything dies, again and again and at random moments, while messages keep coming. In the end
//! every trade is in the database once, every poison message among the dead letters once, and Redis
//! is what the database comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_ingest::generator::{Generator, Plan};
use perijove_tests::wait::until_within;
use sqlx::postgres::PgPool;
use tokio::time::{sleep, timeout};

use crate::messages::{Ledger, Name, plan};
use crate::program::{PATIENCE, Program};
use crate::world::{PARTITIONS, World};

/// What is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// SIGKILL for the first member, which comes back, under the same name if it has one.
    KillFirst,
    /// SIGKILL for the second member, whose partitions go to the first; or it joins.
    KillSecond,
    /// The second member joins, or leaves in good order.
    JoinOrLeave,
    /// The database is killed and comes back; the first member may be killed meanwhile.
    Database,
    /// Redis is killed and comes back empty.
    Redis,
    /// Redis hangs for longer than anybody waits for it.
    RedisHangs,
}

const DEEDS: [(Deed, usize); 6] = [
    (Deed::KillFirst, 20),
    (Deed::KillSecond, 8),
    (Deed::JoinOrLeave, 6),
    (Deed::Database, 4),
    (Deed::Redis, 3),
    (Deed::RedisHangs, 2),
];

const LEAST_KILLS: usize = 20;

/// Messages that are sent together, and how often.
const TOGETHER: usize = 6;
const EVERY: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_trade_is_stored_exactly_once_whatever_dies() {
    let seed = std::env::var("PERIJOVE_SEED").map_or_else(
        |_| fastrand::u64(0..1_000_000),
        |seed| seed.parse().expect("PERIJOVE_SEED is a number"),
    );
    eprintln!("PERIJOVE_SEED={seed} does the same again, as far as machines do");
    let mut scene = Scene::set(seed).await;
    let fed = feed(&scene.world, seed);
    let mut deeds: Vec<Deed> = DEEDS
        .iter()
        .flat_map(|&(deed, times)| std::iter::repeat_n(deed, times))
        .collect();
    scene.random.shuffle(&mut deeds);
    for deed in deeds {
        scene.some_work().await;
        scene.perform(deed).await;
    }
    let ledger = fed.end().await;
    let (kills, at_work) = (scene.kills, scene.kills_at_work);
    let (world, pool) = scene.end(&ledger).await;
    let claims: i64 = sqlx::query_scalar("SELECT sum(epoch)::bigint FROM kafka_offsets")
        .fetch_one(&pool)
        .await
        .unwrap();
    eprintln!(
        "{kills} kills, {at_work} of them amid work; {claims} claims of partitions; {} messages",
        ledger.len()
    );
    assert!(kills >= LEAST_KILLS, "{kills}");
    assert!(at_work >= LEAST_KILLS / 3, "{at_work}");
    compare(&world, &pool, &ledger).await;
}

/// The world, and the two members of the group in it.
struct Scene {
    // Dropped first: when the test fails, what they have logged is shown, which is in the world's folder.
    first: Program,
    second: Option<Program>,
    world: World,
    pool: PgPool,
    random: fastrand::Rng,
    kills: usize,
    /// Those that came after something was stored.
    kills_at_work: usize,
    worked: bool,
}

impl Scene {
    async fn set(seed: u64) -> Self {
        // By turns: members with names, whose partitions wait for them, and members without.
        let world = World::with(seed.is_multiple_of(2)).await;
        let pool = world.pool().await;
        let first = world.program(Some("first"));
        until_within(PATIENCE, "tables", || async {
            count_attempts(&pool).await.ok()
        })
        .await;
        Self {
            first,
            second: None,
            world,
            pool,
            random: fastrand::Rng::with_seed(seed),
            kills: 0,
            kills_at_work: 0,
            worked: false,
        }
    }

    async fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::KillFirst => self.kill_first().await,
            Deed::KillSecond => {
                if let Some(mut second) = self.second.take() {
                    self.count(second.kill().await);
                }
                self.second = Some(self.world.program(None));
            }
            Deed::JoinOrLeave => match self.second.take() {
                Some(second) => second.leave().await,
                None => self.second = Some(self.world.program(None)),
            },
            Deed::Database => {
                self.world.postgres.kill().await;
                self.moment(1500).await;
                if self.random.bool() {
                    self.kill_first().await;
                    self.moment(500).await;
                }
                self.world.postgres.restart().await;
            }
            Deed::Redis => {
                self.world.redis.kill().await;
                self.moment(800).await;
                self.world.redis.restart().await;
            }
            Deed::RedisHangs => {
                self.world.redis.pause();
                self.moment(2500).await;
                self.world.redis.resume();
            }
        }
    }

    async fn kill_first(&mut self) {
        let ran = self.first.kill().await;
        self.count(ran);
        self.first = self.world.program(Some("first"));
    }

    fn count(&mut self, killed: bool) {
        self.kills += usize::from(killed);
        self.kills_at_work += usize::from(killed && self.worked);
    }

    /// Mostly waits until something was stored, and then until a random moment.
    async fn some_work(&mut self) {
        self.worked = false;
        if self.random.u8(0..4) > 0 {
            let (world, pool) = (&self.world, &self.pool);
            let before = world.stored(pool).await.unwrap_or_default();
            let work = async {
                while world.stored(pool).await.unwrap_or_default() == before {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            self.worked = timeout(Duration::from_secs(5), work).await.is_ok();
        }
        self.moment(400).await;
    }

    /// Passes some time. Moments are what is random here; nothing is expected of how long they are.
    async fn moment(&mut self, most: u64) {
        sleep(Duration::from_millis(self.random.u64(0..most))).await;
    }

    /// Lets the members write what there is, and leave.
    async fn end(self, ledger: &Ledger) -> (World, PgPool) {
        self.world.all_stored(&self.pool, ledger).await;
        // What is not in Redis when a member has to end, the next one brings there.
        self.world.until_redis_equals_the_database().await;
        self.first.leave().await;
        if let Some(second) = self.second {
            second.leave().await;
        }
        (self.world, self.pool)
    }
}

/// Notes every attempt to store a trade that is part of a committed transaction, those that the
/// unique key turns away as well: so a batch that is committed twice shows.
async fn count_attempts(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(
        "CREATE TABLE attempts (slot bigint, signature bytea, instruction bigint, ordinal bigint);
         CREATE FUNCTION note_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO attempts VALUES (NEW.slot, NEW.signature, NEW.instruction, NEW.ordinal);
             RETURN NEW;
         END $$;
         CREATE TRIGGER note_attempt BEFORE INSERT ON dex_trades
             FOR EACH ROW EXECUTE FUNCTION note_attempt();",
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Messages that keep coming.
struct Feed {
    enough: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Ledger>,
}

fn feed(world: &World, seed: u64) -> Feed {
    let (producer, enough) = (world.kafka.producer(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&enough);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut records = Generator::new(Plan {
        poison: 0.06,
        ..plan(seed)
    });
    let task = tokio::spawn(async move {
        let mut ledger = Ledger::default();
        while !stop.load(Ordering::Relaxed) {
            let mut some: Vec<_> = records.by_ref().take(TOGETHER).collect();
            if random.u8(0..4) == 0 {
                // The same once more by another partition: then two lanes want to store it.
                let mut again = some[0].clone();
                again.place.partition = (again.place.partition + 1) % PARTITIONS;
                some.push(again);
            }
            if random.u8(0..20) == 0 {
                some[1].payload = None;
            }
            ledger.send(&producer, some).await;
            sleep(EVERY).await;
        }
        ledger
    });
    Feed { enough, task }
}

impl Feed {
    async fn end(self) -> Ledger {
        self.enough.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn compare(world: &World, pool: &PgPool, ledger: &Ledger) {
    let expected = ledger.trades();
    assert!(expected.len() > 2000, "{}", expected.len());
    let rows: Vec<Name> =
        sqlx::query_as("SELECT slot, signature, instruction, ordinal FROM dex_trades")
            .fetch_all(pool)
            .await
            .unwrap();
    let stored: BTreeSet<&Name> = rows.iter().collect();
    let expected_names: BTreeSet<&Name> = expected.keys().collect();
    let missing = expected_names.difference(&stored).count();
    let invented = stored.difference(&expected_names).count();
    assert_eq!((missing, invented), (0, 0), "missing, invented");
    assert_eq!(rows.len(), expected.len());

    let attempts: Vec<(i64, Vec<u8>, i64, i64, i64)> = sqlx::query_as(
        "SELECT slot, signature, instruction, ordinal, count(*) FROM attempts GROUP BY 1, 2, 3, 4",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let attempts: BTreeMap<Name, i64> = attempts
        .into_iter()
        .map(|(slot, signature, instruction, ordinal, count)| {
            ((slot, signature, instruction, ordinal), count)
        })
        .collect();
    let wrong = expected
        .iter()
        .filter(|(name, times)| attempts.get(name) != Some(times));
    assert_eq!(wrong.count(), 0, "messages were committed twice");

    let letters: Vec<(i32, i64)> =
        sqlx::query_as("SELECT partition, kafka_offset FROM dead_letters")
            .fetch_all(pool)
            .await
            .unwrap();
    let poison = ledger.poison();
    assert!(poison.len() > 20, "{}", poison.len());
    assert_eq!(letters.len(), poison.len());
    assert_eq!(BTreeSet::from_iter(letters), poison);

    let keys = world.redis_equals_the_database().await;
    assert!(keys > 100, "{keys}");
    eprintln!(
        "{} trades, {} dead letters, {keys} keys in Redis",
        expected.len(),
        poison.len()
    );
}
