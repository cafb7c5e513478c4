//! Prices made by several processes that read different partitions: the same as if one had read
//! all of them, and written by one.

use perijove_core::market::{Amount, Pair, USDC, USDT, WSOL};
use perijove_core::{Pubkey, Signature, Slot};
use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::project::{Dex, Extensions, Origin, Side, Trade};
use perijove_ingest::record::UnixMillis;
use perijove_ingest::sink::database::{Database, Lane, RowBatch};
use perijove_ingest::sink::market::{PriceOracle, Published, RedisConnection};
use perijove_tests::redis::Redis;
use perijove_tests::wait::PATIENCE;

use crate::scene::{on_both, open};

const TOKEN: Pubkey = Pubkey([0xA0; 32]);
const START: i64 = 1_763_741_000_000;
const SLOT: u64 = 380_000_000;

fn connection(redis: &Redis) -> RedisConnection {
    let url = StoreUrl::parse(&redis.url(), &["redis"]).unwrap();
    let patient = config::Redis {
        connect: PATIENCE,
        timeout: PATIENCE,
        ..config::Redis::at(url)
    };
    RedisConnection::new(&patient).unwrap()
}

/// By the database's clock: so are its batches numbered.
async fn now(database: &Database) -> UnixMillis {
    let mut lane = database.claim("clock", "topic", 0).await.unwrap();
    let committed = database.commit(&mut lane, &RowBatch::default()).await;
    UnixMillis(committed.unwrap().batch)
}

const fn time(slot: u64) -> UnixMillis {
    UnixMillis(START + 400 * slot.cast_signed())
}

fn side(mint: Pubkey, amount: f64) -> Side {
    let decimals = if mint == WSOL { 9 } else { 6 };
    Side {
        mint,
        symbol: String::new(),
        amount: Amount {
            raw: (amount * 10_f64.powi(decimals)) as u64,
            decimals: Some(decimals as u8),
        },
        account: None,
        owner: None,
        usd: None,
        unit_usd: None,
        extensions: Extensions::default(),
    }
}

/// A trade of so many dollars in a slot.
fn trade(
    slot: u64,
    pool: u8,
    (base, quote): (Pubkey, Pubkey),
    price: f64,
    usd: f64,
    buy: bool,
) -> Trade {
    let (base_side, quote_side) = (side(base, usd / price), side(quote, usd));
    let (bought, sold) = if buy {
        (base_side, quote_side)
    } else {
        (quote_side, base_side)
    };
    let mut signature = [pool; 64];
    signature[..8].copy_from_slice(&slot.to_be_bytes());
    Trade {
        origin: Origin {
            slot: Slot(SLOT + slot),
            index: pool.into(),
            signature: Signature(signature),
            block_time: Some(time(slot)),
            recorded: time(slot),
        },
        instruction: 0,
        ordinal: 0,
        dex: Dex::default(),
        market: Some(Pubkey([pool; 32])),
        trader: None,
        bought,
        sold,
        pair: Pair { base, quote },
        price: None,
        jupiter: false,
    }
}

/// A process with its partition.
struct Process {
    oracle: PriceOracle,
    lane: Lane,
    redis: RedisConnection,
    batch: RowBatch,
}

impl Process {
    async fn start(database: &Database, redis: &Redis, partition: i32) -> Self {
        Self {
            oracle: PriceOracle::default(),
            lane: database.claim("group", "topic", partition).await.unwrap(),
            redis: connection(redis),
            batch: RowBatch::default(),
        }
    }

    async fn store(&mut self, database: &Database, now: UnixMillis) {
        let batch = std::mem::take(&mut self.batch);
        let committed = database.commit(&mut self.lane, &batch).await.unwrap();
        self.oracle.add(self.lane.id, &committed, now);
    }

    async fn tell(&mut self, database: &Database, now: UnixMillis) -> Published {
        self.oracle.follow(database, now).await.unwrap();
        self.oracle.publish(&mut self.redis, now).await.unwrap()
    }
}

/// What Redis holds of the token's price.
async fn told(redis: &Redis) -> Option<f64> {
    let found = connection(redis).prices(&[TOKEN]).await.unwrap();
    found.get(&TOKEN).map(|price| price.usd)
}

async fn a_wash_trade_between_partitions_moves_nothing(settings: config::Database) {
    let redis = Redis::start().await;
    let database = open(&settings).await;
    let mut two = [
        Process::start(&database, &redis, 0).await,
        Process::start(&database, &redis, 1).await,
    ];
    for slot in 0..1_000_u64 {
        let process = usize::from(slot % 2 == 1);
        let trades = &mut two[process].batch.trades;
        let (buy, noise) = (slot % 6 < 4, 40.0 * (slot % 7) as f64);
        trades.push(trade(slot, 1, (WSOL, USDC), 150.0, 400.0 + noise, buy));
        trades.push(trade(slot, 2, (USDT, USDC), 1.0, 400.0, !buy));
        trades.push(trade(slot, 3, (TOKEN, USDC), 2.0, 400.0 + noise, buy));
        // A thousand dollars to and fro, so that each partition has only one half of it.
        let lie = if slot < 800 { 2.0 } else { 2.4 };
        trades.push(trade(slot, 4, (TOKEN, USDC), lie, 1_000.0, slot % 2 == 0));
        if slot % 10 == 9 {
            let now = time(slot);
            let mut writers = 0;
            for process in &mut two {
                process.store(&database, now).await;
            }
            for process in &mut two {
                writers += u32::from(process.tell(&database, now).await.writes);
            }
            assert_eq!(writers, 1, "one of them writes");
            if slot > 100 {
                let price = told(&redis).await.unwrap();
                assert!((price / 2.0 - 1.0).abs() < 0.01, "{slot}: {price}");
            }
        }
    }
}

async fn another_process_takes_over_with_the_prices_of_all(settings: config::Database) {
    let redis = Redis::start().await;
    let database = open(&settings).await;
    let mut first = Process::start(&database, &redis, 0).await;
    for slot in 0..200 {
        let trades = &mut first.batch.trades;
        trades.push(trade(slot, 1, (WSOL, USDC), 150.0, 400.0, slot % 3 == 0));
        trades.push(trade(slot, 3, (TOKEN, USDC), 2.0, 400.0, slot % 3 == 0));
        if slot % 10 == 9 {
            first.store(&database, time(slot)).await;
        }
    }
    let now = time(200);
    assert!(first.tell(&database, now).await.prices >= 2);
    // One that was started meanwhile, and has stored nothing itself.
    let mut second = Process::start(&database, &redis, 1).await;
    let published = second.tell(&database, now).await;
    assert_eq!(published, Published::default(), "the first one writes");
    first.oracle.resign(&mut first.redis).await.unwrap();
    let published = second.tell(&database, now).await;
    assert!(published.writes && published.prices >= 2, "{published:?}");
    assert!((told(&redis).await.unwrap() / 2.0 - 1.0).abs() < 0.01);

    // What the first one stores, the second one tells.
    for slot in 201..300 {
        let trades = &mut first.batch.trades;
        trades.push(trade(slot, 1, (WSOL, USDC), 150.0, 400.0, slot % 3 == 0));
        trades.push(trade(slot, 3, (TOKEN, USDC), 2.2, 400.0, slot % 3 == 0));
        if slot % 10 == 9 {
            first.store(&database, time(slot)).await;
            assert!(!first.tell(&database, time(slot)).await.writes);
            second.tell(&database, time(slot)).await;
        }
    }
    second.tell(&database, time(300)).await;
    assert!((told(&redis).await.unwrap() / 2.2 - 1.0).abs() < 0.01);

    // One that has not seen the others' trades for long writes nothing.
    let later = UnixMillis(time(300).0 + 60_000);
    let blind = second.oracle.publish(&mut second.redis, later).await;
    assert_eq!(blind.unwrap(), Published::default());
}

async fn execute(settings: &config::Database, statement: &'static str) {
    let url = settings.url.expose().to_string();
    if settings.is_sqlite() {
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
    } else {
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
}

async fn what_could_not_be_read_at_the_start_is_read_later(settings: config::Database) {
    let redis = Redis::start().await;
    let database = open(&settings).await;
    let mut first = Process::start(&database, &redis, 0).await;
    for slot in 0..200 {
        let trades = &mut first.batch.trades;
        trades.push(trade(slot, 1, (WSOL, USDC), 150.0, 400.0, slot % 3 == 0));
        trades.push(trade(slot, 3, (TOKEN, USDC), 2.0, 400.0, slot % 3 == 0));
    }
    first.store(&database, time(200)).await;
    let mut second = Process::start(&database, &redis, 1).await;
    execute(&settings, "ALTER TABLE dex_trades RENAME TO away").await;
    for _ in 0..2 {
        let failed = second.oracle.follow(&database, time(200)).await;
        assert!(failed.is_err());
        let told = second.oracle.publish(&mut second.redis, time(200)).await;
        assert_eq!(told.unwrap(), Published::default(), "it knows nothing");
    }
    execute(&settings, "ALTER TABLE away RENAME TO dex_trades").await;
    let published = second.tell(&database, time(200)).await;
    assert!(published.writes && published.prices >= 2, "{published:?}");
    assert!((told(&redis).await.unwrap() / 2.0 - 1.0).abs() < 0.01);
}

/// A token that is traded once in a while has a price as soon as it is traded after a restart.
async fn decimals_are_known_from_what_was_stored_long_ago(settings: config::Database) {
    let redis = Redis::start().await;
    let database = open(&settings).await;
    // What a process reads at its start is what was stored lately by the clock.
    let began = now(&database).await;
    let at = |slot: u64| UnixMillis(began.0 + 400 * slot.cast_signed());
    let mut before = Process::start(&database, &redis, 0).await;
    for slot in 0..5 {
        let mut trade = trade(slot, 3, (TOKEN, USDC), 2.0, 400.0, slot % 2 == 0);
        (trade.origin.block_time, trade.origin.recorded) = (Some(at(slot)), at(slot));
        before.batch.trades.push(trade);
    }
    before.store(&database, at(5)).await;
    drop(before);

    let mut after = Process::start(&database, &redis, 1).await;
    for slot in 2_000..2_100 {
        let trades = &mut after.batch.trades;
        trades.push(trade(slot, 1, (WSOL, USDC), 150.0, 400.0, slot % 3 == 0));
        trades.push(trade(slot, 2, (USDT, USDC), 1.0, 400.0, slot % 3 == 0));
        if slot == 2_099 {
            trades.push(trade(slot, 3, (TOKEN, USDC), 2.0, 400.0, true));
        }
        for trade in trades.iter_mut() {
            (trade.origin.block_time, trade.origin.recorded) = (Some(at(slot)), at(slot));
        }
        after.store(&database, at(slot)).await;
    }
    after.tell(&database, at(2_100)).await;
    let found = connection(&redis).prices(&[TOKEN]).await.unwrap();
    assert_eq!(found.get(&TOKEN).map(|price| price.decimals), Some(6));
}

on_both!(
    what_could_not_be_read_at_the_start_is_read_later,
    decimals_are_known_from_what_was_stored_long_ago,
    a_wash_trade_between_partitions_moves_nothing,
    another_process_takes_over_with_the_prices_of_all,
);
