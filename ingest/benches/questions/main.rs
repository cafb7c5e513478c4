//! What each index of `dex_trades` costs and what it gives: PostgreSQL's time for storing a trade, bytes a trade, and
//! how long the questions of traders take. Prints Markdown. `--trades N` for another number than 300 000.
//!
//! Rows are copied within one PostgreSQL of its own, in batches as the program has them, so neither the program nor its
//! build matters. What counts is the CPU time of the server's process, and of the questions the best of some: both say
//! something on a machine that others use as well.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark fails by panicking, and counts little"
)]

use std::fs;
use std::time::Duration;

use perijove_core::Pubkey;
use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::decode::{Encoding, Kind, Limits, decode};
use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::project::{Trade, project};
use perijove_ingest::sink::database::{Database, RowBatch};
use perijove_tests::postgres::Postgres;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row};
use tokio::time::Instant;

/// Trades of one batch, as the program's default is.
const TOGETHER: usize = 1000;

/// How often a question is asked; the shortest counts.
const TIMES: usize = 9;

/// As durable as by default, with room as anybody gives who has a database of their own.
const POSTGRES: [&str; 6] = [
    "-c",
    "shared_buffers=1GB",
    "-c",
    "max_wal_size=8GB",
    "-c",
    "checkpoint_timeout=15min",
];

/// Indexes beside the primary key and the BRIN index of batches.
const VARIANTS: [(&str, &[&str]); 10] = [
    ("none", &[]),
    (
        "the first version's: pair and time, BRIN of time",
        &["(base, quote, time)", BRIN],
    ),
    ("base and time", &["(base, time)"]),
    ("time", &["(time)"]),
    ("market and time", &["(market, time)"]),
    ("trader and time", &["(trader, time)"]),
    ("hash of signature", &["USING hash (signature)"]),
    ("hash of market", &["USING hash (market)"]),
    (
        "**the schema's**: base, market and trader with time, hash of signature, time",
        &[
            "(base, time)",
            "(market, time)",
            "(trader, time)",
            "USING hash (signature)",
            "(time)",
        ],
    ),
    (
        "base with time, time, Bloom filters (BRIN) of market, trader, signature",
        &["(base, time)", "(time)", BLOOM],
    ),
];

const BRIN: &str = "USING brin (time) WITH (pages_per_range = 32)";
const BLOOM: &str = "USING brin (market bytea_bloom_ops, trader bytea_bloom_ops, signature bytea_bloom_ops) \
                     WITH (pages_per_range = 32)";

/// A name, and the condition.
const QUESTIONS: [(&str, &str); 5] = [
    ("token", "base = $1 ORDER BY time DESC LIMIT 20"),
    ("pool", "market = $2 ORDER BY time DESC LIMIT 20"),
    ("trader", "trader = $3 ORDER BY time DESC LIMIT 20"),
    ("signature", "signature = $4"),
    ("newest", "time = (SELECT max(time) FROM dex_trades)"),
];

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let place = words.iter().position(|word| word == "--trades");
    let trades = place.map_or(300_000, |place| words[place + 1].parse().expect("a number"));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{trades} trades, {cores} cores, load before {}\n",
        load.split(' ').next().unwrap_or_default()
    );
    let names = QUESTIONS.map(|(name, _)| name).join(" | ");
    println!("| indexes | µs a trade | trades/s | bytes a trade, all | indexes alone | {names} |");
    println!(
        "|---|---:|---:|---:|---:|{}",
        "---:|".repeat(QUESTIONS.len())
    );
    let made = made(trades);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let postgres = Postgres::alone(&POSTGRES).await;
        let pool = stage(&postgres, &made).await;
        for (name, indexes) in VARIANTS {
            measure(&pool, name, indexes, &made).await;
        }
    });
}

/// A stream with as many tokens and traders as to make a difference.
fn made(count: usize) -> Vec<Trade> {
    let plan = Plan {
        pairs: 3000,
        ballast: 0,
        duplicates: 0.0,
        ..Plan::default()
    };
    let mut trades: Vec<Trade> = Vec::with_capacity(count);
    let mut random = fastrand::Rng::with_seed(1);
    for record in Generator::new(plan) {
        let payload = record.payload.as_ref();
        let message = decode(Kind::Trades, Encoding::Auto, payload, &Limits::default()).unwrap();
        for mut trade in project(message, record.timestamp.unwrap()).trades {
            // A hundred thousand, some of them busy.
            let (one, other) = (random.f64(), random.f64());
            let number = (one * other * 1e5) as u32;
            let mut key = [7; 32];
            key[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
            trade.trader = Some(Pubkey(key));
            trades.push(trade);
        }
        if trades.len() >= count {
            break;
        }
    }
    trades.truncate(count);
    trades
}

/// Stores all trades once, without indexes, and keeps them in a table to copy them from.
async fn stage(postgres: &Postgres, trades: &[Trade]) -> PgPool {
    let settings = config::Database {
        url: StoreUrl::parse(&postgres.url(), &["postgres"]).unwrap(),
        ..config::Database::default()
    };
    let database = Database::open(&settings).await.unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&postgres.url())
        .await
        .unwrap();
    let known: Vec<String> = sqlx::query_scalar(
        "SELECT i.relname::text FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
         WHERE x.indrelid = 'dex_trades'::regclass AND NOT x.indisprimary
             AND i.relname <> 'dex_trades_by_batch'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    for index in known {
        run(&pool, &format!("DROP INDEX {index}")).await;
    }
    let mut lane = database.claim("bench", "bench", 0).await.unwrap();
    for trades in trades.chunks(TOGETHER) {
        let batch = RowBatch {
            trades: trades.to_vec(),
            ..RowBatch::default()
        };
        database.commit(&mut lane, &batch).await.unwrap();
    }
    run(
        &pool,
        "CREATE UNLOGGED TABLE staged AS SELECT t.*, row_number() OVER (ORDER BY slot, transaction_index) - 1 AS place
         FROM dex_trades t",
    )
    .await;
    run(&pool, "CREATE INDEX ON staged (place)").await;
    run(&pool, "ANALYZE staged").await;
    pool
}

async fn measure(pool: &PgPool, name: &str, indexes: &[&str], trades: &[Trade]) {
    run(pool, "TRUNCATE dex_trades").await;
    for (number, index) in indexes.iter().enumerate() {
        let index = format!("CREATE INDEX bench_{number} ON dex_trades {index}");
        run(pool, &index).await;
    }
    let columns: String = sqlx::query_scalar(
        "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
         WHERE attrelid = 'dex_trades'::regclass AND attnum > 0 AND NOT attisdropped",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(pool)
        .await
        .unwrap();
    run(pool, "CHECKPOINT").await;
    let (before, begun) = (cpu(pid), Instant::now());
    for first in (0..trades.len()).step_by(TOGETHER) {
        let end = first + TOGETHER;
        run(
            pool,
            &format!(
                "INSERT INTO dex_trades ({columns}) SELECT {columns} FROM staged
                 WHERE place >= {first} AND place < {end} ON CONFLICT DO NOTHING"
            ),
        )
        .await;
    }
    let (used, took) = (cpu(pid) - before, begun.elapsed().as_secs_f64());
    run(pool, "VACUUM ANALYZE dex_trades").await;
    let (all, of_indexes): (i64, i64) = sqlx::query_as(
        "SELECT sum(pg_total_relation_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint
         FROM pg_inherits WHERE inhparent = 'dex_trades'::regclass",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    let count = trades.len() as f64;
    let of_pools = |trade: &&Trade| trade.market.is_some();
    let asked = trades[trades.len() / 3..].iter().find(of_pools).unwrap();
    let mut answers = Vec::new();
    for (_, question) in QUESTIONS {
        let seconds = ask(pool, question, asked).await.as_secs_f64();
        answers.push(format!("{:.1} ms", seconds * 1e3));
    }
    println!(
        "| {name} | {:.1} | {:.0} | {:.0} | {:.0} | {} |",
        used / count * 1e6,
        count / took,
        all as f64 / count,
        of_indexes as f64 / count,
        answers.join(" | ")
    );
    for number in 0..indexes.len() {
        run(pool, &format!("DROP INDEX bench_{number}")).await;
    }
}

/// Seconds that a process has computed.
fn cpu(pid: i32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

async fn ask(pool: &PgPool, question: &str, of: &Trade) -> Duration {
    let keys = [
        of.pair.base.0.to_vec(),
        of.market.unwrap().0.to_vec(),
        of.trader.unwrap().0.to_vec(),
        of.origin.signature.0.to_vec(),
    ];
    let mut text = format!("SELECT * FROM dex_trades WHERE {question}");
    for (number, key) in keys.iter().enumerate() {
        let hex = hex::encode(key);
        text = text.replace(&format!("${}", number + 1), &format!("'\\x{hex}'::bytea"));
    }
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let rows = sqlx::query(AssertSqlSafe(text.clone()))
            .fetch_all(pool)
            .await;
        assert!(!rows.unwrap()[0].is_empty());
        times.push(begun.elapsed());
    }
    times.into_iter().min().unwrap()
}

async fn run(pool: &PgPool, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(pool)
        .await
        .unwrap();
}
