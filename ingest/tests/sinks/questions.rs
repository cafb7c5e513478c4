//! What people ask the database: views.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;

use perijove_ingest::config;
use perijove_ingest::project::{Pair, Side, Trade, USDC};
use perijove_ingest::sink::database::RowBatch;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::scene::{filled, on_postgres, on_sqlite, open, server};

pub(crate) async fn file(settings: &config::Database) -> SqlitePool {
    let options = SqliteConnectOptions::from_str(settings.url.expose().as_str()).unwrap();
    SqlitePool::connect_with(options).await.unwrap()
}

/// A row of `wallet_trades`, as both databases should tell it.
type Shown = (String, String, String, String, String, String, String, bool);

/// Ten digits of a double: the databases come to it in different ways.
fn digits(number: Option<f64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| format!("{number:.9e}"))
}

fn expected(trade: &Trade) -> Shown {
    let whole = |side: &Side| {
        let decimals = side.amount.decimals?;
        Some(side.amount.raw as f64 / 10_f64.powi(decimals.into()))
    };
    let dollars = trade.pair.base == USDC || trade.pair.quote == USDC;
    (
        trade.origin.signature.to_string(),
        trade.trader.unwrap().to_string(),
        trade.bought.asset().to_string(),
        trade.sold.asset().to_string(),
        digits(whole(&trade.bought)),
        digits(whole(&trade.sold)),
        digits(trade.price.map(|price| price.to_string().parse().unwrap())),
        dollars || trade.base().usd.is_some() || trade.quote().usd.is_some(),
    )
}

/// What the trades of pools in a batch come to, each once.
pub(crate) fn all_expected(batch: &RowBatch) -> Vec<Shown> {
    let pools = batch.trades.iter().filter(|trade| trade.market.is_some());
    let mut trades: Vec<&Trade> = pools.collect();
    trades.sort_by_key(|trade| (trade.position(), trade.origin.signature));
    trades.dedup_by_key(|trade| (trade.position(), trade.origin.signature));
    let mut shown: Vec<Shown> = trades.into_iter().map(expected).collect();
    shown.sort();
    shown
}

type Row8 = (
    String,
    String,
    String,
    String,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    bool,
);

fn shown(rows: Vec<Row8>) -> Vec<Shown> {
    let mut shown: Vec<Shown> = rows
        .into_iter()
        .map(|row| {
            let (signature, wallet, bought, sold, got, gave, price, told) = row;
            let (got, gave, price) = (digits(got), digits(gave), digits(price));
            (signature, wallet, bought, sold, got, gave, price, told)
        })
        .collect();
    shown.sort();
    shown
}

/// The wallets' trades, with numbers as doubles.
fn wallets(double: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT signature_text, wallet_text, bought_text, sold_text, CAST(bought_amount AS {double}),
             CAST(sold_amount AS {double}), CAST(price AS {double}), usd IS NOT NULL FROM wallet_trades"
    ))
}

#[tokio::test]
async fn a_wallet_sees_both_sides_of_its_trades_in_postgres() {
    on_postgres(async |settings| {
        let batch = filled(&settings).await;
        let pool = server(&settings).await;
        let rows = sqlx::query_as(wallets("double precision"));
        let rows: Vec<Row8> = rows.fetch_all(&pool).await.unwrap();
        assert_eq!(shown(rows), all_expected(&batch));
    })
    .await;
}

#[tokio::test]
async fn a_wallet_sees_both_sides_of_its_trades_in_sqlite() {
    on_sqlite(async |settings| {
        let batch = filled(&settings).await;
        let pool = file(&settings).await;
        let rows: Vec<Row8> = sqlx::query_as(wallets("REAL"))
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(shown(rows), all_expected(&batch));
        // Numbers sort as numbers.
        let prices: Vec<Option<f64>> =
            sqlx::query_scalar("SELECT price FROM trades ORDER BY price")
                .fetch_all(&pool)
                .await
                .unwrap();
        assert!(prices.is_sorted_by(|one, other| {
            one.partial_cmp(other)
                .is_some_and(std::cmp::Ordering::is_le)
        }));
        // Made once: opening it again changes nothing.
        let version = || sqlx::query_scalar::<_, i64>("PRAGMA schema_version").fetch_one(&pool);
        let before = version().await.unwrap();
        open(&settings).await;
        assert_eq!(version().await.unwrap(), before);
    })
    .await;
}

/// Start of the minute, open, high, low, close, trades.
type Candle = (i64, f64, f64, f64, f64, i64);

/// The candles of the pair that is traded most, from the trades themselves.
fn candles(batch: &RowBatch) -> (Pair, Vec<Candle>) {
    let pools = batch.trades.iter().filter(|trade| trade.price.is_some());
    let mut trades: Vec<&Trade> = pools.collect();
    trades.sort_by_key(|trade| (trade.position(), trade.origin.signature));
    trades.dedup_by_key(|trade| (trade.position(), trade.origin.signature));
    let mut pairs: HashMap<Pair, usize> = HashMap::new();
    for trade in &trades {
        *pairs.entry(trade.pair).or_default() += 1;
    }
    let (pair, _) = pairs.into_iter().max_by_key(|(_, count)| *count).unwrap();
    let mut minutes: BTreeMap<i64, Candle> = BTreeMap::new();
    for trade in trades.iter().filter(|trade| trade.pair == pair) {
        let time = trade.origin.time().0;
        let price: f64 = trade.price.unwrap().to_string().parse().unwrap();
        let start = time - time % 60_000;
        let candle = minutes
            .entry(start)
            .or_insert((start, price, price, price, price, 0));
        candle.2 = candle.2.max(price);
        candle.3 = candle.3.min(price);
        candle.4 = price;
        candle.5 += 1;
    }
    (pair, minutes.into_values().collect())
}

fn assert_candles(found: &[Candle], expected: &[Candle]) {
    assert!(!expected.is_empty());
    let text = |candles: &[Candle]| {
        let one = |(start, open, high, low, close, trades): &Candle| {
            let prices = [open, high, low, close].map(|price| digits(Some(*price)));
            format!("{start} {} {trades}", prices.join(" "))
        };
        candles.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(text(found), text(expected));
}

#[tokio::test]
async fn candles_of_postgres_are_those_of_the_trades() {
    on_postgres(async |settings| {
        let (pair, expected) = candles(&filled(&settings).await);
        let pool = server(&settings).await;
        for query in [
            "SELECT (extract(epoch FROM minute) * 1000)::bigint, open::float8, high::float8, low::float8,
                 close::float8, trades FROM ohlc_minutes WHERE base = $1 AND quote = $2 ORDER BY minute",
            "SELECT (extract(epoch FROM start) * 1000)::bigint, open::float8, high::float8, low::float8,
                 close::float8, trades
             FROM ohlc($1, $2, '1 minute', '2000-01-01', 'infinity')",
        ] {
            let rows = sqlx::query_as(query).bind(pair.base.0).bind(pair.quote.0);
            let found: Vec<Candle> = rows.fetch_all(&pool).await.unwrap();
            assert_candles(&found, &expected);
        }
        let pools: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT sum(trades)::bigint FROM pool_hours), (SELECT count(*) FROM trades)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(pools.0, pools.1);
    })
    .await;
}

#[tokio::test]
async fn candles_of_sqlite_are_those_of_the_trades() {
    on_sqlite(async |settings| {
        let (pair, expected) = candles(&filled(&settings).await);
        let pool = file(&settings).await;
        let found: Vec<Candle> = sqlx::query_as(
            "SELECT CAST(strftime('%s', minute) AS INTEGER) * 1000, open, high, low, close, trades
             FROM ohlc_minutes WHERE base = ? AND quote = ? ORDER BY minute",
        )
        .bind(pair.base.0.to_vec())
        .bind(pair.quote.0.to_vec())
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_candles(&found, &expected);
        let pools: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT sum(trades) FROM pool_hours), (SELECT count(*) FROM trades)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(pools.0, pools.1);
    })
    .await;
}
