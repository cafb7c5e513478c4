//! The view of volume per pool and hour, against the trades themselves.

use std::collections::{BTreeMap, BTreeSet};

use perijove_core::{Pubkey, Slot};
use perijove_ingest::config;
use perijove_ingest::generator::Plan;
use perijove_ingest::project::{Side, Trade, USDC, USDT};
use perijove_ingest::record::UnixMillis;
use perijove_ingest::sink::database::RowBatch;
use sqlx::AssertSqlSafe;

use crate::questions::file;
use crate::scene::{batch, on_postgres, on_sqlite, open, records, server};

/// Milliseconds.
const HOUR: i64 = 3_600_000;

/// Market, base, quote, protocol, and when the hour begins.
type Key = (Vec<u8>, Vec<u8>, Vec<u8>, String, i64);

/// Trades, wallets, volume of the base, of the quote, dollars.
type Volume = (i64, i64, Option<f64>, Option<f64>, Option<f64>);

type Row = (
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    String,
    i64,
    i64,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
);

/// Trades of the last seconds of an hour and of the first of the next, stored. Of some the decimals are not known,
/// or what they were worth.
async fn two_hours(settings: &config::Database) -> RowBatch {
    let start = 1_760_000_000_000;
    let plan = Plan {
        // The hour ends in ten seconds.
        start: UnixMillis(start - start % HOUR + HOUR - 10_000),
        pairs: 12,
        ..Plan::default()
    };
    let later = Plan {
        seed: 1,
        first_slot: Slot(plan.first_slot.0 + 5_000),
        start: UnixMillis(plan.start.0 + 2_000_000),
        ..plan.clone()
    };
    let mut batch = batch(&records(plan, 120));
    let more = self::batch(&records(later, 60));
    batch.trades.extend(more.trades);
    for (number, trade) in batch.trades.iter_mut().enumerate() {
        if number % 7 == 0 {
            trade.bought.amount.decimals = None;
            trade.price = None;
        }
        if number % 5 == 0 {
            trade.bought.usd = None;
            trade.sold.usd = None;
        }
    }
    // The same trade in two messages is the same row.
    let mut known = BTreeSet::new();
    batch
        .trades
        .retain(|trade| known.insert((trade.position(), trade.origin.signature)));
    let database = open(settings).await;
    let mut lane = database.claim("group", "topic", 0).await.unwrap();
    database.commit(&mut lane, &batch).await.unwrap();
    batch
}

fn add(sum: &mut Option<f64>, more: Option<f64>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or_default() + more);
    }
}

fn whole(side: &Side) -> Option<f64> {
    let decimals = side.amount.decimals?;
    Some(side.amount.raw as f64 / 10_f64.powi(decimals.into()))
}

fn dollars(trade: &Trade) -> Option<f64> {
    let is_dollar = |mint: Pubkey| mint == USDC || mint == USDT;
    let (base, quote) = (trade.base(), trade.quote());
    if is_dollar(trade.pair.quote) {
        Some(quote.amount.raw as f64 / 1e6)
    } else if is_dollar(trade.pair.base) {
        Some(base.amount.raw as f64 / 1e6)
    } else {
        quote.usd.or(base.usd).map(f64::from)
    }
}

/// What the view has to say.
fn expected(batch: &RowBatch) -> BTreeMap<Key, Volume> {
    let mut hours: BTreeMap<Key, (Volume, BTreeSet<Pubkey>)> = BTreeMap::new();
    for trade in &batch.trades {
        let Some(market) = trade.market else {
            continue;
        };
        let time = trade.origin.time().0;
        let bytes = |key: Pubkey| key.0.to_vec();
        let key = (
            bytes(market),
            bytes(trade.pair.base),
            bytes(trade.pair.quote),
            trade.dex.protocol.clone(),
            time - time % HOUR,
        );
        let (volume, wallets) = hours.entry(key).or_default();
        volume.0 += 1;
        wallets.extend(trade.trader);
        volume.1 = i64::try_from(wallets.len()).unwrap();
        add(&mut volume.2, whole(trade.base()));
        add(&mut volume.3, whole(trade.quote()));
        add(&mut volume.4, dollars(trade));
    }
    let hours = hours.into_iter();
    hours.map(|(key, (volume, _))| (key, volume)).collect()
}

fn alike(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * other.abs(),
        (None, None) => true,
        _ => false,
    }
}

fn assert_hours(rows: Vec<Row>, expected: &BTreeMap<Key, Volume>) {
    let each = rows.into_iter().map(|row| {
        let (market, base, quote, protocol, hour, trades, wallets, bases, quotes, usd) = row;
        let key = (market, base, quote, protocol, hour);
        (key, (trades, wallets, bases, quotes, usd))
    });
    let found: BTreeMap<Key, Volume> = each.collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (key, volume) in expected {
        let said = &found[key];
        assert_eq!((said.0, said.1), (volume.0, volume.1), "{key:?}");
        let numbers = [(said.2, volume.2), (said.3, volume.3), (said.4, volume.4)];
        assert!(
            numbers.iter().all(|(one, other)| alike(*one, *other)),
            "{key:?}: {said:?}, not {volume:?}"
        );
    }
}

/// The trades are such that every column has something to get wrong.
fn assert_telling(expected: &BTreeMap<Key, Volume>) {
    let pools: BTreeSet<&Vec<u8>> = expected.keys().map(|key| &key.0).collect();
    let hours: BTreeSet<i64> = expected.keys().map(|key| key.4).collect();
    assert_eq!(hours.len(), 2);
    assert!(pools.len() > 8 && expected.len() > pools.len());
    let some = |holds: fn(&Volume) -> bool| assert!(expected.values().any(holds), "{expected:?}");
    some(|volume| volume.1 < volume.0);
    some(|volume| volume.1 > 1);
    some(|volume| volume.4.is_some());
}

fn query(hour: &str, double: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "SELECT market, base, quote, protocol, {hour}, trades, wallets, CAST(base_volume AS {double}),
             CAST(quote_volume AS {double}), CAST(usd AS {double}) FROM pool_hours"
    ))
}

#[tokio::test]
async fn postgres_tells_the_volume_of_each_pool_and_hour() {
    on_postgres(async |settings| {
        let expected = expected(&two_hours(&settings).await);
        assert_telling(&expected);
        let hour = "(extract(epoch FROM hour) * 1000)::bigint";
        let rows = sqlx::query_as(query(hour, "double precision"));
        assert_hours(
            rows.fetch_all(&server(&settings).await).await.unwrap(),
            &expected,
        );
    })
    .await;
}

#[tokio::test]
async fn sqlite_tells_the_volume_of_each_pool_and_hour() {
    on_sqlite(async |settings| {
        let expected = expected(&two_hours(&settings).await);
        assert_telling(&expected);
        let hour = "CAST(strftime('%s', hour) AS INTEGER) * 1000";
        let rows = sqlx::query_as(query(hour, "REAL"));
        assert_hours(
            rows.fetch_all(&file(&settings).await).await.unwrap(),
            &expected,
        );
    })
    .await;
}
